"""A Solidity compiler as a process that reads standard JSON: npm's release in Node.js, or a native program.

`solc` chooses the compiler, and `compiling` builds its input. npm's compiler stays alive between the runs of `--watch`
(`ResidentCompiler`): most of a short compilation is start-up (Node.js, the compiler's module, and code that runs for
the first time), so that a second one in the same process takes little more than half the time.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Timer
from typing import IO, Any, Final

import orjson

from hypervisor.errors import HypervisorError
from hypervisor_tools.soltest.compile.releases import find_program

_SCRIPT: Final = Path(__file__).with_name("solc.mjs")
_NODE_OPTIONS: Final = ("--stack-size=4000", "--max-old-space-size=6144")
_ENVIRONMENT: Final = ("PATH", "SYSTEMROOT", "TMPDIR")
"""Environment variables passed to a compiler: no NODE_OPTIONS, which may name code to run, and no secrets."""


class CompileError(HypervisorError):
    """A compiler error, with the compiler's messages."""

    has_lines = True


class SourcesRefused(CompileError):
    """Errors in the sources, as in the compiler's output."""

    def __init__(self, version: str, errors: Sequence[Mapping[str, Any]]) -> None:
        lines = (str(found.get("formattedMessage", found.get("message"))).rstrip() for found in errors[:20])
        super().__init__("\n".join((f"solc {version} refused the sources:", *lines)))
        self.version, self.errors = version, errors


class WarningsDenied(CompileError):
    """Warnings of the compiler in a project that denies them."""


class CompilerFailed(CompileError):
    """A compiler that ended without output, for example because it ran out of memory."""


class CompilerTimeout(CompilerFailed):
    """A compilation that exceeded its time limit."""


