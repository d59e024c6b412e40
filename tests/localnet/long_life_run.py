"""Memory and request times of a node over a simulated day.

python -m tests.localnet.long_life_run --count 1000000 --seed 1 [--record FILE]

The run simulates twenty-four hours of mixed traffic (`tests.localnet.long_life_traffic`) with `--count` transactions on
each of two nodes at once: on a folder with `--keep-states 1000` under Ethereum's rules, and in memory under Filecoin's.
After each hour it reads the resident memory of the node's process (/proc, so only on Linux) and the median CPU time of
each kind of request. Limits:

- No hour may end with more than 1.2 times the memory of the second one, which ends before the first tenth of the
transactions.
- No kind of request may cost more than 1.5 times as much in the last quarter as in the first, after correction for
other load on the machine and for chance.
- No request may fail, and no dropped subscription may report.

In a shorter run the node's own caches are proportionally smaller; memory for those of RocksDB, Python and the runtimes,
which fill up in the first two hours of a full run, is allowed (`FILLING`). Ctrl-C ends the run after its round, and the
record states how far it came.
"""

import asyncio
import math
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from localnet.accounts import TEST_MNEMONIC, accounts
from tests.harness.recorded import NOT_RUN, RunRecord, finish, options
from tests.localnet.kill_run import start_node
from tests.localnet.long_life_node import ACCOUNTS, RULES, SUBSCRIPTIONS, serve
from tests.localnet.long_life_traffic import ROUND, SHORTEST, Traffic

HOURS: Final = 24
WHOLE: Final = 1_000_000
"""Number of transactions of a full run."""
MAX_MEMORY: Final = 1.2
"""Maximum memory relative to that at the end of hour `BASE`."""
BASE: Final = 2
FILLING: Final = {"folder": 180 << 20, "memory": 16 << 20}
"""Bytes allowed for caches that fill up after hour `BASE` in a short run; in a folder these are RocksDB's write buffers
and block cache (store/rocks/database.py).
"""
MAX_TIME: Final = 1.5
CHANCE: Final = 2.0
"""Allowed difference between the medians of N requests, divided by the root of N."""
DRIFT: Final = 1.3
"""Allowed increase of all costs because of other programs."""
_SAID: Final = 3
"""Maximum number of failures in the record."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Totals at the end of an hour: transactions, resident bytes, nanoseconds by kind of request, seconds.

    `asked` is the number of requests by kind.
    """

    sent: int
    resident: int
    costs: dict[str, float]
    asked: dict[str, int] = field(default_factory=dict)
    ninety_nine: float = 0.0
    longest: float = 0.0

    def __str__(self) -> str:
        """Return the progress of the day."""
        return f"{self.sent:,} transactions, {self.resident / 1e6:,.1f} MB of memory"


