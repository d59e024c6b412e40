"""Worker processes of this machine.

A thread of the parent drives each worker: it sends a call, and receives the call's events and its result. A worker
remembers the function of its last call, so what all jobs of a run share is sent once.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection, Pipe
from threading import Lock
from typing import Any, Final, Generic, NamedTuple, TypeVar

from hypervisor.errors import HypervisorError
from hypervisor_tools.jobs.fork_server import ForkServer, Load, WorkerProcess, when_closed

T = TypeVar("T")
R = TypeVar("R")

_EXIT_SECONDS: Final = 1.0
"""Seconds for a process to end its programs."""
ATTEMPTS: Final = 2
"""Number of workers that a job may end before it is given up."""
AT_EXIT: Final[list[Callable[[], None]]] = []
"""Functions that a worker calls before it exits early, perhaps during an import."""


class WorkerEnded(Exception):  # an event rather than an error
    """A worker process ended during a call."""


class Stopped(Exception):  # an event rather than an error
    """The run was stopped, and with it the worker."""


class JobLost(HypervisorError):
    """Raised for a job whose worker process ended each time that it ran."""


class Message(NamedTuple):
    """A message of a worker: an event of its call, `done` with the pickled result, or `failed` with the exception."""

    kind: str
    payload: Any


def dump(value: object) -> bytes:
    """Return a job or a result as bytes for `load`."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def load(data: bytes) -> Any:
    """Return the value of `dump`, which comes from this command's own processes."""
    return pickle.loads(data)  # noqa: S301


def load_nothing() -> None:
    """Load nothing in advance."""


_server: ForkServer | None = None
_load: Load = load_nothing
_starting: Final = Lock()


def prepare_workers(load: Load = load_nothing) -> None:
    """Start the server with what `load` loads, unless there is one; call it before there are threads."""
    global _server, _load
    if _server is None:
        _load = load
        _server = ForkServer(_serve, load)


@atexit.register
def _end_server() -> None:
    if _server is not None:
        with suppress(ChildProcessError):  # this process is itself a fork
            _server.close()


def _fork() -> tuple[Connection, WorkerProcess]:
    """Start a worker process, and return this process's end of its pipe."""
    global _server
    with _starting:
        while True:
            is_new = _server is None
            if _server is None:
                _server = ForkServer(_serve, _load)
            ours, theirs = Pipe()  # a forked server would keep ends that are older
            try:
                with theirs:
                    return ours, WorkerProcess(_server, ours, _server.fork(theirs))
            except OSError:
                ours.close()
                _server.close()
                _server = None
                if is_new:
                    raise


class Worker:
    """A worker process."""

    def __init__(self) -> None:
        self._pipe, self.process = _fork()
        with suppress(OSError):  # it has ended: `start` says so
            self._pipe.send(dict(os.environ))
        self.is_new = True
        """True until its first call."""
        self._known = ""

    def start(self, work: Work[Any, Any], item: bytes) -> None:
        """Send a call, of a function that this worker may know. Raises WorkerEnded."""
        try:
            self._pipe.send((None if work.digest == self._known else work.data, item))
        except OSError:
            raise WorkerEnded(self.exit_code()) from None
        self._known, self.is_new = work.digest, False

    def receive(self, seconds: float | None = None) -> Message | None:
        """Return the next message, None after `seconds` without one. Raises WorkerEnded."""
        try:
            if not self._pipe.poll(seconds):
                return None
            return Message(*self._pipe.recv())
        except (EOFError, OSError):
            raise WorkerEnded(self.exit_code()) from None

    def exit_code(self) -> str:
        """Return the exit status of the process."""
        self.process.join(5)
        return f"status {self.process.exitcode}"

    def end(self, *, is_idle: bool = False) -> None:
        """End the process and, unless it is idle, the programs that its call runs."""
        if not is_idle:
            self.process.terminate()
            self.process.join(_EXIT_SECONDS)
        self.process.kill()
        self.process.join(5)

    def close(self) -> None:
        """Close the pipe, after `end`."""
        self._pipe.close()


