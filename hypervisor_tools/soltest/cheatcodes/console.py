"""Output of tests, line by line: `console.log`, and the `log*` events that DSTest declares.

Any contract may emit these events, and the output remains if the call reverts, as in forge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.filecoin.receipts import Log
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, no_selector, write_text
from hypervisor_tools.soltest.cheatcodes.values import decode
from localnet.traces.console_log import (
    CONSOLE,
    MAX_CHARACTERS,
    MAX_LINES,
    decoded,
    left_out_lines,
    log_signatures,
    log_text,
)
from store.keccak import keccak

_ONE: Final = {
    "log": "string", "logs": "bytes", "log_address": "address", "log_bytes32": "bytes32", "log_int": "int256",
    "log_uint": "uint256", "log_bytes": "bytes", "log_string": "string",
}  # fmt: skip
_NAMED: Final = ("address", "bytes32", "int256", "uint256", "bytes", "string")
_ARRAYS: Final = ("uint256[]", "int256[]", "address[]")
_DECIMALS: Final = ("int256", "uint256")
_NAMES: Final[Mapping[int, tuple[str, ...]]] = {1: ("val",), 2: ("key", "val"), 3: ("key", "val", "decimals")}
_MAX_DECIMALS: Final = 77
"""Maximum number of decimals of a 256-bit number; with more, forge prints it without a decimal point."""


MAX_LOGS: Final = 10_000
"""Maximum number of logs recorded per test; later ones are dropped."""


class LogConsole:
    """The output lines of a test, and all logs with their emitters.

    As in forge, a line of `console.log` is also a log: the event `log(string)` of the console's address.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Its lines; those after `MAX_LINES` are empty, to be counted only (`shown`)."""
        self.logs: list[tuple[EthAddress, Log]] = []

    def call(self, data: bytes) -> str | None:
        """Append the lines in a call's data; return why the call reverts if it is no `log` function."""
        refusal = _refusal(data)
        if refusal is None:
            self.write(data)
        return refusal

    def write(self, data: bytes) -> None:
        """Append the lines in a call's data; forge skips empty ones."""
        for line in log_text(data).splitlines():
            self.write_line(line)

    def write_line(self, line: str) -> None:
        """Append a line."""
        self._append(line)
        self._record(CONSOLE, _line_log(line))

    def write_log(self, emitter: EthAddress, log: Log) -> None:
        """Record a log, and append its lines if it is one of DSTest's events."""
        self._record(emitter, log)
        types = _events().get(log.topics[0]) if log.topics else None
        text = None if types is None else _text(types, log.data)
        if text is not None:
            for line in text.splitlines() or [""]:
                self._append(line)

    def _append(self, line: str) -> None:
        self.lines.append(printable(line, MAX_CHARACTERS) if len(self.lines) < MAX_LINES else "")

    @property
    def shown(self) -> tuple[str, ...]:
        """The lines that a report shows, and the number of those that it leaves out."""
        left_out = left_out_lines(len(self.lines))
        remedy = "; -vvvv shows calls of console.log in the trace" if left_out else ""
        return (*self.lines[:MAX_LINES], *(f"{line}{remedy}" for line in left_out))

    def _record(self, emitter: EthAddress, log: Log) -> None:
        if len(self.logs) < MAX_LOGS:
            self.logs.append((emitter, log))


def _refusal(data: bytes) -> str | None:
    """Return forge's message for a call that is no `log` function, else None."""
    if len(data) < 4:
        return no_selector("ConsoleCalls", data)
    types = log_signatures(is_strict=True).get(data[:4])
    if types is None:
        return f"unknown selector `0x{data[:4].hex()}` for ConsoleCalls"
    try:
        decoded(types, data[4:])
    except InvalidInput as error:
        return str(error)
    return None


def _line_log(line: str) -> Log:
    """Return a line as the event `log(string)`."""
    return Log((_log_topic(),), (32).to_bytes(32, "big") + write_text(line.encode("utf-8", "replace")))


@cache
def _log_topic() -> bytes:
    return bytes(keccak(b"log(string)"))


def writes_logs(code: str) -> bool:
    """Return True if code, in hex, contains one of the events, so that logs of reverted calls must be traced."""
    return any(topic in code for topic in _topics())


@cache
def _topics() -> tuple[str, ...]:
    return tuple(topic.hex() for topic in _events())


def log_topics() -> Iterable[bytes]:
    """Return the topics of DSTest's events."""
    return _events().keys()


@cache
def log_interface() -> ContractInterface:
    """Return the events as an ABI, with forge's names of their values."""
    return ContractInterface([
        {
            "type": "event",
            "name": name,
            "anonymous": False,
            "inputs": [
                {"name": named, "type": kind, "indexed": False}
                for named, kind in zip(_NAMES[len(types)], types, strict=True)
            ],
        }
        for name, types in _log_events()
    ])  # fmt: skip


@cache
def _events() -> Mapping[bytes, tuple[str, ...]]:
    """Return the types of each event's values by topic."""
    return {bytes(keccak(f"{name}({','.join(types)})".encode())): types for name, types in _log_events()}


def _log_events() -> list[tuple[str, tuple[str, ...]]]:
    """Return the events with the types of their values."""
    listed: list[tuple[str, tuple[str, ...]]] = [(name, (kind,)) for name, kind in _ONE.items()]
    listed += [("log_array", (kind,)) for kind in _ARRAYS]
    listed += [(f"log_named_{kind.removesuffix('256')}", ("string", kind)) for kind in _NAMED]
    listed += [("log_named_array", ("string", kind)) for kind in _ARRAYS]
    listed += [(f"log_named_decimal_{kind[:-3]}", ("string", kind, "uint256")) for kind in _DECIMALS]
    return listed


def _text(types: tuple[str, ...], data: bytes) -> str | None:
    """Return an event's values as text, or None if the data does not match."""
    try:
        values = decode(types, data)
    except CheatcodeFailure:
        return None
    if len(types) == 1:
        return _format(types[0], values[0])
    text = _with_point(values[1], values[2]) if len(types) == 3 else _format(types[1], values[1])
    return f"{values[0]}: {text}"


def _format(kind: str, value: Any) -> str:
    if kind.endswith("[]"):
        return f"[{', '.join(_format(kind[:-2], item) for item in value)}]"
    if kind == "address":
        return checksummed(value)
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _with_point(number: int, decimals: int) -> str:
    if decimals > _MAX_DECIMALS:
        return str(number)
    whole, part = divmod(abs(number), 10**decimals)
    return f"{'-' if number < 0 else ''}{whole}.{part:0{decimals}d}"
