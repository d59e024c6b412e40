"""System calls that fail below the store and below a network: `make crash-faults`.

    python -m tests.crash.system_faults --count 2000 --seed 1 [--pause 60] [--record FILE]

There are `count` cases. Each case is a process that commits, collects garbage and reopens its folder, and in which one
fault happens from some system call on, once or until it is over (faulty_process.FAULTS): calls fail or are shortened,
the process is killed, stopped for `pause` seconds or limited in memory, or the clock is stepped. The process reopens
its folder after an error, and the next process after the end of one, and continues. Every error must be a StoreError
that names a remedy, every acknowledged commit must be present, and the work must reach its end once the fault is over.
A library that is loaded with LD_PRELOAD makes the faults (system_faults.c), so this needs Linux and a C compiler.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Final

from localnet import Network
from store.rocks.database import RocksStore
from tests.crash import faulty_process, states
from tests.crash.faulty_process import FAULTS, KINDS, RUNS, TIME_LIMIT, Case
from tests.crash.states import StateRoots, check
from tests.harness.paths import PROJECT
from tests.harness.recorded import NotRun, RunRecord, finish, options
from tests.localnet.conftest import Clock
from tests.store.stores import scratch_folder

SOURCE: Final = Path(__file__).with_suffix(".c")
REMEDIES: Final = ("free space", "ulimit", "remount", "check the disk", "reopen")
"""Texts of which each error must contain one."""
STORE_COMMITS: Final = 8
NETWORK_EPOCHS: Final = 12
PAUSE: Final = 1.0
"""Seconds for which a stopped process waits by default."""
ENDS: Final = (-signal.SIGKILL, -signal.SIGABRT, 127)
"""Exit codes of a process that a fault may end: C++ and Rust abort without memory, glibc exits with 127."""
OUT_OF_MEMORY: Final = ("MemoryError", "failed to map segment", "PanicException Python API call failed")
"""Errors of a process without memory that end it: of Python, of its loader, and of Rust calling Python."""


@dataclass(slots=True)
class Outcome:
    """Observations of a case's process: acknowledged states, errors, and system calls by kind."""

    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    beside: str = ""
    is_finished: bool = False
    calls: tuple[int, ...] = (0,) * len(KINDS)
    uncaught: str = ""
    code: int = 0

    @property
    def last(self) -> int:
        """The number of the last acknowledged state; 0 if there is none."""
        return self.acknowledged[-1][0] if self.acknowledged else 0

    @property
    def ending(self) -> str:
        """The effect of the fault on the process."""
        if not self.is_finished:
            return "ended"
        return f"folder {self.beside}" if self.beside else "error" if self.errors else "no error"

    @property
    def problem(self) -> str:
        """Reason why a process that had to reach its end did not, or an error without a remedy; empty if correct."""
        if dumb := [text for text in self.errors if not any(remedy in text for remedy in REMEDIES)]:
            return f"no remedy: {dumb[0]}"
        if self.is_finished and not self.code and not self.uncaught:
            return ""
        return f"{self.uncaught or f'exit code {self.code}'}, after {self.errors}"


