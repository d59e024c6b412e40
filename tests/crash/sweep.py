"""Faults below RocksDB: a store is copied after each commit, and the copy is damaged before it is opened again.

A kill loses nothing that the operating system holds, so these faults simulate a failing machine or disk: logs truncated
at every record and at random offsets, unsynced tails, flipped bits, and missing files. The copy must reopen at the
acknowledged state with every block, or with a typed error. If the count of commits lags (it is never synced) and the
log is truncated, it must reopen at an earlier acknowledged state.
"""

import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from store.blockstore import StoreError
from store.rocks.database import RocksStore
from store.rocks.folder import COMMITS_FILE
from tests.crash.plants import PLANTS
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next
from tests.crash.wal import newest_log, record_ends
from tests.store.stores import copy_live, scratch

WORKERS = 2

TIMEOUT = 120
"""Seconds after which opening a store counts as a hang."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A damaged copy of `folder`, in which state `acknowledged` was acknowledged.

    `kind` is the damage at `offset` of `file`; `states` are the allowed states after reopening; `error` is True if
    a typed error is allowed; `commits` is the lagging content of COMMITS.
    """

    kind: str
    folder: Path
    file: str
    offset: int
    states: tuple[int, ...]
    error: bool
    commits: int | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.file} at {self.offset} of state {self.states[-1]}"


@dataclass(slots=True)
class Sweep:
    """The result of a run: faults by kind and outcome, and findings."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Number of damaged copies that were opened."""
        return sum(self.outcomes.values())


def run_sweep(folder: Path, commits: int, seed: int, stride: int, plant: str = "none") -> Sweep:
    """Test a history of `commits`; a bit is flipped in every `stride` bytes of every file."""
    rng = random.Random(seed)
    result = Sweep()
    with ProcessPoolExecutor(WORKERS, get_context("forkserver")) as pool:
        for faults in _history(folder, commits, rng, stride, plant):
            for fault, outcome in _outcomes(pool, faults, plant):
                result.outcomes[f"{fault.kind}: {outcome.split(':')[0]}"] += 1
                if outcome.startswith("finding"):
                    result.findings.append(f"{fault}: {outcome}")
            if len(result.findings) > 20:
                break
    return result


def _outcomes(pool: ProcessPoolExecutor, faults: list[Fault], plant: str) -> Iterable[tuple[Fault, str]]:
    try:
        yield from zip(faults, pool.map(outcome, faults, [plant] * len(faults), chunksize=8), strict=True)
    except BrokenProcessPool:
        raise Unexpected(f"opening a damaged copy killed the process, or hung: one of {len(faults)} faults") from None


def _history(folder: Path, commits: int, rng: random.Random, stride: int, plant: str) -> Iterator[list[Fault]]:
    """Yield the faults after each commit. The store is sometimes reopened and collected."""
    live = folder / "live"
    store = PLANTS[plant].open(live, statistics=True)
    synced = _Synced(store)
    for state in range(1, commits + 1):
        if commit_next(store) != state:
            raise Unexpected(f"state {state} is not the next one")
        synced.record_sizes()
        copy = copy_live(store, folder / f"state-{state}")
        yield [*_cuts(copy, state, rng), *_lost_tails(copy, state, synced.sizes)]
        if state % 8 == 0:
            yield list(_flips(copy, state, rng, stride))
        shutil.rmtree(copy)
        if state % 8 == 4:  # tables, a new manifest, an empty log
            collector(store).run()
            store.close()
            store = PLANTS[plant].open(live, statistics=True)
            synced = _Synced(store)
    store.close()


class _Synced:
    """The synced length of each log: its size when RocksDB last counted a sync."""

    def __init__(self, store: RocksStore) -> None:
        self._store = store
        self._count = 0
        self.sizes: dict[str, int] = {}
        self.record_sizes()

    def record_sizes(self) -> None:
        count = self._store.counter("rocksdb.wal.synced")
        for log in self._store.path.glob("*.log"):
            if count > self._count:
                self.sizes[log.name] = log.stat().st_size
            self.sizes.setdefault(log.name, 0)
        self._count = count


def _cuts(copy: Path, state: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the newest log truncated at every record (commit count intact and lagging), and at random offsets."""
    log = newest_log(copy)
    ends = [0, *record_ends(log.read_bytes())]
    for back, end in enumerate(reversed(ends)):
        yield Fault("cut at a record", copy, log.name, end, (state,), error=True)
        if back < state:
            # Records of a collection are no commits: up to a record, a few states are possible.
            earlier = tuple(range(max(0, state - back), state + 1))
            yield Fault("cut at a record, count lagging", copy, log.name, end, earlier, error=False, commits=0)
    for _ in range(4):
        at = rng.randrange(ends[-1] + 1)
        yield Fault("cut anywhere", copy, log.name, at, (state,), error=True)
        states = tuple(range(state + 1))
        yield Fault("cut anywhere, count lagging", copy, log.name, at, states, error=False, commits=0)


def _lost_tails(copy: Path, state: int, synced: dict[str, int]) -> Iterator[Fault]:
    for log in copy.glob("*.log"):
        yield Fault("lost unsynced tail", copy, log.name, synced.get(log.name, 0), (state,), error=False)


def _flips(copy: Path, state: int, rng: random.Random, stride: int) -> Iterator[Fault]:
    """Yield a flipped bit in each region of each file, and each file deleted or emptied."""
    for file in sorted(copy.iterdir()):
        kind = file.suffix.strip(".") or file.name.split("-")[0]
        for start in range(0, file.stat().st_size, stride):
            at = min(start + rng.randrange(stride), file.stat().st_size - 1)
            yield Fault(f"flip in {kind}", copy, file.name, 8 * at + rng.randrange(8), (state,), error=True)
        if file.name != COMMITS_FILE:
            yield Fault("file gone", copy, file.name, 0, (state,), error=True)
            yield Fault("file emptied", copy, file.name, 0, (state,), error=True)


@cache
def _roots() -> StateRoots:
    return StateRoots()


def outcome(fault: Fault, plant: str) -> str:
    """Return `reopened`, the name of a typed error, or `finding: ...`."""
    signal.alarm(TIMEOUT)  # ends this process even inside RocksDB
    with TemporaryDirectory(dir=scratch()) as place:
        folder = Path(shutil.copytree(fault.folder, Path(place, "store")))
        _damage(folder, fault)
        try:
            with RocksStore.open(folder, read_only=True) as store:
                found = check(store, _roots())
            with PLANTS[plant].open(folder) as store:
                again = check(store, _roots())
                commit_next(store)
                after = check(store, _roots())
        except StoreError as error:
            return type(error).__name__ if fault.error else f"finding: {type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - whatever else it is, it is a finding
            return f"finding: {type(error).__name__}: {error}"
    if found not in fault.states or (again, after) != (found, found + 1):
        return f"finding: reopened at {found}, {again}, then {after}; one of {fault.states} was due"
    return "reopened"


def _damage(folder: Path, fault: Fault) -> None:
    file = folder / fault.file
    content = bytearray(file.read_bytes())
    if fault.kind.startswith("flip"):
        content[fault.offset // 8] ^= 1 << fault.offset % 8
    else:
        del content[fault.offset :]
    if fault.kind == "file gone":
        file.unlink()
    else:
        file.write_bytes(content)
    if fault.commits is not None:
        (folder / COMMITS_FILE).write_bytes(b"%016d\n" % fault.commits)
