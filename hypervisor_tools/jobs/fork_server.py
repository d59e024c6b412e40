"""The server process that forks workers.

Threads drive the workers, and a process with threads cannot be forked safely. So a server forks the workers on request:
a fork of this process from before its first thread, with all modules that are loaded here, or a new interpreter. The
latter does not search the working directory for modules, since an untrusted project may have a `signal.py` there.

A request is a worker's end of a pipe, or the number of a process whose exit status is wanted. The server ends when this
process does, because the other end of its socket is closed then; a worker ends with the other end of its pipe.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Final, NoReturn

Load = Callable[[], None]
"""Function of a module that loads what workers need."""
Serve = Callable[[Connection], None]
"""Function of a module that a worker process calls with its end of the pipe."""
UNKNOWN: Final = 255
"""Exit status of a worker that has ended after its server."""
_SIZE: Final = 8
"""Size of a request and of a reply in bytes."""


class ForkServer:
    """A server process. Safe for threads. Its workers call `serve`."""

    def __init__(self, serve: Serve, load: Load) -> None:
        """Start the server with what `load` loads.

        It is a fork of this process if that has one thread, counting those of libraries; else a new interpreter.
        """
        if _is_single_threaded():
            load()  # which may start threads
        self._lock = Lock()
        self._control, theirs = socket.socketpair()
        with theirs, _interrupt_blocked():
            if not _is_single_threaded():
                self._pid = _spawn(theirs.fileno(), serve, load)
                return
            sys.stdout.flush()  # the server has copies of the buffers
            sys.stderr.flush()
            gc.freeze()  # a collection in a worker would copy shared pages
            self._pid = os.fork()
            if not self._pid:
                self._control.close()
                run_server(theirs, serve)

    def fork(self, pipe: Connection) -> int:
        """Fork a worker with this end of a pipe, and return its number. Raises OSError if the server has ended."""
        return self._request(0, pipe.fileno())

    def wait(self, pid: int) -> int:
        """Wait for a worker that is ending, and return its exit status in the form of `Popen.returncode`."""
        return self._request(pid)

    def _request(self, number: int, *descriptors: int) -> int:
        with self._lock:
            try:
                socket.send_fds(self._control, [_bytes(number)], descriptors)
                reply = self._control.recv(_SIZE)
            except BaseException:  # the reply to this request would be taken for that to the next one
                self._control.close()
                raise
        if not reply:
            raise ConnectionResetError("the process that forks workers has ended")
        return int.from_bytes(reply, "big", signed=True)

    def close(self) -> None:
        """End the server."""
        self._control.close()
        os.waitpid(self._pid, 0)


def _is_single_threaded() -> bool:
    """Return True if the system says that this process has one thread."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _bytes(number: int) -> bytes:
    return number.to_bytes(_SIZE, "big", signed=True)


def _spawn(descriptor: int, serve: Serve, load: Load) -> int:
    """Start a server as a new interpreter, with its end of the socket as standard input."""
    imports = "; ".join(f"from {each.__module__} import {each.__name__}" for each in (run_server, serve, load))
    program = (
        f"import os, socket, sys; sys.path[:] = {sys.path!r}; {imports}; {load.__name__}(); "
        f"run_server(socket.socket(fileno=os.dup(0)), {serve.__name__})"
    )
    command = [sys.executable, "-P", "-c", program]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, 0)])


def run_server(control: socket.socket, serve: Serve) -> NoReturn:
    """Reply to requests until the other end of the socket is closed."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it and ends its workers
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        while True:
            request, descriptors, _, _ = socket.recv_fds(control, _SIZE, 1)
            if not request:
                os._exit(0)
            if descriptors:
                reply = os.fork()
                if not reply:
                    control.close()
                    os.set_inheritable(descriptors[0], False)
                    serve(Connection(descriptors[0]))
                    os._exit(0)
                os.close(descriptors[0])
            else:
                reply = os.waitstatus_to_exitcode(os.waitpid(int.from_bytes(request, "big"), 0)[1])
            control.sendall(_bytes(reply))
    except BaseException:  # noqa: BLE001  # a fork must not go on as its parent
        with suppress(Exception):
            traceback.print_exc()
    finally:
        os._exit(1)


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerProcess:
    """A process that a server has forked; `pipe` is this process's end of its pipe."""

    def __init__(self, server: ForkServer, pipe: Connection, pid: int) -> None:
        self._server, self._pipe, self.pid = server, pipe, pid
        self._lock = Lock()
        self.exitcode: int | None = None
        """Exit status in the form of `Popen.returncode`; None until `join` has seen the end."""

    def is_alive(self) -> bool:
        """Return True unless the process has ended."""
        return self.exitcode is None and not is_closed(self._pipe, 0)

    def terminate(self) -> None:
        """Ask the process to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self.exitcode is None:  # until then its number is not used again
                os.kill(self.pid, number)

    def join(self, seconds: float) -> None:
        """Wait for the end of the process, for up to this time."""
        if not is_closed(self._pipe, seconds):
            return
        with self._lock:
            if self.exitcode is None:
                try:
                    self.exitcode = self._server.wait(self.pid)
                except OSError:  # the server has ended, so another process may get the number
                    self.exitcode = UNKNOWN


def is_closed(pipe: Connection, seconds: float | None = None) -> bool:
    """Return True if an end of a pipe is closed within this time; None waits until one is."""
    watched = select.poll()
    try:
        watched.register(pipe, 0)  # reports that the other end is closed, but no data
    except OSError:  # this end is closed
        return True
    return bool(watched.poll(None if seconds is None else seconds * 1000))


def when_closed(pipe: Connection, leave: Callable[[], None]) -> None:
    """Call `leave` on another thread when the other end of a pipe is closed."""

    def watch() -> None:
        is_closed(pipe)
        leave()

    Thread(target=watch, daemon=True).start()