@dataclass
class Day:
    """The hours of a node's run so far."""

    where: str
    count: int
    hours: list[Hour] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sent: int = 0
    subscriptions: int = 0
    snapshots: int = 0
    is_ending: bool = False

    def end(self) -> None:
        """End after this round."""
        self.is_ending = True

    @property
    def growth(self) -> float:
        """Return the bytes that a transaction has added since the first hour."""
        if len(self.hours) < 2:
            return 0.0
        first, last = self.hours[0], self.hours[-1]
        return (last.resident - first.resident) / (last.sent - first.sent)

    def findings(self) -> list[str]:
        """Return the violations as sentences."""
        found = self.failures[:_SAID]
        if len(self.failures) > _SAID:
            found.append(f"{len(self.failures) - _SAID} more failures")
        if self.hours:
            found += [*self._memory(), *self._time()]
        return [f"{self.where}: {words}" for words in found]

    def _memory(self) -> list[str]:
        base = self.hours[:BASE][-1].resident
        limit = base * MAX_MEMORY + FILLING[self.where] * max(0.0, 1 - self.count / WHOLE)
        most = max(hour.resident for hour in self.hours)
        if most <= limit:
            return []
        return [f"{most / 1e6:,.1f} MB of memory, {base / 1e6:,.1f} after hour {BASE}, at most "
                f"{limit / 1e6:,.1f} are allowed: {self.growth:,.0f} bytes a transaction"]  # fmt: skip

    def _time(self) -> list[str]:
        first, last = self._quarter(slice(None, self._part)), self._quarter(slice(-self._part, None))
        ratios = {kind: last[kind] / first[kind] for kind in first.keys() & last.keys()}
        drift = min(max(1.0, median([*ratios.values()] or [1.0])), DRIFT)
        return [
            f"{kind} took the processor {first[kind] / 1e3:,.0f} us in the first quarter of the day, "
            f"{last[kind] / 1e3:,.0f} us in the last"
            for kind, ratio in sorted(ratios.items())
            if ratio > MAX_TIME * drift * (1 + CHANCE / math.sqrt(self._asked(kind)))
        ]

    def _asked(self, kind: str) -> int:
        """Return the lower number of requests of a kind in the first and the last quarter."""
        first, last = self.hours[: self._part], self.hours[-self._part :]
        return max(1, min(sum(hour.asked.get(kind, 0) for hour in hours) for hours in (first, last)))

    @property
    def _part(self) -> int:
        return max(1, len(self.hours) // 4)

    def _quarter(self, chosen: slice) -> dict[str, float]:
        """Return the median cost of each kind of request in the chosen hours."""
        hours = self.hours[chosen]
        kinds = {kind for hour in hours for kind in hour.costs}
        return {kind: median(hour.costs[kind] for hour in hours if kind in hour.costs) for kind in kinds}

    def details(self) -> dict[str, Any]:
        """Return the further fields of the record."""
        quarters = [self._quarter(slice(at, at + self._part)) for at in range(0, len(self.hours), self._part)]
        return {
            "rules": RULES[self.where],
            "transactions": self.sent,
            "subscriptions made and dropped": self.subscriptions,
            "snapshots": self.snapshots,
            "resident MB by hour": [round(hour.resident / 1e6, 1) for hour in self.hours],
            "bytes a transaction since the first hour": round(self.growth),
            "processor, us, by quarter": {
                kind: [round(each.get(kind, 0) / 1e3) for each in quarters]
                for kind in (quarters[0] if quarters else ())
            },
            "99 of 100 requests answered within, ms, by hour": [round(hour.ninety_nine * 1e3) for hour in self.hours],
            "slowest request, ms, by hour": [round(hour.longest * 1e3) for hour in self.hours],
        }


# --- a day ------------------------------------------------------------------------------------------------------------


def play(day: Day, seed: int) -> Day:
    """Run a day on a new node."""
    with tempfile.TemporaryDirectory() as folder:
        share = min(1.0, day.count / WHOLE)
        process, port = start_node(Path(folder), serve, Path(folder), day.where, share)
        try:
            assert process.pid is not None
            asyncio.run(_live(day, port, process.pid, seed))
            if not process.is_alive():
                day.failures.append(f"the node ended by itself, with status {process.exitcode}")
        finally:
            process.kill()
            process.join()
    return day


async def _live(day: Day, port: int, process: int, seed: int) -> None:
    size = max(SHORTEST, min(ROUND, day.count // HOURS))
    traffic = Traffic(port, process, RULES[day.where], accounts(TEST_MNEMONIC, ACCOUNTS), seed, size)
    await traffic.open()
    try:
        while traffic.sent < day.count and not day.is_ending and len(traffic.failures) < SUBSCRIPTIONS:
            await traffic.round()
            day.sent, day.subscriptions, day.snapshots = traffic.sent, traffic.subscriptions, traffic.snapshots
            if traffic.sent >= (len(day.hours) + 1) * day.count / HOURS:
                costs = {kind: median(each) for kind, each in traffic.costs.items()}
                asked = {kind: len(each) for kind, each in traffic.costs.items()}
                waits = quantiles(traffic.waits, n=100)[-1], max(traffic.waits)
                day.hours.append(Hour(traffic.sent, resident(process), costs, asked, *waits))
                print(f"{day.where}: {day.hours[-1]}", file=sys.stderr)
                await traffic.next_hour()
    except (ConnectionError, RuntimeError) as error:
        traffic.failures.append(str(error))
    finally:
        day.failures += traffic.failures
        await traffic.close()


def resident(process: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# --- the record -------------------------------------------------------------------------------------------------------


def recorded(count: int, seed: int) -> RunRecord:
    """Return the record of a day in a folder and one in memory."""
    days = {where: Day(where, count) for where in RULES}

    def end(*_: object) -> None:
        for day in days.values():
            day.end()

    before = signal.signal(signal.SIGINT, end)
    try:
        with ThreadPoolExecutor(len(days)) as pool:
            list(pool.map(play, days.values(), repeat(seed)))
        findings = [words for day in days.values() for words in day.findings()]
        stopped = [day for day in days.values() if day.sent < day.count]
        findings += [f"{day.where}: the day ended after {day.sent} of {day.count} transactions" for day in stopped]
    finally:
        signal.signal(signal.SIGINT, before)
    stages = {f"transactions, {where}": min(day.sent, count) for where, day in days.items()}
    return RunRecord(seed, count, stages, findings, {where: day.details() for where, day in days.items()})


def main() -> int:
    """Parse the command line and run."""
    chosen = options(__doc__ or "", WHOLE).parse_args()
    if not Path("/proc/self/statm").exists():
        print(f"{NOT_RUN}this system has no /proc, where the memory of a process is read")
        return 0
    started_at = time.monotonic()
    return finish(recorded(chosen.count, chosen.seed), chosen, started_at)


if __name__ == "__main__":
    sys.exit(main())
