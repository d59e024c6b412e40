"""System calls that fail below the store and below a network: `make crash-faults`.

    python -m tests.crash.system_faults --count 2000 --seed 1 [--record FILE]

There are `count` cases. Each case is a process that commits, collects garbage and reopens its folder (RUNS), and in
which one kind of system call fails from some call on, once or until space is free again (FAULTS). The process reopens
its folder after an error, and continues. Every error must be a StoreError that names a remedy, every acknowledged
commit must be present, and the work must reach its end once the fault is over. Shorter runs with planted defects must
fail. A library that is loaded with LD_PRELOAD makes the calls fail (system_faults.c), so this needs Linux and a C
compiler.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from bench.data import PROJECT
from bench.recorded import NotRun, RunRecord, finish, options
from localnet import Network
from store.blockstore import StoreError
from store.rocks import RocksStore
from tests.crash import life
from tests.crash.plants import PLANTS
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next
from tests.localnet.conftest import Clock
from tests.store.copies import scratch_folder

SOURCE: Final = Path(__file__).with_suffix(".c")
KINDS: Final = ("write", "sync", "open", "names")
"""Kinds of system calls, in the order of system_faults.c. `names` are rename, link, unlink and ftruncate."""
FAULTS: Final = {
    "disk full": ("write", errno.ENOSPC, 1_000_000),
    "disk full, no new file": ("open", errno.ENOSPC, 1_000_000),
    "disk full for one write": ("write", errno.ENOSPC, 1),
    "quota exceeded": ("write", errno.EDQUOT, 3),
    "write error": ("write", errno.EIO, 1),
    "short write": ("write", 0, 1),
    "short writes": ("write", 0, 1_000_000),
    "sync error": ("sync", errno.EIO, 1),
    "sync errors": ("sync", errno.EIO, 4),
    "out of file descriptors": ("open", errno.EMFILE, 6),
    "read-only remount": ("open", errno.EROFS, 6),
    "rename or unlink error": ("names", errno.EIO, 2),
}
"""Faults by name: kind of call, errno (0 writes half of the bytes), number of consecutive calls that fail."""
REMEDIES: Final = ("free space", "ulimit", "remount", "reopen")
"""Texts of which each error must contain one."""
ERRORS_BEFORE_THE_END: Final = 4
"""Number of errors after which a lasting fault ends: space is free again."""
STORE_COMMITS: Final = 8
NETWORK_EPOCHS: Final = 12
TIME_LIMIT: Final = 300
"""Seconds after which a process counts as hanging; an idle machine needs less than one."""
PLANTED: Final = ("no-batch", "ignores-errors")


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in one run up to state or height `end`; the first failing call is the `at`-th of its kind."""

    run: str
    end: int
    fault: str
    at: int
    plant: str = "none"

    def __str__(self) -> str:
        return f"{self.run}: {self.fault} from call {self.at} on"


@dataclass(slots=True)
class Outcome:
    """Observations of a case's process: acknowledged states, errors, and system calls by kind."""

    acknowledged: int = 0
    errors: list[str] = field(default_factory=list)
    is_finished: bool = False
    calls: tuple[int, ...] = (0, 0, 0, 0)
    status: str = ""


# --- in the process with the library ------------------------------------------------------------------------------


class StoreRun:
    """Commits on a store, with a collection and a compaction in the middle."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._end = case.end
        self._store: RocksStore = PLANTS[case.plant].open(folder)
        check(self._store, StateRoots())

    def step(self) -> int | None:
        """Commit the next state and return its number, or None at the end."""
        number = int(self._store.metadata(b"number") or 0)
        if number >= self._end:
            return None
        if number == self._end // 2:
            collector(self._store).run()
            self._store.compact()
        return commit_next(self._store)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class NetworkRun:
    """Tipsets of a network with a fixed history."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._end = case.end
        self._network = Network(folder, clock=Clock())
        if self._network.machine.root != self._network.head.state:
            raise Unexpected("the machine's state is not the head's state")

    def step(self) -> int | None:
        """Make the next tipset and return its height, or None at the end."""
        if self._network.block_number >= self._end:
            return None
        life.make_tipset(self._network)
        return self._network.block_number

    def close(self) -> None:
        """Close the network."""
        self._network.close()


