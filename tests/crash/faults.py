"""Faults below the store: failing writes, lost files, and kills.

- Parser for the ends of records in a RocksDB log.
- A store whose n-th write fails, for every n: before anything was written, or after everything was.
- Faults below RocksDB: a store is copied after each commit, and the copy is damaged before it is opened again.
- A process commits numbered states, collects garbage and reopens its folder, and is killed at random instants.

After the failure, the program continues with the same store or reopens the folder. In both cases the last acknowledged
state is present, the work can be finished, and the failed write leaves no data.

A kill loses nothing that the operating system holds, so these faults simulate a failing machine or disk: logs truncated
at every record and at random offsets, unsynced tails, flipped bits, and missing files. The copy must reopen at the
acknowledged state with every block, or with a typed error. If the count of commits lags (it is never synced) and the
log is truncated, it must reopen at an earlier acknowledged state.

Whatever it was doing, the folder must reopen at the last state that it acknowledged, or at the one that it was
committing, with every block.
"""

import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from store.blockstore import StoreError, StoreFull
from store.cid import Cid
from store.links import reachable
from store.rocks.database import RocksStore
from store.rocks.folder import COMMITS_FILE
from store.rocks.options import FULL, LAST, pieces
from store.roots import pin, unpin
from store.storage import Storage
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next
from tests.store.stores import copy_live, scratch, scratch_folder


def newest_log(folder: Path) -> Path:
    return max(folder.glob("*.log"))


def record_ends(log: bytes) -> list[int]:
    """Return the offset after each record, in order."""
    return [piece.end for piece in pieces(log) if piece.kind in (FULL, LAST) and piece.end <= len(log)]


COMMITS = 6


class Disk:
    """Counts writes to the database and makes one of them fail."""

    def __init__(self, database: Any, fail_at: int, done_before: bool) -> None:
        self._database = database
        self._fail_at = fail_at
        self._done_before = done_before
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write(self, *arguments: Any) -> None:
        """Write a batch, or fail."""
        self.writes += 1
        if self.writes != self._fail_at:
            self._database.write(*arguments)
            return
        if self._done_before:
            self._database.write(*arguments)
        raise Exception("IO error: No space left on device: injected")


def with_fault(folder: Path, fail_at: int, done_before: bool) -> RocksStore:
    """Open the store in a folder on such a disk. A `fail_at` of 0 never fails."""
    store = RocksStore.open(folder, sync=False)
    disk: Any = Disk(store._database, fail_at, done_before)
    store._database = disk
    if store._marks is not None:
        store._marks._database = disk
    return store


@dataclass(slots=True)
class Faults:
    """The result of a run: number of failed writes, and findings."""

    faults: int = 0
    findings: list[str] = field(default_factory=list)


def work(store: RocksStore) -> list[Callable[[], object]]:
    """Yield the steps of the work: commits, views, pins, and a collection between commits."""
    collections: list[Any] = []

    def put() -> None:
        with Storage.named(store, b"f0100") as storage:
            storage.commit(storage.head(), storage.put([storage.put("leaf")]))

    def begin() -> None:
        collections[:] = [collector(store, batch=3)]

    def step() -> None:
        for _ in range(5):
            if collections and not collections[0].step():
                collections[0].finish()
                collections.clear()

    def end() -> None:
        collector(store).run()

    def keep() -> None:
        pin(store, "kept", Cid(store.metadata(b"head") or b""))

    commit = [lambda: commit_next(store)]
    return [
        *commit * COMMITS, put, keep, begin, step, *commit, step, put, step, lambda: unpin(store, "kept"), *commit, end,
        *commit, end,
    ]  # fmt: skip


def run_faults(*, reopen: bool, done_before: bool, every: int = 1) -> Faults:
    """Fail each `every`-th write once, until a run of the work completes without reaching the failure."""
    roots = StateRoots()
    result = Faults()
    for fail_at in count(1, every):
        place = scratch_folder()
        try:
            if not _fails(place, fail_at, reopen, done_before, roots):
                return result
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            result.findings.append(f"write {fail_at}: {type(error).__name__}: {error}")
        finally:
            shutil.rmtree(place)
        result.faults += 1
    raise Unexpected("no end")


def _fails(folder: Path, fail_at: int, reopen: bool, done_before: bool, roots: StateRoots) -> bool:
    """Run the work with one failing write; return True if that write was reached."""
    store = with_fault(folder, fail_at, done_before)
    failed = False
    steps = work(store)
    at = 0
    while at < len(steps):
        before = check(store, roots)
        try:
            steps[at]()
            at += 1
        except StoreFull:
            failed = True
            if reopen:
                store.close()
                store = RocksStore.open(folder, sync=False)
                steps = work(store)
            if check(store, roots) not in (before, before + 1):
                raise Unexpected(f"state {before} before the failure, {check(store, roots)} after it") from None
        except StoreError as error:
            raise Unexpected(f"step {at}: {error}") from error
    store.close()
    store = RocksStore.open(folder, sync=False)  # on a disk without faults
    collector(store).run()
    kept = {Cid(store.metadata(key) or b"") for key in (b"head", b"storage/f0100")}
    if set(store.cids()) != reachable(store, kept) | {Cid(store.index(b"header") or b"")}:
        raise Unexpected("what is stored is not what is reachable")
    store.close()
    return failed


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


