"""The complete crash tests: `make crash`. The exit code is 1 if data was lost.

The run consists of kills, faults below RocksDB, and failing writes. The result is a record (tests.harness.recorded).
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from store.rocks.database import RocksStore
from tests.crash import faults
from tests.crash.states import commit_next
from tests.harness.recorded import RunRecord, finish, options


def main() -> int:
    """Run the requested parts and return the exit code."""
    chosen = options(__doc__, 1000).parse_args()
    started = monotonic()
    return finish(suite(chosen.count, chosen.seed), chosen, started)


def suite(count: int, seed: int) -> RunRecord:
    """Run every part. The length of the sweep's history grows with the number of kills."""
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
    unsynced = unsynced_commits()
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
    return RunRecord(seed, count, stages, findings, details)


def unsynced_commits() -> int:
    """Return how many of 20 commits RocksDB has written without a sync, by its own count."""
    with (
        TemporaryDirectory(prefix="crash-") as place,
        RocksStore.open(Path(place, "store"), statistics=True) as store,
    ):
        before = store.counter("rocksdb.wal.synced")
        for _ in range(20):
            commit_next(store)
        return max(0, 20 - (store.counter("rocksdb.wal.synced") - before))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
