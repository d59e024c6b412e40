"""Migration of a million actors with states, to each network version that rewrites states: `make state-rewrites`.

Nine in twenty actors are storage miners, as many are contracts, and a tenth are accounts. Each miner and each contract
has a state of its own; a tenth of the miners have their own sector with a deal. The migration and its commit run in a
process of their own on a folder, and store blocks at intervals, as a machine does. Exits with 1 if an actor has other
code than expected, or if the process needs more memory than a fixed amount plus some bytes per actor, for the store's
caches. The result is a record (tests.harness.recorded).
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any, Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.migrations.migration import migrate_state
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount, encode_bigint
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from store.blocks.memory import BufferedStore
from store.blockstore import put_object
from store.cid import Cid
from store.codec import link
from store.rocks.database import RocksStore
from store.roots import SPILLED
from store.trees.amt import Amt
from tests.harness.memory import resident
from tests.harness.recorded import RunRecord, finish, options
from tests.hypervisor.migrations.migration_run import PROJECT, peak
from tests.hypervisor.migrations.random_states import ACTORS, EPOCHS, States, manifest_of, random_state

FOREST: Final = Path(__file__).with_name("forest_migrations.json")
FIRST: Final = 1_000_000
"""ID of the first actor."""
BYTES: Final = 160 << 20
BYTES_AN_ACTOR: Final = 60
_HEAD: Final = b"root of the run"
_AT_ONCE: Final = 20_000
_SECTORS, _FEE_DEBT = 9, 4
_DEALS: Final = 3


def main() -> int:
    """Run the check, and return the exit code."""
    parser = options(__doc__, 1_000_000)
    parser.add_argument("--to", type=int, choices=EPOCHS, help="this network version only")
    parser.add_argument("--folder", help="migrate this one, as a process of its own does")
    chosen = parser.parse_args()
    if chosen.folder is not None:
        print(json.dumps(migrate(Path(chosen.folder), chosen.to)))
        return 0
    started, record = monotonic(), RunRecord(chosen.seed, chosen.count, {}, [])
    for version in [chosen.to] if chosen.to else EPOCHS:
        check(version, chosen.count, chosen.seed, record)
    return finish(record, chosen, started)


def check(version: int, count: int, seed: int, record: RunRecord) -> None:
    """Create a state, migrate it and read it back; add the results to the record."""
    with TemporaryDirectory(prefix="rewrites-") as place:
        folder = Path(place, "state")
        fill(folder, version, count, seed)
        module = "tests.hypervisor.migrations.state_rewrites_run"
        command = [sys.executable, "-m", module, "--folder", str(folder), "--to", str(version)]
        found = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True)
        cost: dict[str, float] = json.loads(found.stdout)
        right = read_back(folder, version, count)
    most = BYTES + count * BYTES_AN_ACTOR
    record.stages[f"nv{version}: with the new code"] = right
    if right != count:
        record.findings.append(f"nv{version}: {count - right} actors have other code")
    if cost["memory"] > most:
        record.findings.append(f"nv{version}: {cost['memory']:,.0f} bytes more, {most:,} are allowed")
    record.details[f"nv{version}"] = {
        "seconds of the migration, by the processor": round(cost["migration"], 1),
        "seconds of its commit, by the processor": round(cost["commit"], 1),
        "blocks written": int(cost["blocks"]),
        "bytes an actor": round(cost["memory"] / count),
    }
    print(f"nv{version}", record.details[f"nv{version}"], file=sys.stderr, flush=True)


def manifests(store: BufferedStore, version: int) -> tuple[Manifest, Manifest]:
    """Return the manifests before and after the upgrade, with the code CIDs of the main network."""
    row = json.loads(FOREST.read_text(encoding="utf-8"))[str(version)]
    return manifest_of(store, row["old"]), manifest_of(store, row["new"])


def fill(folder: Path, version: int, count: int, seed: int) -> None:
    """Commit a state of the version before with this many actors in addition to some random ones."""
    with RocksStore.open(folder) as base:
        store = BufferedStore(base)
        old, _ = manifests(store, version)
        states = States(store, version, old, Random(seed))
        templates = {"storageminer": states.miner(ActorID(1000)), "evm": states.contract()}
        root = random_state(store, version, old, seed)
        with committed(base, store) as commit:
            root = commit(root)
            for start in range(0, count, _AT_ONCE):
                tree = StateTree(store, root)
                for number in range(start, min(count, start + _AT_ONCE)):
                    tree.set_actor(ActorID(FIRST + number), actor(store, old, version, templates, number))
                root = commit(tree.flush())
        base.compact()


@contextmanager
def committed(base: RocksStore, store: BufferedStore) -> Iterator[Any]:
    """Return a function that commits everything in the buffer, with a root."""

    def commit(root: Cid) -> Cid:
        base.commit(store.pending.items(), {_HEAD: root})
        store.clear()
        return root

    yield commit


def kind_of(number: int) -> str:
    return "ethaccount" if number % 10 == 0 else "storageminer" if number % 2 else "evm"


def actor(
    store: BufferedStore, manifest: Manifest, version: int, templates: dict[str, list[Any]], number: int
) -> ActorState:
    kind = kind_of(number)
    code, balance = manifest.code(kind), TokenAmount(number)
    if kind == "ethaccount":
        return ActorState(code, balance=balance)
    state = [*templates[kind]]
    if kind == "evm":
        state[1] = number.to_bytes(32, "big")
    else:
        state[_FEE_DEBT] = encode_bigint(number + 1)
        if number % 20 == 1:
            state[_SECTORS] = link(sector(store, version, number))
    return ActorState(code, put_object(store, state), balance=balance)


def sector(store: BufferedStore, version: int, number: int) -> Cid:
    """Return the root of an array with one sector, which has a deal."""
    flags: Any = True if ACTORS[version] <= 11 else 1
    fee = [b""] if ACTORS[version] >= 16 else []
    sealed, none = link(put_object(store, [])), b""
    info = [
        number, 8, sealed, [number], 1, EPOCHS[version], none, none, none, none, none, 1, none, None, flags, *fee
    ]  # fmt: skip
    sectors = Amt(store, None, 5)
    sectors.set(number, info)
    return sectors.flush()


def migrate(folder: Path, version: int) -> dict[str, float]:
    """Migrate and commit; return CPU seconds, the peak growth in bytes, and the number of blocks written."""
    with RocksStore.open(folder) as base:
        store = BufferedStore(base)
        old, new = manifests(store, version)
        put_object(store, [1, link(new.data)])
        root = Cid(base.metadata(_HEAD) or b"")
        before, started = resident(), process_time()
        tree, rows = StateTree(store, root), (NETWORK_VERSIONS[version - 1], NETWORK_VERSIONS[version])
        spilled = 0

        def spill(_: int) -> None:
            nonlocal spilled
            spilled += len(store.pending)
            store.spill(base)

        after = migrate_state(tree, old, new, *rows, EPOCHS[version], progress=spill)
        migrated = process_time()
        blocks = store.reachable(after)
        base.commit(blocks, {_HEAD: after, SPILLED: None})
        return {
            "migration": migrated - started,
            "commit": process_time() - migrated,
            "memory": peak() - before,
            "blocks": spilled + len(blocks),
        }


def read_back(folder: Path, version: int, count: int) -> int:
    with RocksStore.open(folder) as base:
        store = BufferedStore(base)
        _, new = manifests(store, version)
        tree = StateTree(store, Cid(base.metadata(_HEAD) or b""))
        return sum(
            state.code == new.code(kind_of(identity - FIRST))
            for identity, state in tree.actors()
            if FIRST <= identity < FIRST + count
        )


if __name__ == "__main__":
    sys.exit(main())
