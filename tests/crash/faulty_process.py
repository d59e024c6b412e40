"""Processes whose system calls have a fault: a server that forks one per case, for tests/crash/system_faults.py.

    LD_PRELOAD=system_faults.so python -m tests.crash.faulty_process system_faults.so

Each line of standard input is a case and a folder. The process of a case commits, collects garbage and reopens its
folder (RUNS), and continues after errors. It prints what it acknowledged and each error.
"""

import ctypes
import errno
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from localnet import Network
from store.blockstore import StoreError, StoreLocked
from store.rocks.database import RocksStore
from tests.crash import states
from tests.crash.states import StateRoots, Unexpected, check, collector, commit_next
from tests.localnet.conftest import Clock

KINDS: Final = ("write", "sync", "open", "create", "names")
"""Kinds of system calls, in the order of system_faults.c. `create` opens a file to change it, `open` to read it;
`names` are rename, link, unlink and ftruncate.
"""


class Action(IntEnum):
    """Effect on a chosen call or on its process, as in system_faults.c."""

    FAIL = 0
    SHORTEN = 1
    KILL = 2
    STOP = 3
    LIMIT_MEMORY = 4
    STEP_CLOCK = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """An action at `span` consecutive calls of these kinds; `value` is an errno, bytes or seconds."""

    calls: tuple[str, ...]
    action: Action
    value: int = 0
    span: int = 1

    @property
    def ends_process(self) -> bool:
        """True if the process may end; the next one on its folder must continue."""
        return self.action in (Action.KILL, Action.LIMIT_MEMORY)

    @property
    def kinds(self) -> int:
        return sum(1 << KINDS.index(kind) for kind in self.calls)


LASTING: Final = 1_000_000
DAY: Final = 86_400
_CHANGES: Final = ("write", "create", "names")
FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "disk full": Fault(("write",), Action.FAIL, errno.ENOSPC, LASTING),
        "disk full, no new file": Fault(("create",), Action.FAIL, errno.ENOSPC, LASTING),
        "disk full for one write": Fault(("write",), Action.FAIL, errno.ENOSPC),
        "quota exceeded": Fault(("write",), Action.FAIL, errno.EDQUOT, 3),
        "write error": Fault(("write",), Action.FAIL, errno.EIO),
        "short write": Fault(("write",), Action.SHORTEN),
        "short writes": Fault(("write",), Action.SHORTEN, span=LASTING),
        "sync error": Fault(("sync",), Action.FAIL, errno.EIO),
        "sync errors": Fault(("sync",), Action.FAIL, errno.EIO, 4),
        "out of file descriptors": Fault(("open", "create"), Action.FAIL, errno.EMFILE, 6),
        "read-only remount": Fault(_CHANGES, Action.FAIL, errno.EROFS, LASTING),
        "read-only remount for a time": Fault(_CHANGES, Action.FAIL, errno.EROFS, 6),
        "rename or unlink error": Fault(("names",), Action.FAIL, errno.EIO, 2),
        "kill for lack of memory": Fault(KINDS, Action.KILL),
        "memory limit reached": Fault(KINDS, Action.LIMIT_MEMORY, 0, LASTING),
        "memory limit after a megabyte": Fault(KINDS, Action.LIMIT_MEMORY, 1 << 20, LASTING),
        "stopped process": Fault(KINDS, Action.STOP),
        "clock a day back, then right": Fault(("write", "sync"), Action.STEP_CLOCK, -DAY, 6),
        "clock a year ahead, then right": Fault(("write", "sync"), Action.STEP_CLOCK, 365 * DAY, 6),
    }
)
ERRORS_BEFORE_THE_END: Final = 4
"""Number of errors after which a lasting fault ends: space is free again."""
TIME_LIMIT: Final = 300
"""Seconds after which a process counts as hanging; an idle machine needs less than one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in one run up to state or height `end`, from the `at`-th of its calls on; 0 is no fault."""

    run: str
    end: int
    fault: str
    at: int

    def __str__(self) -> str:
        return f"{self.run}: {self.fault} from call {self.at} on"

    @property
    def has_own_time(self) -> bool:
        """True if the run uses the system's clock, so its tipsets differ from those of other runs."""
        return FAULTS[self.fault].action is Action.STEP_CLOCK

    def line(self, folder: Path) -> str:
        return shlex.join([self.run, str(self.end), self.fault, str(self.at), str(folder)])

    @classmethod
    def from_line(cls, line: str) -> "tuple[Case, Path]":
        run, end, fault, at, folder = shlex.split(line)
        return cls(run, int(end), fault, int(at)), Path(folder)