@dataclass(frozen=True, slots=True)
class Solc:
    """A compiler: npm's `soljson.js`, or a program that takes standard JSON."""

    version: str
    path: Path
    is_javascript: bool
    origin: str = ""
    """Origin of the compiler, as text; empty for a program that the user or the project names."""
    variables: tuple[str, ...] = ()
    """Environment variables that another package's compiler gets besides those of every compiler."""
    project: Path | None = None
    """Folder of the project, in which another package's compiler runs."""

    def start(self, limits: RunLimits | None = None) -> CompilerRun:
        """Start a process of this compiler. Raises InvalidInput if Node.js is missing."""
        return CompilerRun(self, limits=limits)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of a compiler that gets untrusted sources.

    `memory` and `output` in bytes, enforced while it runs on Linux only; `folder` is the working directory, from which
    the compiler may read imports.
    """

    memory: int
    output: int
    folder: Path


class CompilerRun:
    """A compiler process for one compilation; starting early hides the start-up time of npm's release.

    With `repeats`, npm's release compiles several inputs in turn (`compile_next`).
    """

    def __init__(self, solc: Solc, *, repeats: bool = False, limits: RunLimits | None = None) -> None:
        """Start the process. Raises InvalidInput if Node.js is missing."""
        self.solc = solc
        self.repeats = repeats and solc.is_javascript
        environment, folder = dict(os.environ), None
        if solc.is_javascript:
            node = find_program("node", "install Node.js 20 or newer, or name a solc program with --use")
            command = [node, *_NODE_OPTIONS, str(_SCRIPT), str(solc.path), *(["--lines"] if self.repeats else [])]
        else:
            command = [str(solc.path), "--standard-json"]
        if solc.is_javascript or solc.origin or limits is not None:
            passed = (*_ENVIRONMENT, *solc.variables)
            environment = {name: environment[name] for name in passed if name in environment}
            folder = solc.project or solc.path.parent
        if limits is not None:
            folder = limits.folder
        self._limits = limits
        self._output: IO[bytes] | None = None if limits is None else TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._output or subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env=environment,
        )  # fmt: skip
        if limits is not None and hasattr(resource, "prlimit"):
            with suppress(ProcessLookupError):  # it has ended, which `compile` reports
                resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (limits.memory, limits.memory))
                resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limits.output + 1, limits.output + 1))

    def compile(self, source_json: Mapping[str, Any], seconds: float | None = None) -> dict[str, Any]:
        """Return the output for standard JSON input, and end the process unless it `repeats`.

        Raises CompileError if the output is not JSON or too large, CompilerTimeout after the time limit.
        """
        if self.repeats:
            return self.compile_next(source_json, seconds)
        with self._process, self._output or nullcontext():
            try:
                output, errors = self._process.communicate(orjson.dumps(source_json), seconds)
            except subprocess.TimeoutExpired:
                self.stop()
                raise self._timeout_error(seconds) from None
            except BaseException:
                self.stop()
                raise
            if self._output is not None:
                output = self._bounded_output(self._output)
        return self._parse_output(output, errors)

    def compile_next(self, source_json: Mapping[str, Any], seconds: float | None) -> dict[str, Any]:
        """Return the output for standard JSON input. An error ends the process.

        Raises CompileError if the output is not JSON, CompilerTimeout after the time limit.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = Event()

        def expire() -> None:
            late.set()
            self.stop()

        timer = None if seconds is None else Timer(seconds, expire)
        if timer is not None:
            timer.start()
        try:
            self._process.stdin.write(orjson.dumps(source_json, option=orjson.OPT_APPEND_NEWLINE))
            self._process.stdin.flush()
            output = self._process.stdout.readline()
            if output.endswith(b"\n"):
                return self._parse_output(output, b"")
        except BrokenPipeError:
            output = b""
        except BaseException:
            self.discard()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        errors = b""
        with suppress(BrokenPipeError), self._process:
            self.stop()
            errors = b"" if self._process.stderr is None else self._process.stderr.read()
        if late.is_set():
            raise self._timeout_error(seconds)
        return self._parse_output(output, errors)

    def _bounded_output(self, file: IO[bytes]) -> bytes:
        """Return the output in a file. Raises CompileError if it is too large."""
        assert self._limits is not None
        file.seek(0)
        data = file.read(self._limits.output + 1)
        if len(data) > self._limits.output:
            raise CompileError(f"solc {self.solc.version} printed more than {self._limits.output:,} bytes")
        return data

    def _timeout_error(self, seconds: float | None) -> CompilerTimeout:
        return CompilerTimeout(f"solc {self.solc.version} did not end after {seconds:g} seconds")

    def _parse_output(self, output: bytes, errors: bytes) -> dict[str, Any]:
        name = f"{self.solc.path}, which reports version {self.solc.version}"
        try:
            response = orjson.loads(output)
        except orjson.JSONDecodeError:
            text = errors.decode("utf-8", "replace").strip()[-2000:]
            ended = self._process.returncode
            if self.solc.project is not None:
                raise CompilerFailed(text or f"it printed no JSON, and its exit code is {ended}") from None
            limits = "; npm's release has less memory and stack than a native one" if self.solc.is_javascript else ""
            remedy = f"put a native solc into PATH, or name another one with --use{limits}"
            said = f"{name}, printed no JSON; its exit code is {ended}: {text or 'no message'}"
            raise CompilerFailed(f"{said}\n{remedy}") from None
        if not isinstance(response, dict):
            raise CompileError(f"{name}, printed no JSON object")
        return response

    @property
    def has_ended(self) -> bool:
        """True if the process has ended."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Kill the process if it is still running."""
        if self._process.poll() is None:
            self._process.kill()

    def discard(self) -> None:
        """End the process without using it."""
        with suppress(BrokenPipeError), self._process, self._output or nullcontext():
            self.stop()


_MAX_COMPILATIONS: Final = 32
"""Number of compilations after which the process is replaced, because its memory never shrinks."""


class ResidentCompiler:
    """At most one process, of the compiler that was requested last."""

    def __init__(self) -> None:
        self._run: CompilerRun | None = None
        self._uses = 0

    def run(self, solc: Solc) -> CompilerRun:
        """Return the process of npm's compiler `solc`, started if necessary. Raises InvalidInput without Node.js."""
        run = self._run
        if run is None or run.solc != solc or run.has_ended or self._uses >= _MAX_COMPILATIONS:
            self.close()
            run = self._run = CompilerRun(solc, repeats=True)
        self._uses += 1
        return run

    def close(self) -> None:
        """End the process."""
        if self._run is not None:
            self._run.discard()
        self._run, self._uses = None, 0
