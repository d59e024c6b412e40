"""Runs of the `hypervisor` command, in the process of the test and in forked processes.

- Runs of `hypervisor` commands in the process of the test.
- `hypervisor` as a process forked from one that has loaded its modules, which halves the start time.

It has its own arguments, environment, folder, pipes, signals and exit status. Tests of loading itself (imports, Ctrl-C
meanwhile) start the program from its file.
"""

import atexit
import gc
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import IO, Any, Final

import pytest
from typer.testing import CliRunner, Result

from hypervisor_tools.cli.main import app, main

Command = Callable[..., tuple[int, str]]
"""A function from arguments to the exit status and all output."""


def run(*arguments: object, **options: Any) -> Result:
    """Run a command with these arguments, and options of `CliRunner.invoke`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def json_output(*arguments: object) -> Any:
    """Return the output of a successful command with `--json`."""
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def whole_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command with the project's error texts and exit status."""

    def run_main(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["hypervisor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run_main


HYPERVISOR: Final = Path(sys.executable).with_name("hypervisor")
_PROJECT: Final = Path(__file__).resolve().parent.parent
LOADED: Final = (
    "hypervisor_tools.cli.main", "localnet.rpc.server.server", "localnet.rules.ethereum", "localnet.rules.filecoin",
    "hypervisor_tools.cli.rpc_client", "hypervisor_tools.laboratory.vectors.statetest", "runtimes.evm.revm",
    "runtimes.evm.frames.py_evm", "runtimes.evm.frames.fast_engine", "runtimes.wasm", "store.rocks.database",
    "uvicorn.protocols.http.httptools_impl", "websockets", "uvicorn.loops.asyncio", "uvicorn.lifespan.off",
    "typer.rich_utils", "rich.markdown", "importlib.metadata",
    "hypervisor_tools.cli.node_settings", "localnet.console", "localnet.explanations", "localnet.traces.trace_report",
)  # fmt: skip
"""Modules that a node or a command would load."""
_STATUS: Final = 16
"""Size of an exit status on the wire in bytes."""


class Program:
    """A running `hypervisor`, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        files: int | None = None,
    ) -> None:
        """`text` is its input, empty by default; `files` is its limit of open files."""
        pipes = [os.pipe() for _ in range(3)]
        try:
            self._server = socket.socket(socket.AF_UNIX)
            self._server.connect(_server())
            request = {
                "arguments": [str(HYPERVISOR), *map(str, arguments)],
                "folder": str(folder or Path.cwd()),
                "environment": dict(environment or os.environ),
                "files": files,
            }
            theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
            data = json.dumps(request).encode()
            socket.send_fds(self._server, [len(data).to_bytes(4, "big")], theirs)
            self._server.sendall(data)
        finally:
            for one in (pipes[0][0], pipes[1][1], pipes[2][1]):
                os.close(one)
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(pipes[0][1], "w", encoding="utf-8"), os.fdopen(pipes[1][0], encoding="utf-8"),
            os.fdopen(pipes[2][0], encoding="utf-8"),
        )  # fmt: skip
        self.returncode: int | None = None
        self.pid = int(self._received())
        if text is not None:
            Thread(target=self._write, args=(text,), daemon=True).start()
        else:
            self.stdin.close()

    def _write(self, text: str) -> None:
        try:
            with self.stdin:
                self.stdin.write(text)
        except BrokenPipeError:  # it ended before it had read all
            pass

    def _received(self) -> bytes:
        data = b""
        while len(data) < _STATUS:
            more = self._server.recv(_STATUS - len(data))
            if not more:
                raise RuntimeError("the process that programs are forked from has ended")
            data += more
        return data

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when the process has ended; TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._server, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("hypervisor", timeout or 0)
            self.returncode = int(self._received())
            self._server.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return the remaining output and error output; raises TimeoutExpired."""
        end = None if timeout is None else monotonic() + timeout
        found = ["", ""]

        def read(place: int, stream: IO[str]) -> None:
            if not stream.closed:
                with stream:
                    found[place] = stream.read()

        threads = [Thread(target=read, args=one, daemon=True) for one in enumerate((self.stdout, self.stderr))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if end is None else max(0, end - monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired("hypervisor", timeout or 0)
        self.wait(None if end is None else max(0.1, end - monotonic()))
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_program(
    *arguments: str | Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str = "",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    program = Program(arguments, folder=folder, environment=environment, text=text)
    try:
        output, errors = program.communicate(timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        raise
    assert program.returncode is not None
    return subprocess.CompletedProcess([HYPERVISOR, *arguments], program.returncode, output, errors)


@cache
def _server() -> str:
    """Start the server that forks prepared processes, and return its socket; it ends with this process."""
    folder = tempfile.mkdtemp(prefix="hypervisor-tests-")
    path = os.path.join(folder, "socket")
    process = subprocess.Popen([sys.executable, "-m", "tests.command", path], cwd=_PROJECT, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    ready = process.stdout.readline()
    process.stdout.close()
    if not ready:
        raise RuntimeError(f"the process that programs are forked from ended with {process.wait()}")
    stdin = process.stdin

    def end() -> None:
        stdin.close()
        process.wait()
        Path(path).unlink(missing_ok=True)
        Path(folder).rmdir()

    atexit.register(end)
    return path


# --- the process that forks -------------------------------------------------------------------------------------------


def _serve(path: str) -> bool:
    """Fork a program for each that asks; returns True in the new program, False at the end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for one in (sys.stdin, listener, woken):
            selector.register(one, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        os.close(1)
        while True:
            found = {key.fileobj for key, _ in selector.select()}
            if woken in found:
                woken.recv(4096)
                _tell_ends(running)
            if sys.stdin in found:
                return False
            if listener in found:
                asker, _ = listener.accept()
                head, pipes, _, _ = socket.recv_fds(asker, 4, 3)
                data = b""
                while len(data) < int.from_bytes(head, "big"):
                    data += asker.recv(1 << 16)
                child = os.fork()
                if not child:
                    signal.set_wakeup_fd(-1)
                    for one in (listener, woken, wake, asker, *running.values()):
                        one.close()
                    break
                for pipe in pipes:
                    os.close(pipe)
                running[child] = asker
                asker.sendall(b"%0*d" % (_STATUS, child))
    _become(json.loads(data), pipes)
    return True


def _tell_ends(running: dict[int, socket.socket]) -> None:
    while running:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        with running.pop(child) as asker, suppress(BrokenPipeError):  # nobody waits for it
            asker.sendall(b"%*d" % (_STATUS, os.waitstatus_to_exitcode(status)))


def _become(request: dict[str, Any], pipes: Sequence[int]) -> None:
    """Make this process the program that was asked for."""
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["files"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["files"], request["files"]))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.modules["__main__"].__package__ = None  # else its name in messages is that of this module
    sys.path[0] = str(HYPERVISOR.parent)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115  # open until the process ends
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115  # open until the process ends


if __name__ == "__main__":
    for name in LOADED:
        import_module(name)
    gc.freeze()  # collections in the programs leave alone what they share
    if _serve(sys.argv[1]):
        from hypervisor_tools.cli.start import main

        main()