def run_sweep(folder: Path, commits: int, seed: int, stride: int) -> Sweep:
    """Test a history of `commits`; a bit is flipped in every `stride` bytes of every file."""
    rng = random.Random(seed)
    result = Sweep()
    with ProcessPoolExecutor(WORKERS, get_context("forkserver")) as pool:
        for faults in _history(folder, commits, rng, stride):
            for fault, outcome in _outcomes(pool, faults):
                result.outcomes[f"{fault.kind}: {outcome.split(':')[0]}"] += 1
                if outcome.startswith("finding"):
                    result.findings.append(f"{fault}: {outcome}")
            if len(result.findings) > 20:
                break
    return result


def _outcomes(pool: ProcessPoolExecutor, faults: list[Fault]) -> Iterable[tuple[Fault, str]]:
    try:
        yield from zip(faults, pool.map(outcome, faults, chunksize=8), strict=True)
    except BrokenProcessPool:
        raise Unexpected(f"opening a damaged copy killed the process, or hung: one of {len(faults)} faults") from None


def _history(folder: Path, commits: int, rng: random.Random, stride: int) -> Iterator[list[Fault]]:
    """Yield the faults after each commit. The store is sometimes reopened and collected."""
    live = folder / "live"
    store = RocksStore.open(live, statistics=True)
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
            store = RocksStore.open(live, statistics=True)
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


def outcome(fault: Fault) -> str:
    """Return `reopened`, the name of a typed error, or `finding: ...`."""
    signal.alarm(TIMEOUT)  # ends this process even inside RocksDB
    with TemporaryDirectory(dir=scratch()) as place:
        folder = Path(shutil.copytree(fault.folder, Path(place, "store")))
        _damage(folder, fault)
        try:
            with RocksStore.open(folder, read_only=True) as store:
                found = check(store, _roots())
            with RocksStore.open(folder) as store:
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


LONGEST = 0.12
"""Maximum life of a writer in seconds, if it is killed by time."""


@dataclass(slots=True)
class Kills:
    """The result of a run. `during` counts the activities that were interrupted."""

    kills: int = 0
    commits: int = 0
    in_flight_kept: int = 0
    during: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def write(folder: str, seed: int, pipe: Connection) -> None:
    """Write states; print each action before it starts, and each number after its commit is acknowledged."""
    rng = random.Random(seed)
    while True:
        pipe.send("open")
        with RocksStore.open(folder) as store:
            pipe.send("commit")
            for _ in range(rng.randrange(5, 60)):
                pipe.send(commit_next(store))
            pipe.send("collect")
            collection = collector(store, rng.randrange(5, 100))
            for _ in range(rng.randrange(40)):
                if not collection.step():
                    pipe.send("compact")
                    collection.finish()
                    break
                pipe.send(commit_next(store))


def run_kills(folder: Path, count: int, seed: int) -> Kills:
    """Kill `count` writers of one folder in sequence; stop at a finding."""
    context = get_context("forkserver")  # a process that never opened a store makes the writers, in milliseconds
    context.set_forkserver_preload(["tests.crash.faults"])
    rng = random.Random(seed)
    roots = StateRoots()
    result = Kills()
    acknowledged = 0
    for number in range(count):
        ours, theirs = context.Pipe(duplex=False)
        writer = context.Process(target=write, args=(str(folder), rng.getrandbits(32), theirs))
        writer.start()
        theirs.close()
        doing = ours.recv()  # it lives
        heard = []
        if rng.random() < 0.5:  # after some commits, else wherever it is after some time
            heard = [ours.recv() for _ in range(rng.randrange(60))]
            sleep(rng.random() * 0.002)
        else:
            sleep(rng.random() * LONGEST)
        writer.kill()
        try:
            while True:
                said = heard.pop(0) if heard else ours.recv()
                if isinstance(said, int):
                    acknowledged = said
                else:
                    doing = said
        except (EOFError, OSError):
            ours.close()
        writer.join()
        result.kills += 1
        result.during[doing] = result.during.get(doing, 0) + 1
        try:
            with RocksStore.open(folder) as store:
                found = check(store, roots)
            if found not in (acknowledged, acknowledged + 1):
                raise Unexpected(f"state {acknowledged} was acknowledged, state {found} is there")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            result.findings.append(f"kill {number} during {doing}: {type(error).__name__}: {error}")
            break
        result.in_flight_kept += found - acknowledged
        acknowledged = found
    result.commits = acknowledged
    shutil.rmtree(folder, ignore_errors=True)
    return result