class StoreRun:
    """Commits on a store, with a collection and a compaction in the middle."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._end = case.end
        self._store: RocksStore = RocksStore.open(folder)
        check(self._store, StateRoots())

    def step(self) -> tuple[int, str] | None:
        """Commit the next state and return its number, or None at the end."""
        number = int(self._store.metadata(b"number") or 0)
        if number >= self._end:
            return None
        if number == self._end // 2:
            collector(self._store).run()
            self._store.compact()
        return commit_next(self._store), ""

    def close(self) -> None:
        self._store.close()


class NetworkRun:
    """Tipsets of a network with a fixed history; their times are fixed unless the case has its own time."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._end = case.end
        self._network = Network(folder, clock=time.time if case.has_own_time else Clock())
        if self._network.machine.root != self._network.head.state:
            raise Unexpected("the machine's state is not the head's state")

    def step(self) -> tuple[int, str] | None:
        """Make the next tipset and return its height and key, or None at the end."""
        if self._network.block_number >= self._end:
            return None
        states.make_tipset(self._network)
        return self._network.block_number, self._network.head.key.hex()

    def close(self) -> None:
        self._network.close()


Run = StoreRun | NetworkRun
RUNS: Final[Mapping[str, Callable[[Path, Case], Run]]] = MappingProxyType({"store": StoreRun, "network": NetworkRun})


def _say(*words: object) -> None:
    """Print a line by one system call, so that a process without memory prints no part of it."""
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


def _work(library: ctypes.CDLL, case: Case, folder: Path) -> None:
    """Do the work of a case in this process, and print what happens."""
    fault = FAULTS[case.fault]
    library.fault_arm(
        os.fsencode(folder), fault.kinds, case.at, fault.span if case.at else 0, int(fault.action), fault.value
    )
    run: Run | None = None
    errors = acknowledged = 0
    while True:
        try:
            run = run or RUNS[case.run](folder, case)
            step = run.step()
            if step is None:
                closing, run = run, None
                closing.close()
                break
            if step[0] <= acknowledged:
                raise Unexpected(f"state {step[0]} follows state {acknowledged}, which was acknowledged")
            acknowledged = step[0]
            _say("acknowledged", *step)
        except StoreError as error:
            _print_error(error)
            errors += 1
            if errors == ERRORS_BEFORE_THE_END:
                library.fault_disarm()
            if errors > ERRORS_BEFORE_THE_END + 1:
                raise
            _close(run)
            run = None
    _say("finished", *(library.fault_count(kind) for kind in range(len(KINDS))))


def _close(run: Run | None) -> None:
    """Close a run after an error; the store reports the same fault again, or none."""
    if run is not None:
        try:
            run.close()
        except StoreError as error:
            _print_error(error)


def _print_error(error: BaseException, word: str = "error") -> None:
    _say(word, type(error).__name__, " ".join(str(error).split()))


def _forked(work: Callable[[], None]) -> int:
    """Run a function in a forked process with a time limit; return the process's id."""
    process = os.fork()
    if not process:
        signal.alarm(TIME_LIMIT)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
            _print_error(error, "uncaught")
            os._exit(1)
        os._exit(0)
    return process


def _open_beside(folder: Path) -> None:
    """Open the folder of a stopped process: it is locked, unless that process has not opened it yet."""
    try:
        with RocksStore.open(folder) as store:
            store.metadata(b"number")
        _say("beside opened")
    except StoreLocked:
        _say("beside locked")


def serve(library: str, pause: float) -> None:
    """Run one process per case that standard input names; a stopped one continues after `pause` seconds."""
    loaded = ctypes.CDLL(library)
    loaded.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_uint, *[ctypes.c_long] * 2, ctypes.c_int, ctypes.c_long]
    loaded.fault_count.restype = ctypes.c_long
    for line in sys.stdin:
        case, folder = Case.from_line(line)
        process = _forked(lambda case=case, folder=folder: _work(loaded, case, folder))  # type: ignore[misc]
        _, status = os.waitpid(process, os.WUNTRACED)
        while os.WIFSTOPPED(status):
            os.waitpid(_forked(lambda folder=folder: _open_beside(folder)), 0)  # type: ignore[misc]
            time.sleep(pause)
            os.kill(process, signal.SIGCONT)
            _, status = os.waitpid(process, os.WUNTRACED)
        _say("\nexit", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve(sys.argv[1], float(sys.argv[2]))