RUNS: Final[dict[str, Callable[[Path, Case], StoreRun | NetworkRun]]] = {"store": StoreRun, "network": NetworkRun}


def _work(library: ctypes.CDLL, case: Case, folder: Path) -> None:
    """Do the work of a case in this process, and print what happens."""
    kind, number, span = FAULTS[case.fault]
    library.fault_arm(os.fsencode(folder), KINDS.index(kind), case.at, span if case.at else 0, number)
    run: StoreRun | NetworkRun | None = None
    errors = acknowledged = 0
    while True:
        try:
            run = run or RUNS[case.run](folder, case)
            step = run.step()
            if step is None:
                closing, run = run, None
                closing.close()
                break
            if step <= acknowledged:
                raise Unexpected(f"state {step} follows state {acknowledged}, which was acknowledged")
            acknowledged = step
            print("acknowledged", step, flush=True)
        except StoreError as error:
            print("error", type(error).__name__, " ".join(str(error).split()), flush=True)
            errors += 1
            if errors == ERRORS_BEFORE_THE_END:
                library.fault_disarm()
            if errors > ERRORS_BEFORE_THE_END + 1:
                raise
            _close(run)
            run = None
    print("finished", *(library.fault_count(kind) for kind in range(len(KINDS))), flush=True)


def _close(run: StoreRun | NetworkRun | None) -> None:
    """Close a run after an error; the store reports the same fault again, or none."""
    if run is not None:
        try:
            run.close()
        except StoreError as error:
            print("error", type(error).__name__, " ".join(str(error).split()), flush=True)


def serve(library: str) -> None:
    """Run one forked process per case that standard input names, with a time limit."""
    loaded = ctypes.CDLL(library)
    for line in sys.stdin:
        run, end, fault, at, plant, folder = shlex.split(line)
        process = os.fork()
        if not process:
            signal.alarm(TIME_LIMIT)
            try:
                _work(loaded, Case(run, int(end), fault, int(at), plant), Path(folder))
                code = 0
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
                print("uncaught", type(error).__name__, " ".join(str(error).split()), flush=True)
                code = 1
            os._exit(code)
        _, status = os.waitpid(process, 0)
        print("\nexit", os.waitstatus_to_exitcode(status), flush=True)


# --- in the parent ------------------------------------------------------------------------------------------------


