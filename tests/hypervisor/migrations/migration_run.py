"""Migration of a state with a million actors to network version 29: `make migration`.

Exits with 1 if a limit is exceeded. Nine in ten actors have a type whose code changes, so that nearly every node of the
tree is rewritten; their states are unchanged. The upgrade and its commit run in a separate process on a folder, with
limits of a minute of CPU time for a million actors (wall-clock time depends on other programs), and of a fixed amount
of memory plus some bytes per actor, for the store's caches. Afterwards each actor is read back. The result is a record
(tests.harness.recorded).
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NV28, NV29
from store.rocks.database import RocksStore
from tests.harness.memory import resident
from tests.harness.recorded import RunRecord, finish, options

FIRST: Final = 1_000_000
"""ID of the first actor, above those of a genesis."""
SECONDS: Final = 60.0
"""Maximum CPU time in seconds for up to a million actors."""
BYTES: Final = 120 << 20
BYTES_AN_ACTOR: Final = 60
PROJECT: Final = Path(__file__).resolve().parents[3]
_AT_ONCE: Final = 50_000


def main() -> int:
    """Run the check, and return the exit code."""
    parser = options(__doc__, 1_000_000)
    parser.add_argument("--folder", help="migrate this one, as a process of its own does")
    chosen = parser.parse_args()
    if chosen.folder is not None:
        print(json.dumps(migrate(Path(chosen.folder))))
        return 0
    started = monotonic()
    return finish(check(chosen.count, chosen.seed), chosen, started)


def kind_of(number: int) -> str:
    """Return the type of an actor by number; a tenth have code that does not change."""
    return "ethaccount" if number % 10 == 0 else "storageminer"


def fill(folder: Path, count: int, seed: int) -> None:
    """Commit a state of version 28 with this many actors in addition to those of the genesis."""
    with RocksStore.open(folder) as store, Hypervisor.open(store=store, network=NV28.number) as machine:
        for start in range(0, count, _AT_ONCE):
            for number in range(start, min(count, start + _AT_ONCE)):
                machine.state_tree.set_actor(ActorID(FIRST + number), expected(machine, number, seed))
            machine.flush()
            machine.restore(machine.snapshot())  # a new tree without cached actors
        store.compact()


def expected(machine: Hypervisor, number: int, seed: int) -> ActorState:
    code = machine.manifest.code(kind_of(number))
    return ActorState(code, nonce=number % 7, balance=TokenAmount(seed + number))


def migrate(folder: Path) -> dict[str, float]:
    """Upgrade and commit; return CPU and wall-clock seconds, peak growth in bytes, and number of progress reports."""
    bundle, told = Bundle.embedded("v19"), list[int]()
    with Hypervisor.open(folder) as machine:
        before, started, clock = resident(), process_time(), monotonic()
        machine.store.put_many(bundle.blocks)
        machine.upgrade(NV29, bundle.manifest, progress=told.append)
        upgraded = process_time()
        machine.flush()
        taken = {"upgrade": upgraded - started, "commit": process_time() - upgraded, "clock": monotonic() - clock}
    return {**taken, "memory": peak() - before, "told": len(told)}


def peak() -> int:
    """Return the peak memory of this process in bytes; `getrusage` would include that of the parent before the fork."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def check(count: int, seed: int) -> RunRecord:
    """Create the state, migrate it, and read it back."""
    with TemporaryDirectory(prefix="migration-") as place:
        folder = Path(place, "state")
        fill(folder, count, seed)
        command = [sys.executable, "-m", "tests.hypervisor.migrations.migration_run", "--folder", str(folder)]
        found = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True)
        cost: dict[str, float] = json.loads(found.stdout)
        right, wrong = read_back(folder, count, seed)
    taken, most = cost["upgrade"] + cost["commit"], BYTES + count * BYTES_AN_ACTOR
    findings = [
        *([f"{taken:.0f} s of the processor, {SECONDS:.0f} are allowed"] if taken > SECONDS else []),
        *([f"{cost['memory']:,.0f} bytes more, {most:,} are allowed"] if cost["memory"] > most else []),
        *([f"told its progress {cost['told']:.0f} times"] if cost["told"] < count // 10_000 else []),
        *wrong,
    ]
    changed = sum(kind_of(number) == "storageminer" for number in range(count))
    details = {
        "seconds of the upgrade, by the processor": round(cost["upgrade"], 1),
        "seconds of its commit, by the processor": round(cost["commit"], 1),
        "seconds of both by the clock, beside other programs": round(cost["clock"], 1),
        "bytes that the process held more, at most": int(cost["memory"]),
        "bytes an actor": round(cost["memory"] / count),
    }
    return RunRecord(seed, count, {"with code that changes": changed, "right afterwards": right}, findings, details)


def read_back(folder: Path, count: int, seed: int) -> tuple[int, list[str]]:
    """Return the number of correct actors, and descriptions of the first few incorrect ones."""
    right, wrong = 0, list[str]()
    with Hypervisor.open(folder) as machine:
        if machine.manifest != Bundle.embedded("v19").manifest:
            return 0, ["the system actor has another manifest"]
        for actor, state in machine.state_tree.actors():
            if actor < FIRST:
                continue
            if state == expected(machine, actor - FIRST, seed):
                right += 1
            elif len(wrong) < 3:
                wrong.append(f"f0{actor} has {machine.manifest.name_of(state.code) or 'code of no actor of v19'}")
    return right, [*wrong, *([f"{right} of {count} actors are right"] if right != count else [])]


if __name__ == "__main__":
    sys.exit(main())
