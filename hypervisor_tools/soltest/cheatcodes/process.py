"""Cheatcodes for environment variables and, if the project allows it, programs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text.strings import read_value, split_text
from hypervisor_tools.soltest.programs import run_program
from hypervisor_tools.soltest.project.consent import Consent

_KINDS: Final = {
    "Bool": "bool", "Uint": "uint256", "Int": "int256", "Address": "address", "Bytes32": "bytes32",
    "String": "string", "Bytes": "bytes",
}  # fmt: skip
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _variable(context: Context, name: str) -> str | None:
    if name in context.state.environment:
        return context.state.environment[name]
    context.note_input("environment variables")
    return context.settings.environment.get(name)


def _require_variable(context: Context, name: str) -> str:
    value = _variable(context, name)
    if value is None:
        raise CheatcodeFailure(f'environment variable "{name}" not found')
    return value


def _value(name: str, text: str, kind: str) -> Any:
    # The value may be a secret, so the error does not contain it.
    return read_value(text, kind, shown=f"${name}")


def _list(name: str, text: str, delimiter: str, kind: str) -> list[Any]:
    parts = [part.strip() for part in split_text(text, delimiter)]
    return [_value(name, part, kind) for part in parts] if parts[0] else []  # as in forge: empty if the first part is


def _or(default: Any, value: Callable[[], Any]) -> Any:
    """Return the value of a variable, or the default if it is not of the type, as in forge."""
    try:
        return value()
    except CheatcodeFailure:
        return default


def _family(name: str, kind: str) -> None:
    cheatcode(f"env{name}(string)", returns=kind)(
        lambda context, variable: _value(variable, _require_variable(context, variable), kind)
    )
    cheatcode(f"env{name}(string,string)", returns=f"{kind}[]")(
        lambda context, variable, delimiter: _list(variable, _require_variable(context, variable), delimiter, kind)
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
        raise CheatcodeFailure("the name of an environment variable must not be empty or contain `=` or NUL")
    context.state.environment[name] = value


@cheatcode("envExists(string)", returns="bool")
def _exists(context: Context, name: str) -> bool:
    return _variable(context, name) is not None


@cheatcode("resolveEnv(string)", returns="string")
def _resolve(context: Context, text: str) -> str:
    names = [found[1] for found in _VARIABLE.finditer(text)]
    check_size(len(text) + sum(len(_require_variable(context, name)) for name in names))
    return _VARIABLE.sub(lambda found: _require_variable(context, found[1]), text)


# --- programs -------------------------------------------------------------------------------------------------------


def _run(context: Context, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    if not context.settings.ffi:
        raise CheatcodeFailure("FFI is disabled; add the `--ffi` flag to allow tests to call external commands")
    if not command or not command[0]:
        raise CheatcodeFailure("can't execute empty command")
    context.settings.consent.require(Consent.FFI, f"vm.ffi runs the program {command[0]!r:.80}")
    environment = {**context.settings.environment, **context.state.environment}
    try:
        return run_program(
            command, context.settings.root, environment, partial(check_size, what="the output of the command")
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CheatcodeFailure(f'failed to execute command "{" ".join(command)}": {error}') from None


def _output(data: bytes) -> bytes:
    """Return a program's output: decoded if it is hexadecimal, otherwise stripped."""
    text = data.strip()
    try:
        return bytes.fromhex(text.decode().removeprefix("0x"))
    except (ValueError, UnicodeDecodeError):
        return text


def _succeed(context: Context, command: Sequence[str]) -> bytes:
    """Run a program and return its output. Raises CheatcodeFailure for a status other than 0."""
    done = _run(context, command)
    if done.returncode:
        text = done.stderr.decode("utf-8", "replace").strip()
        raise CheatcodeFailure(f"ffi command {list(command)} exited with code {done.returncode}. stderr: {text}")
    return done.stdout


@cheatcode("ffi(string[])", returns="bytes")
def _ffi(context: Context, command: Sequence[str]) -> bytes:
    return _output(_succeed(context, command))


def _text(context: Context, command: Sequence[str]) -> str:
    try:
        return _succeed(context, command).decode().strip()
    except UnicodeDecodeError as error:
        raise CheatcodeFailure(f"the output of the command is not UTF-8: {error}") from None


@cheatcode("ffiString(string[])", returns="string")
def _ffi_string(context: Context, command: Sequence[str]) -> str:
    return _text(context, command)


@cheatcode("ffiUint(string[])", returns="uint256")
def _ffi_uint(context: Context, command: Sequence[str]) -> Any:
    return read_value(_text(context, command), "uint256")


@cheatcode("ffiBytes(string[])", returns="bytes")
def _ffi_bytes(context: Context, command: Sequence[str]) -> bytes:
    text = _text(context, command)
    try:
        if re.search(r"\s", text):  # which bytes.fromhex skips
            raise ValueError("it contains spaces")
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise CheatcodeFailure(f"failed parsing ffi stdout as bytes: {error}") from None


@cheatcode("tryFfi(string[])", returns="(int32,bytes,bytes)")
def _try_ffi(context: Context, command: Sequence[str]) -> tuple[int, bytes, bytes]:
    done = _run(context, command)
    return done.returncode, _output(done.stdout), done.stderr