class Processes:
    """The server of the cases' processes."""

    def __init__(self, library: Path) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, "--serve", str(library)],
            cwd=PROJECT,
            env=os.environ | {"LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, case: Case, folder: Path) -> Outcome:
        """Run a case in a folder."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        words = [case.run, str(case.end), case.fault, str(case.at), case.plant, str(folder)]
        print(shlex.join(words), file=self._server.stdin)
        self._server.stdin.flush()
        outcome = Outcome()
        for line in self._server.stdout:
            word, _, rest = line.rstrip().partition(" ")
            match word:
                case "acknowledged":
                    outcome.acknowledged = int(rest)
                case "error":
                    outcome.errors.append(rest)
                case "finished":
                    outcome.is_finished, outcome.calls = True, tuple(map(int, rest.split()))
                case "uncaught":
                    outcome.status = rest
                case "exit":
                    if rest != "0":
                        outcome.status = outcome.status or f"exit code {rest}"
                    return outcome
        raise RuntimeError("the server of the processes has ended")

    def close(self) -> None:
        """End the server."""
        self._server.communicate(timeout=TIME_LIMIT)


@contextmanager
def processes(build: Path) -> Iterator[Processes]:
    """Compile the library and start the server. Raises NotRun without Linux or a C compiler."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        raise NotRun("it needs Linux and a C compiler, `cc`")
    library = build / "system_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE, "-ldl"], check=True)
    served = Processes(library)
    try:
        yield served
    finally:
        served.close()


class Suite:
    """Cases, each in a new copy of its run's first folder."""

    def __init__(self, served: Processes, place: Path) -> None:
        self._served, self._place = served, place
        self._roots = StateRoots()
        self._first = {"store": None, "network": place / "network"}
        self.ends = {"store": STORE_COMMITS, "network": life.start_network(place / "network", NETWORK_EPOCHS)}
        self.calls = {run: self._fault_free(run) for run in RUNS}
        self.outcomes: Counter[str] = Counter()

    def _fault_free(self, run: str) -> tuple[int, ...]:
        folder = self._folder(run)
        outcome = self._served.run(Case(run, self.ends[run], "disk full", 0), folder)
        if not outcome.is_finished or outcome.errors:
            raise RuntimeError(f"the run without faults fails: {outcome}")
        if run == "network":
            with Network(folder, clock=Clock()) as network:
                self._tipsets = life.tipset_positions(network)
        shutil.rmtree(folder)
        return outcome.calls

    def _folder(self, run: str) -> Path:
        folder = scratch_folder()
        first = self._first[run]
        if first is not None:
            shutil.copytree(first, folder, dirs_exist_ok=True)
        return folder

    def cases(self, count: int, rng: random.Random) -> Iterator[Case]:
        """Yield random cases: three of four on the store alone."""
        for _ in range(count):
            run = "network" if rng.random() < 0.25 else "store"
            fault = rng.choice([*FAULTS])
            calls = self.calls[run][KINDS.index(FAULTS[fault][0])]
            yield Case(run, self.ends[run], fault, rng.randint(1, max(calls, 1)))

    def planted(self, plant: str) -> Iterator[Case]:
        """Yield a full disk at every third write of the store, for a store with a planted defect."""
        for at in range(1, self.calls["store"][KINDS.index("write")], 3):
            yield Case("store", self.ends["store"], "disk full for one write", at, plant)

    def problem(self, case: Case) -> str:
        """Run a case and return what is wrong with it; empty if nothing is."""
        folder = self._folder(case.run)
        try:
            outcome = self._served.run(case, folder)
            self.outcomes[f"{case.fault}: {'error' if outcome.errors else 'no error'}"] += 1
            if outcome.status or not outcome.is_finished:
                return f"{outcome.status}, after {outcome.errors}"
            if dumb := [text for text in outcome.errors if not any(remedy in text for remedy in REMEDIES)]:
                return f"no remedy: {dumb[0]}"
            return self._loss(case, folder, outcome)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _loss(self, case: Case, folder: Path, outcome: Outcome) -> str:
        """Return what is missing in the folder after the run."""
        try:
            if case.run == "network":
                with Network(folder, clock=Clock()) as network:
                    same = life.tipset_positions(network) == self._tipsets
                return "" if same else "the chain differs from the one without faults"
            with RocksStore.open(folder) as store:
                number = check(store, self._roots)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return f"{type(error).__name__}: {error}"
        complete = {outcome.acknowledged, outcome.acknowledged + bool(outcome.errors)}  # a failed commit may be on disk
        return "" if number in complete else f"{outcome.acknowledged} acknowledged, {number} is there"


def recorded(count: int, seed: int) -> RunRecord:
    """Run the cases, and a full disk at many writes with each planted defect."""
    place = scratch_folder()
    try:
        with processes(place) as served:
            suite, rng = Suite(served, place), random.Random(seed)
            findings = [f"{case}: {wrong}" for case in suite.cases(count, rng) if (wrong := suite.problem(case))]
            outcomes = dict(sorted(suite.outcomes.items()))
            planted = {
                plant: {"findings": sum(map(bool, map(suite.problem, suite.planted(plant))))} for plant in PLANTED
            }
    finally:
        shutil.rmtree(place)
    failed = sum(number for name, number in outcomes.items() if name.endswith(": error"))
    stages = {"run": count, "continued to the end": count - len(findings)}
    return RunRecord(seed, count, stages, findings, planted, {"cases with an error": failed, "faults": outcomes})


def main() -> int:
    """Parse the command line and run."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
        return 0
    chosen = options(__doc__, 2000).parse_args()
    started = monotonic()
    try:
        return finish(recorded(chosen.count, chosen.seed), chosen, started)
    except NotRun as error:
        print(f"NOT RUN: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