class WorkerPool:
    """The worker processes of this process: those that are idle are used again. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._is_stopped = False

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Yield a worker, which ends if the block raises. Raises Stopped."""
        worker = self._take()
        try:
            yield worker
        except BaseException as error:
            self._discard(worker)
            if self._is_stopped and not isinstance(error, Stopped):
                raise Stopped from None
            raise
        with self._lock:
            self._busy.discard(worker)
            if not self._is_stopped:
                self._idle.append(worker)
                return
        self._discard(worker)

    def _take(self) -> Worker:
        with self._lock:
            while self._idle and not self._is_stopped:
                worker = self._idle.pop()
                if worker.process.is_alive():
                    self._busy.add(worker)
                    return worker
                worker.end(is_idle=True)
                worker.close()
        if self._is_stopped:
            raise Stopped
        worker = Worker()
        with self._lock:
            self._busy.add(worker)
        if self._is_stopped:
            self._discard(worker)
            raise Stopped
        return worker

    def _discard(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
        worker.end()
        worker.close()

    def call(self, work: Work[Any, Any], item: bytes) -> bytes:
        """Return the pickled result of a call. Raises JobLost, Stopped, and the call's exception."""
        for _ in range(ATTEMPTS):
            try:
                with self.worker() as worker:
                    worker.start(work, item)
                    found = worker.receive()
            except WorkerEnded as error:
                reason = str(error)
                continue
            assert found is not None
            if found.kind == "failed":
                raise found.payload
            return bytes(found.payload)
        raise JobLost(f"its worker process ended {ATTEMPTS} times ({reason})")

    def stop(self) -> None:
        """End the workers, whose threads raise Stopped, and start no further ones."""
        with self._lock:
            self._is_stopped = True
            busy = [*self._busy]
        for worker in busy:
            worker.end()

    def close(self) -> None:
        """End the idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.process.kill()
        for worker in idle:
            worker.end(is_idle=True)
            worker.close()


Drive = Callable[[WorkerPool, "Work[Any, Any]", bytes], bytes]
"""Function that a thread calls for a job: it drives a worker process, and returns the pickled result."""


@dataclass(frozen=True, slots=True, eq=False)
class Work(Generic[T, R]):
    """A function with all that its calls share, as bytes with their digest."""

    digest: str
    data: bytes
    drive: Drive = WorkerPool.call

    @classmethod
    def of(cls, function: Callable[[T], R], drive: Drive = WorkerPool.call) -> Work[T, R]:
        """Return the work of a function, which must be picklable."""
        data = dump(function)
        return cls(sha256(data).hexdigest(), data, drive)


_events: Connection | None = None


def send_event(kind: str, payload: object = None) -> None:
    """Send an event of the call that this worker executes to the thread that drives it."""
    if _events is not None:
        _events.send((kind, payload))


def _serve(pipe: Connection) -> None:
    """Execute calls until the pipe is closed, which begin with the environment. Exits soon after the parent process."""
    global _events
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    when_closed(pipe, _leave)
    _events = pipe
    function: Callable[[Any], Any] | None = None
    with suppress(EOFError, OSError):  # the parent has closed the pipe
        environment = pipe.recv()
        os.environ.clear()
        os.environ.update(environment)
        while True:
            data, item = pipe.recv()
            try:
                if data is not None:
                    function = load(data)
                assert function is not None
                reply = "done", dump(function(load(item)))
            except Exception as error:  # noqa: BLE001  # raised again where the job was submitted
                pipe.send(("failed", _portable(error)))
            else:
                pipe.send(reply)


def _portable(error: Exception) -> Exception:
    """Return an exception that another process can read; unexpected ones with their traceback."""
    if not isinstance(error, HypervisorError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        load(dump(error))
    except Exception:  # noqa: BLE001  # of any constructor
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _leave() -> None:
    """End this process and its programs. Imports nothing, since a module may be half imported."""
    for function in AT_EXIT:
        function()
    os._exit(1)
