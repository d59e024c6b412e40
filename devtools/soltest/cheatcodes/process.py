"""Cheatcodes that reach beyond the machine: environment variables and, where the project allows it, programs."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from devtools.soltest.cheatcodes.context import Context
from devtools.soltest.cheatcodes.failures import CheatcodeFailure
from devtools.soltest.cheatcodes.limits import check_size
from devtools.soltest.cheatcodes.strings import pieces, read_value
from devtools.soltest.cheatcodes.table import cheatcode

_KINDS: Final = {
    "Bool": "bool", "Uint": "uint256", "Int": "int256", "Address": "address", "Bytes32": "bytes32",
    "String": "string", "Bytes": "bytes",
}  # fmt: skip
_LONGEST_RUN: Final = 60
_RUNNING: Final = set[int]()
"""The programs that run now: process groups."""
_AT_ONCE: Final = 1 << 16
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _variable(context: Context, name: str) -> str | None:
    return context.state.environment.get(name, context.settings.environment.get(name))


def _needed(context: Context, name: str) -> str:
    value = _variable(context, name)
    if value is None:
        raise CheatcodeFailure(f'environment variable "{name}" not found')
    return value


def _value(name: str, text: str, kind: str) -> Any:
    # the value may be a secret: only that it is none of its type is told
    return read_value(text, kind, shown=f"${name}")


def _list(name: str, text: str, delimiter: str, kind: str) -> list[Any]:
    parts = [part.strip() for part in pieces(text, delimiter)]
    return [_value(name, part, kind) for part in parts] if parts[0] else []  # forge: nothing first, nothing at all


def _or(default: Any, value: Callable[[], Any]) -> Any:
    """The value of a variable, or the default where it is none of its type, as forge has it."""
    try:
        return value()
    except CheatcodeFailure:
        return default


def _family(name: str, kind: str) -> None:
    cheatcode(f"env{name}(string)", returns=kind)(
        lambda context, variable: _value(variable, _needed(context, variable), kind)
    )
    cheatcode(f"env{name}(string,string)", returns=f"{kind}[]")(
        lambda context, variable, delimiter: _list(variable, _needed(context, variable), delimiter, kind)
    )

    def value_or(context: Context, variable: str, default: Any) -> Any:
        text = _variable(context, variable)
        return default if text is None else _or(default, lambda: _value(variable, text, kind))

    def list_or(context: Context, variable: str, delimiter: str, default: Any) -> Any:
        text = _variable(context, variable)
        if text is None:
            return default
        return _or(default, lambda: _list(variable, text, delimiter, kind))

    cheatcode(f"envOr(string,{kind})", returns=kind)(value_or)
    cheatcode(f"envOr(string,string,{kind}[])", returns=f"{kind}[]")(list_or)


for _name, _kind in _KINDS.items():
    _family(_name, _kind)


@cheatcode("setEnv(string,string)")
def _set(context: Context, name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name + value:
        raise CheatcodeFailure("the name of an environment variable is not empty and has neither `=` nor NUL")
    context.state.environment[name] = value


@cheatcode("envExists(string)", returns="bool")
def _exists(context: Context, name: str) -> bool:
    return _variable(context, name) is not None


@cheatcode("resolveEnv(string)", returns="string")
def _resolve(context: Context, text: str) -> str:
    names = [found[1] for found in _VARIABLE.finditer(text)]
    check_size(len(text) + sum(len(_needed(context, name)) for name in names))
    return _VARIABLE.sub(lambda found: _needed(context, found[1]), text)


# --- programs -------------------------------------------------------------------------------------------------------


def _run(context: Context, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    if not context.settings.ffi:
        raise CheatcodeFailure("FFI is disabled; add the `--ffi` flag to allow tests to call external commands")
    if not command or not command[0]:
        raise CheatcodeFailure("can't execute empty command")
    environment = {**context.settings.environment, **context.state.environment}
    try:
        return finished(command, context.settings.root, environment)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CheatcodeFailure(f'failed to execute command "{" ".join(command)}": {error}') from None


def finished(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float = _LONGEST_RUN
) -> subprocess.CompletedProcess[bytes]:
    """A program, run to its end and to that of all who hold its output. Where that fails, those are ended.

    Raises CheatcodeFailure for more output than a cheatcode may give, OSError, TimeoutExpired.
    """
    with subprocess.Popen(  # noqa: S603  # the project has allowed its tests to run programs
        list(command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, process_group=0
    ) as process:
        _RUNNING.add(process.pid)
        try:
            output, errors = _outputs(process, seconds)
            return subprocess.CompletedProcess(command, process.wait(seconds), output, errors)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            _RUNNING.discard(process.pid)


def end_programs() -> None:
    """End all programs that run, with those that they have started: for a process that is about to end."""
    for process in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)


def _outputs(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """What a program writes until nobody can write any more."""
    end = monotonic() + seconds
    assert process.stdout is not None
    assert process.stderr is not None
    written = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as open_pipes:
        for pipe in written:
            open_pipes.register(pipe, selectors.EVENT_READ)
        while open_pipes.get_map():
            ready = open_pipes.select(max(0.0, end - monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(process.args, seconds)
            for key, _ in ready:
                data = os.read(key.fd, _AT_ONCE)
                if not data:
                    open_pipes.unregister(key.fd)
                written[key.fd] += data
            check_size(sum(map(len, written.values())), "what the command wrote")
    output, errors = map(bytes, written.values())
    return output, errors


def _output(data: bytes) -> bytes:
    """What a program wrote: the bytes that it says in hexadecimal, else its text without blanks around it."""
    text = data.strip()
    try:
        return bytes.fromhex(text.decode().removeprefix("0x"))
    except (ValueError, UnicodeDecodeError):
        return text


@cheatcode("ffi(string[])", returns="bytes")
def _ffi(context: Context, command: Sequence[str]) -> bytes:
    done = _run(context, command)
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise CheatcodeFailure(f"ffi command {list(command)} exited with code {done.returncode}. stderr: {words}")
    return _output(done.stdout)


@cheatcode("tryFfi(string[])", returns="(int32,bytes,bytes)")
def _try_ffi(context: Context, command: Sequence[str]) -> tuple[int, bytes, bytes]:
    done = _run(context, command)
    return done.returncode, _output(done.stdout), done.stderr
