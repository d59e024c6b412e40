"""State migrations of random states, compared with those of forest.

    python -m tests.oracle.migrations FOREST [--count 100] [--record FILE]

FOREST is a folder with the sources of the crate `forest-filecoin` 0.39.0, built with

    FOREST_F3_SIDECAR_FFI_BUILD_OPT_OUT=1 cargo build --locked --bin forest-tool --no-default-features \
        --features rustalloc

--record writes forest's roots of the first states to FILE, as `tests/hypervisor/migrations/test_migrations.py` reads
them.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.migrations.migration import migrate_state
from hypervisor.state.state_tree import StateTree
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import put_object
from store.car.files import write_car
from store.cid import Cid, show
from store.codec import link
from tests.hypervisor.migrations.random_states import ACTORS, EPOCHS, manifest_of, official_codes, random_state

_ROOT: Final = re.compile(r"new_state: (\w+)")
RECORDED: Final = 3
"""Number of states per version whose roots are recorded."""


def main() -> int:
    """Compare all versions, and return 1 if a root differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forest", type=Path)
    parser.add_argument("--count", type=int, default=100, help="states per version")
    parser.add_argument("--tool", type=Path, help="forest-tool, by default the debug build in FOREST")
    parser.add_argument("--record", type=Path)
    chosen = parser.parse_args()
    tool = chosen.tool or chosen.forest / "target/debug/forest-tool"
    codes = official_codes(chosen.forest / "build/manifest.json")
    recorded, differing = {}, 0
    for version in EPOCHS:
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = compare(tool, codes, version, chosen.count, Path(folder))
        wrong = [seed for seed, root in enumerate(theirs) if root != ours[seed]]
        differing += len(wrong)
        print(f"nv{version}: {chosen.count - len(wrong)} of {chosen.count} roots are equal", *wrong[:5], flush=True)
        recorded[version] = {"old": codes[ACTORS[version]], "new": codes[_next(version)], "roots": theirs[:RECORDED]}
    if chosen.record is not None and not differing:
        chosen.record.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    return 1 if differing else 0


def compare(
    tool: Path, codes: Mapping[int, Mapping[str, str]], version: int, count: int, folder: Path
) -> tuple[list[str], list[str]]:
    """Return the roots of forest and of this project after the migration of `count` random states."""
    store = BufferedStore(MemoryStore())
    old, new = manifest_of(store, codes[ACTORS[version]]), manifest_of(store, codes[_next(version)])
    put_object(store, [1, link(new.data)])
    states = [random_state(store, version, old, seed) for seed in range(count)]
    headers = [put_object(store, _header(state, EPOCHS[version])) for state in states]
    car, packed = folder / "states.car", folder / "db" / "car_db" / "states.forest.car.zst"
    packed.parent.mkdir(parents=True)
    with car.open("wb") as file:
        write_car(file, headers[:1], store.pending.items())
    _run(tool, "snapshot", "compress", "--output-path", packed, car)
    theirs = []
    for header in headers:
        arguments = "shed", "migrate-state", "--chain", "mainnet", "--db", folder / "db", f"{version}", show(header)
        found = _ROOT.search(_run(tool, *arguments))
        theirs.append("no root" if found is None else found[1])
    return theirs, [show(migrated(store, state, old, new, version)) for state in states]


def migrated(store: BufferedStore, state: Cid, old: Manifest, new: Manifest, version: int) -> Cid:
    """Return the root of a state after the upgrade to `version`."""
    return migrate_state(
        StateTree(store, state), old, new, NETWORK_VERSIONS[version - 1], NETWORK_VERSIONS[version], EPOCHS[version]
    )


def _next(version: int) -> int:
    return ACTORS[version] + 1


def _header(state: Cid, epoch: int) -> list[object]:
    """Return the fields of a block header whose parent state is `state`. Forest migrates at the epoch before it."""
    nothing = link(state)
    proofs = [[b"ticket"], [1, b"proof"], [], []]
    roots = [link(state), nothing, nothing]
    return [b"\0\x64", *proofs, [nothing], b"", epoch + 1, *roots, None, 0, None, 0, b"\0\x64"]


def _run(tool: Path, *arguments: object) -> str:
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
