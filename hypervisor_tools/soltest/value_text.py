"""Text of Solidity values in forge's format, and tables of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from unicodedata import category

from bridge.ethereum.addresses import EthAddress, checksummed

MAX_TEXT: Final = 1 << 18
"""Maximum number of characters of a value."""
_PLAIN: Final = 9_999
"""Largest number without scientific notation."""

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
Named = Callable[[EthAddress], str]
"""Returns an address with its label, if it has one."""


def plain(address: EthAddress) -> str:
    """Return an address without its label."""
    return checksummed(address)


def arguments_text(
    entries: Sequence[Mapping[str, Any]], values: Sequence[Any], named: Named = plain, raw: bool = False
) -> str:
    """Return values by the types of their ABI entries, without names: `1, "text", Vault: [0x...]`.

    `raw` omits scientific notation, quotes and struct names, as in `raw_args`.
    """
    return ", ".join(value_text(entry, value, named, raw) for entry, value in zip(entries, values, strict=True))


def value_text(entry: Mapping[str, Any], value: Any, named: Named = plain, raw: bool = False) -> str:
    """Format a value by the type of its ABI entry. For `raw` see `arguments_text`."""
    return _text(str(entry["type"]), entry, value, named, raw)[:MAX_TEXT]


def _text(kind: str, entry: Mapping[str, Any], value: Any, named: Named, raw: bool) -> str:
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return f"[{', '.join(_text(inner, entry, item, plain, raw) for item in value)}]"
    match value:
        case tuple() if kind == "tuple":
            parts = entry["components"]
            if raw or not any(part["name"] for part in parts):
                return f"({arguments_text(parts, value, raw=raw)})"
            fields = ", ".join(
                f"{part['name']}: {value_text(part, item)}" for part, item in zip(parts, value, strict=True)
            )
            return f"{_struct(entry)}({{ {fields} }})"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if raw else number_text(value)
        case bytes() if kind == "address":
            return named(EthAddress(value))
        case bytes():
            return f"0x{value.hex()}"
        case str() if kind == "address":
            return named(EthAddress(bytes.fromhex(value[2:])))
        case _:
            return _escape(str(value), raw) if raw else f'"{_escape(str(value))}"'


def number_text(value: int) -> str:
    """Return a number, followed by its scientific notation if it is large: `1795198834 [1.795e9]`."""
    if abs(value) <= _PLAIN:
        return str(value)
    sign, digits = "-" if value < 0 else "", str(abs(value))
    fraction = digits[1:4].rstrip("0")
    return f"{value} [{sign}{digits[0]}{'.' if fraction else ''}{fraction}e{len(digits) - 1}]"


def _escape(text: str, raw: bool = False) -> str:
    """Escape a string as Rust's `{:?}` does or, if `raw`, as `str::escape_debug`.

    The latter also escapes single quotes, but combining characters only at the start. Characters that Python's Unicode
    database does not know are escaped.
    """
    escapes = _ESCAPES | {"'": "\\'"} if raw else _ESCAPES

    def escape(at: int, char: str) -> str:
        if char in escapes:
            return escapes[char]
        is_combining = not (raw and at) and category(char) in ("Mn", "Me")
        return f"\\u{{{ord(char):x}}}" if is_combining or not char.isprintable() else char

    return "".join(escape(at, char) for at, char in enumerate(text[:MAX_TEXT]))


def _struct(entry: Mapping[str, Any]) -> str:
    """Return the name of a struct, without that of its contract."""
    internal = str(entry.get("internalType", ""))
    return internal.removeprefix("struct ").rpartition(".")[2].partition("[")[0] if internal else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: bool = False) -> list[str]:
    """Return the lines of a table; after the first column, numbers are right-aligned unless `left`."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    line = "|" + "+".join("-" * (width + 2) for width in widths) + "|"
    lines = ["╭" + line[1:-1] + "╮", _row(head, widths, left), "+" + "=" * (len(line) - 2) + "+"]
    for index, row in enumerate(rows):
        lines += [line] if index else []
        lines.append(_row(row, widths, left))
    return [*lines, "╰" + line[1:-1] + "╯"]


def _row(cells: Sequence[str], widths: Sequence[int], left: bool) -> str:
    padded = (
        cell.rjust(width) if cell[:1].isdigit() and index and "%" not in cell and not left else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
