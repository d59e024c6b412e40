"""Output of `console.log` of Hardhat and Foundry: calls to an address without an actor.

Supported signatures: `log` of up to four strings, numbers, booleans and addresses, and `log` of one bytes or integer
value. Older libraries write `uint` in the text of the selector. The first string may contain format specifiers, as in
Node.js.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import product
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed, to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import calldata_of
from hypervisor.errors import InvalidInput
from hypervisor.text import printable
from store.keccak import keccak

CONSOLE: Final = EthAddress(bytes.fromhex("000000000000000000636f6e736f6c652e6c6f67"))
MARK: Final = b"console.log"
"""Last bytes of the console's address, contained in the code of every contract that logs."""
MAX_LINES: Final = 1_000
MAX_CHARACTERS: Final = 10_000

_CALLEE: Final = str(to_filecoin(CONSOLE))
_TYPES: Final = ("uint256", "string", "bool", "address")
_SINGLE: Final = ("int256", "bytes", *(f"bytes{size}" for size in range(1, 33)))
_NAMED: Final = {"string": "String", "uint256": "Uint", "int256": "Int", "bool": "Bool", "address": "Address"}
_PLACEHOLDER: Final = re.compile(r"%([sdiox%]|[0-9]{0,8}e)")


def is_log(to: str) -> bool:
    """Return True if the callee, in text form, is the address of `console.log`."""
    return to == _CALLEE


def without_logs(calls: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the calls of a trace without those of `console.log`, and the lines these write, in order."""
    lines: list[str] = []
    top: list[dict[str, Any]] = []
    todo = [(top, call) for call in reversed(calls)]
    while todo:  # iterative, since calls are up to 1,024 deep
        above, call = todo.pop()
        if is_log(call["to"]):
            lines.append(line_of(call) if len(lines) < MAX_LINES else "")
            continue
        inner: list[dict[str, Any]] = []
        above.append({**call, "calls": inner})
        todo.extend((inner, below) for below in reversed(call["calls"]))
    return top, [*lines[:MAX_LINES], *left_out_lines(len(lines))]


def left_out_lines(count: int) -> list[str]:
    """Return a line that states how many of this number of lines are left out; none if all are shown."""
    return [f"... {count - MAX_LINES:,} more lines are left out"] if count > MAX_LINES else []


def line_of(call: Mapping[str, Any]) -> str:
    """Return the line that a call of a trace writes."""
    data = bytes.fromhex(call["params"][2:])
    try:
        return log_line(calldata_of(call["paramsCodec"], data) if data else b"")
    except ParamsError:
        return log_line(data)


def log_line(calldata: bytes) -> str:
    """Return the text that a call writes, on one line."""
    return printable(log_text(calldata), MAX_CHARACTERS)


def log_text(calldata: bytes) -> str:
    """Return the text that a call writes, unchanged; its bytes if it matches no signature."""
    types = log_signatures().get(calldata[:4])
    if types is not None:
        with suppress(InvalidInput):
            return _format(decoded(types, calldata[4:]), types)
    return f"0x{calldata[:MAX_CHARACTERS].hex()}"[:MAX_CHARACTERS]


def decoded(types: Sequence[str], data: bytes) -> list[Any]:
    """Return the arguments of a `log`; unused bits are ignored. Raises InvalidInput with forge's message."""
    return [_decode(kind, data, 32 * index) for index, kind in enumerate(types)]


def _decode(kind: str, data: bytes, at: int) -> Any:
    word = _part(data, at, 32)
    if kind in ("string", "bytes"):
        place = _size(word)
        content = _part(data, place + 32, _size(_part(data, place, 32)))
        return content.decode(errors="replace") if kind == "string" else content  # invalid UTF-8 becomes U+FFFD
    if kind == "address":
        return EthAddress(word[12:])
    if kind.startswith("bytes"):
        return word[: int(kind[5:])]
    number = int.from_bytes(word, "big", signed=kind == "int256")
    return number != 0 if kind == "bool" else number


def _size(word: bytes) -> int:
    if any(word[:-8]):
        raise InvalidInput(f'type check failed for "offset (usize)" with data: {word.hex()}')
    return int.from_bytes(word, "big")


def _part(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise InvalidInput("ABI decoding failed: buffer overrun while deserializing")
    return data[at : at + size]


def _format(values: Sequence[Any], types: Sequence[str]) -> str:
    shown = [_format_value(value, kind) for value, kind in zip(values, types, strict=True)]
    if not shown or types[0] != "string":
        return " ".join(shown)
    rest = list(zip(values[1:], types[1:], strict=True))

    def filled(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        return _format_placeholder(*rest.pop(0), found[1]) if rest else found[0]

    text = _PLACEHOLDER.sub(filled, shown[0])
    return " ".join([text, *(_format_value(value, kind) for value, kind in rest)])


def _format_placeholder(value: Any, kind: str, place: str) -> str:
    """Format a value for a placeholder as forge and anvil do; `NaN` for a number's placeholder."""
    if place == "s":
        return _format_value(value, kind)
    is_number = kind.endswith("int256")
    if place == "o":
        return str(value) if is_number else f"'{_format_value(value, kind)}'"
    if is_number:
        return (
            _exponential(value, place[:-1]) if place[-1] == "e" else _hexadecimal(value) if place == "x" else str(value)
        )
    if kind == "bool" and place in "di":
        return str(int(value))
    return _format_value(value, kind) if kind == "address" and place == "x" else "NaN"


def _hexadecimal(number: int) -> str:
    return f"{number % (1 << 256):#x}"


def _exponential(number: int, decimals: str) -> str:
    """Return a number with an exponent, or with a decimal point before this number of digits."""
    digits = str(abs(number))
    power = min(int(decimals), MAX_CHARACTERS) if decimals else len(digits) - 1
    digits = digits.rjust(power + 1, "0")
    whole, rest = digits[: len(digits) - power], digits[len(digits) - power :].rstrip("0")
    return f"{'-' if number < 0 else ''}{whole}{'.' if rest else ''}{rest}{'' if decimals else f'e{power}'}"


def _format_value(value: Any, kind: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return checksummed(value) if kind == "address" else f"0x{value.hex()}"
        case _:
            return str(value)


@cache
def log_signatures(is_strict: bool = False) -> Mapping[bytes, tuple[str, ...]]:
    """Return the types of the arguments of each `log` by selector; with `is_strict` only forge's, all named `log`."""
    found: dict[bytes, tuple[str, ...]] = {}
    for types in _argument_lists():
        arguments = ",".join(types)
        found[_selector(f"log({arguments})")] = types
        if is_strict:
            continue
        found.setdefault(_selector(f"log({re.sub(r'int256', 'int', arguments)})"), types)
        if len(types) == 1:
            name = _NAMED.get(types[0], types[0].capitalize())
            found[_selector(f"log{name}({arguments})")] = types
    return found


def _argument_lists() -> Iterator[tuple[str, ...]]:
    for count in range(5):
        yield from product(_TYPES, repeat=count)
    yield from ((kind,) for kind in _SINGLE)
    yield "string", "int256"


def _selector(signature: str) -> bytes:
    return bytes(keccak(signature.encode())[:4])
