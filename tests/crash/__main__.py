"""The complete crash tests: `make crash`. The exit code is 1 if data was lost or a planted defect was not found.

The run consists of kills, faults below RocksDB, and failing writes. A shorter run repeats them on a store without the
sync and on one without the batch; each defect must be found. The result is a record (bench.recorded).
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from bench.recorded import RunRecord, finish, options
from store.rocks.database import RocksStore
from tests.crash import faults
from tests.crash.states import PLANTS, commit_next

PLANTED = ("no-sync", "no-batch")


def main() -> int:
    """Run the requested parts and return the exit code."""
    parser = options(__doc__, 1000)
    parser.add_argument("--plant", choices=PLANTED, action="append", help="only this defect; default: all")
    chosen = parser.parse_args()
    started = monotonic()
    record = suite(chosen.count, chosen.seed)
    for name in chosen.plant or PLANTED:
        record.planted_defect[name] = planted(name, max(chosen.count // 20, 5), chosen.seed)
    return finish(record, chosen, started)


def suite(count: int, seed: int) -> RunRecord:
    """Run every part on the unmodified store. The length of the sweep's history grows with the number of kills."""
    with TemporaryDirectory(prefix="crash-") as place:
        _say(f"{count} kills")
        killed = faults.run_kills(Path(place, "kills"), count, seed)
        commits = max(8, count // 20)
        stride = max(8, 4096 // count)
        _say(f"faults below RocksDB, after each of {commits} commits; a bit in every {stride} bytes")
        Path(place, "sweep").mkdir()
        swept = faults.run_sweep(Path(place, "sweep"), commits, seed, stride)
        _say("failing writes")
        failing = [
            faults.run_faults(reopen=reopen, done_before=done, every=max(1, 200 // count))
            for reopen in (False, True)
            for done in (False, True)
        ]
    unsynced = unsynced_commits("none")
    findings = [
        *killed.findings,
        *swept.findings,
        *(finding for part in failing for finding in part.findings),
        *([f"{unsynced} of 20 commits were not synced"] if unsynced else []),
    ]
    details = {
        "killed during": killed.during,
        "commits acknowledged": killed.commits,
        "commits kept that were in flight": killed.in_flight_kept,
        "faults below RocksDB": dict(sorted(swept.outcomes.items())),
        "failing writes": sum(part.faults for part in failing),
    }
    stages = {"killed": killed.kills, "reopened whole": killed.kills - len(killed.findings)}
    return RunRecord(seed, count, stages, findings, {}, details)


def planted(plant: str, count: int, seed: int, commits: int = 9) -> dict[str, int]:
    """Return the parts that find an injected bug, and how often."""
    _say(f"the planted defect '{plant}'")
    with TemporaryDirectory(prefix="crash-") as place:
        Path(place, "sweep").mkdir()
        found = {
            "kills": len(faults.run_kills(Path(place, "kills"), count, seed, plant).findings),
            "faults below RocksDB": len(faults.run_sweep(Path(place, "sweep"), commits, seed, 512, plant).findings),
            "synced writes": unsynced_commits(plant),
        }
    return {name: number for name, number in found.items() if number}


def unsynced_commits(plant: str) -> int:
    """Return how many of 20 commits RocksDB has written without a sync, by its own count."""
    with TemporaryDirectory(prefix="crash-") as place:
        store: RocksStore = PLANTS[plant].open(Path(place, "store"), statistics=True)
        with store:
            before = store.counter("rocksdb.wal.synced")
            for _ in range(20):
                commit_next(store)
            return max(0, 20 - (store.counter("rocksdb.wal.synced") - before))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