class Processes:
    def __init__(self, library: Path, pause: float) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", faulty_process.__name__, str(library), str(pause)],
            cwd=PROJECT,
            env=os.environ | {"LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, case: Case, folder: Path) -> Outcome:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(case.line(folder), file=self._server.stdin)
        self._server.stdin.flush()
        outcome = Outcome()
        for line in self._server.stdout:
            word, _, rest = line.rstrip().partition(" ")
            match word:
                case "acknowledged":
                    number, _, mark = rest.partition(" ")
                    outcome.acknowledged.append((int(number), mark))
                case "error":
                    outcome.errors.append(rest)
                case "beside":
                    outcome.beside = rest
                    if rest == "opened" and 0 < outcome.last < case.end:
                        outcome.uncaught = "another process could open the folder of the stopped one"
                case "finished":
                    outcome.is_finished, outcome.calls = True, tuple(map(int, rest.split()))
                case "uncaught":
                    outcome.uncaught = rest
                case "exit":
                    outcome.code = int(rest)
                    return outcome
        raise RuntimeError("the server of the processes has ended")

    def close(self) -> None:
        self._server.communicate(timeout=TIME_LIMIT)


@contextmanager
def processes(build: Path, pause: float = PAUSE) -> Iterator[Processes]:
    """Compile the library and start the server. Raises NotRun without Linux or a C compiler."""
    compiler = shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        raise NotRun("it needs Linux and a C compiler, `cc`")
    library = build / "system_faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SOURCE, "-ldl"], check=True)
    served = Processes(library, pause)
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
        height = states.start_network(place / "network", NETWORK_EPOCHS)
        self.ends = {"store": STORE_COMMITS, "network": height}
        self._first_states = {"store": 0, "network": height - NETWORK_EPOCHS}
        self._states = {"store": [*range(STORE_COMMITS + 2)]}
        self.calls = {run: self._fault_free(run) for run in RUNS}
        self.outcomes: Counter[str] = Counter()

    def _fault_free(self, run: str) -> tuple[int, ...]:
        folder = self._folder(run)
        outcome = self._served.run(Case(run, self.ends[run], "disk full", 0), folder)
        if outcome.problem or outcome.errors:
            raise RuntimeError(f"the run without faults fails: {outcome}")
        if run == "network":
            with Network(folder, clock=Clock()) as network:
                self._tipsets = states.tipset_positions(network)
            self._states[run] = sorted(height for height, _, _ in self._tipsets)
        shutil.rmtree(folder)
        return outcome.calls

    def _folder(self, run: str) -> Path:
        folder = scratch_folder()
        first = self._first[run]
        if first is not None:
            shutil.copytree(first, folder, dirs_exist_ok=True)
        return folder

    def calls_of(self, run: str, fault: str) -> int:
        """Return how many calls of the fault's kinds a run without faults makes."""
        return sum(count for kind, count in zip(KINDS, self.calls[run], strict=True) if kind in FAULTS[fault].calls)

    def case(self, fault: str, rng: random.Random) -> Case:
        """Return a random case of a fault: three of four are on the store alone."""
        run = "network" if rng.random() < 0.25 else "store"
        return Case(run, self.ends[run], fault, rng.randint(1, max(self.calls_of(run, fault), 1)))

    def cases(self, count: int, rng: random.Random) -> Iterator[Case]:
        for _ in range(count):
            yield self.case(rng.choice([*FAULTS]), rng)

    def problem(self, case: Case) -> str:
        """Run a case and return what is wrong with it; empty if nothing is."""
        folder = self._folder(case.run)
        try:
            outcome = self._served.run(case, folder)
            self.outcomes[f"{case.fault}: {outcome.ending}"] += 1
            if FAULTS[case.fault].ends_process and not outcome.is_finished:
                if wrong := _wrong_end(outcome):
                    return wrong
                before, outcome = outcome, self._served.run(replace(case, at=0), folder)
                if wrong := self.gap(case, before, outcome):
                    return wrong
                outcome.acknowledged[:0] = before.acknowledged
            return outcome.problem or self._loss(case, folder, outcome)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def gap(self, case: Case, before: Outcome, after: Outcome) -> str:
        """Return what is wrong between the last state of a process and the first one of the next process."""
        if not after.acknowledged:
            return ""
        states, first = self._states[case.run], after.acknowledged[0][0]
        last = before.last or self._first_states[case.run]
        # one commit in between may be complete without having been acknowledged
        if states.index(first) - states.index(last) in (1, 2):
            return ""
        return f"{last} acknowledged, the next process continues with {first}"

    def _loss(self, case: Case, folder: Path, outcome: Outcome) -> str:
        """Return what is missing in the folder after the run."""
        try:
            if case.run == "network":
                return self._lost_tipset(case, folder, outcome)
            with RocksStore.open(folder) as store:
                number = check(store, self._roots)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return f"{type(error).__name__}: {error}"
        # an unacknowledged commit may be on disk: the last of a process that was ended, or one that failed
        return "" if number == case.end else f"the run ends at {case.end}, {number} is there"

    def _lost_tipset(self, case: Case, folder: Path, outcome: Outcome) -> str:
        """Return what differs between the chain and the acknowledged tipsets, and the run without faults."""
        with Network(folder, clock=Clock()) as network:
            found = states.tipset_positions(network)
            keys = {height: key.hex() for height, key, _ in found}
            times = [network.chain.index.tipset(height).timestamp for height, _, _ in found]
        for height, key in outcome.acknowledged:
            if keys.get(height) != key:
                return f"tipset {height} was acknowledged as {key}, the chain has {keys.get(height)}"
        if not all(later > earlier for later, earlier in pairwise(times)):
            return f"the times of the tipsets do not ascend: {times[::-1]}"
        same = case.has_own_time or found == self._tipsets
        return "" if same else "the chain differs from the one without faults"


def _wrong_end(outcome: Outcome) -> str:
    """Return why a process that may end must not end so; empty if it may."""
    if any(text in outcome.uncaught for text in OUT_OF_MEMORY) or (not outcome.uncaught and outcome.code in ENDS):
        return ""
    return outcome.problem


def recorded(count: int, seed: int, pause: float) -> RunRecord:
    """Run the cases and return their record."""
    place = scratch_folder()
    try:
        with processes(place, pause) as served:
            suite, rng = Suite(served, place), random.Random(seed)
            findings = [f"{case}: {wrong}" for case in suite.cases(count, rng) if (wrong := suite.problem(case))]
            outcomes = dict(sorted(suite.outcomes.items()))
    finally:
        shutil.rmtree(place)
    failed = sum(number for name, number in outcomes.items() if not name.endswith(": no error"))
    stages = {"run": count, "continued to the end": count - len(findings)}
    details = {"cases with an error or an end of the process": failed, "faults": outcomes}
    return RunRecord(seed, count, stages, findings, details)


def main() -> int:
    """Parse the command line and run."""
    parser = options(__doc__, 2000)
    parser.add_argument(
        "--pause", type=float, default=PAUSE, metavar="S", help=f"of stopped processes; default: {PAUSE}"
    )
    chosen = parser.parse_args()
    started = monotonic()
    try:
        return finish(recorded(chosen.count, chosen.seed, chosen.pause), chosen, started)
    except NotRun as error:
        print(f"NOT RUN: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
