"""The suite in full: `make crash`. Ends with exit code 1 if anything was lost, or if a planted defect was not found.

Kills, then the sweep of faults below RocksDB, then failing writes; then the same, shorter, on a store without the sync
and on one without the batch: each must be found, else the suite proves nothing. One JSON object on stdout tells all.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from store.rocks import RocksStore
from tests.crash import faults, kills, sweep
from tests.crash.plants import PLANTS
from tests.crash.states import commit_next


def main() -> int:
    """Run what the command line asks for; the exit code."""
    options = argparse.ArgumentParser(prog="make crash", description=__doc__)
    options.add_argument("--count", type=int, default=1000, help="kills; the sweep's history grows with it")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--plant", choices=[*PLANTS, "all"], default="all", help="only this defect, or none")
    chosen = options.parse_args()
    start = monotonic()
    report: dict[str, Any] = {"seed": chosen.seed, "count": chosen.count}
    if chosen.plant in ("none", "all"):
        report |= suite(chosen.count, chosen.seed)
    else:
        report["findings"] = []
    plants = [name for name in PLANTS if name != "none" and chosen.plant in (name, "all")]
    report["planted"] = {name: planted(name, max(chosen.count // 20, 5), chosen.seed) for name in plants}
    report["seconds"] = round(monotonic() - start)
    print(json.dumps(report, indent=1))
    missed = [name for name, found in report["planted"].items() if not found]
    for finding in report["findings"]:
        print(f"LOST: {finding}", file=sys.stderr)
    for name in missed:
        print(f"the defect '{name}' was not found", file=sys.stderr)
    return 1 if report["findings"] or missed else 0


def suite(count: int, seed: int) -> dict[str, Any]:
    """Every part, on the store as it is."""
    with TemporaryDirectory(prefix="crash-") as place:
        _say(f"{count} kills")
        killed = kills.run(Path(place, "kills"), count, seed)
        commits = max(8, count // 20)
        stride = max(8, 4096 // count)
        _say(f"faults below RocksDB, after each of {commits} commits; a bit in every {stride} bytes")
        Path(place, "sweep").mkdir()
        swept = sweep.run(Path(place, "sweep"), commits, seed, stride)
        _say("failing writes")
        failing = [
            faults.run(reopen=reopen, done_before=done, every=max(1, 200 // count))
            for reopen in (False, True)
            for done in (False, True)
        ]
    unsynced = unsynced_commits("none")
    return {
        "stages": {
            "kills": killed.kills,
            "commits acknowledged": killed.commits,
            "faults below RocksDB": swept.faults,
            "of these reopened": sum(n for name, n in swept.outcomes.items() if name.endswith("reopened")),
            "failing writes": sum(part.faults for part in failing),
        },
        "killed during": killed.during,
        "commits kept that were in flight": killed.in_flight_kept,
        "outcomes": dict(sorted(swept.outcomes.items())),
        "unsynced commits": unsynced,
        "findings": [
            *killed.findings,
            *swept.findings,
            *(finding for part in failing for finding in part.findings),
            *([f"{unsynced} of 20 commits were not synced"] if unsynced else []),
        ],
    }


def planted(plant: str, count: int, seed: int, commits: int = 9) -> dict[str, int]:
    """Which parts find a planted defect, and how often."""
    _say(f"the planted defect '{plant}'")
    with TemporaryDirectory(prefix="crash-") as place:
        Path(place, "sweep").mkdir()
        found = {
            "kills": len(kills.run(Path(place, "kills"), count, seed, plant).findings),
            "faults below RocksDB": len(sweep.run(Path(place, "sweep"), commits, seed, 512, plant).findings),
            "synced writes": unsynced_commits(plant),
        }
    return {name: number for name, number in found.items() if number}


def unsynced_commits(plant: str) -> int:
    """How many of 20 commits RocksDB has written without a sync, by its own count."""
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
