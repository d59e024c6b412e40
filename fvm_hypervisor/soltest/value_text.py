"""Text of Solidity values in forge's format: labelled addresses, numbers with their magnitude, structs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bridge.addresses import EthAddress, checksummed
from hypervisor.printable import printable

MAX_TEXT: Final = 1 << 18
"""Maximum number of characters of a value."""
_PLAIN: Final = 9_999
"""Largest number without scientific notation."""

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"})
Named = Callable[[EthAddress], str]
"""Returns an address with its label, if it has one."""


def plain(address: EthAddress) -> str:
    """Return an address without its label."""
    return checksummed(address)


def arguments_text(entries: Sequence[Mapping[str, Any]], values: Sequence[Any], named: Named = plain) -> str:
    """Return values by the types of their ABI entries, without names: `1, "text", Vault: [0x...]`."""
    return ", ".join(value_text(entry, value, named) for entry, value in zip(entries, values, strict=True))


def raw_arguments_text(entries: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> str:
    """Return values as `arguments_text` does, but without scientific notation and quotes (`raw_text`)."""
    return ", ".join(raw_text(entry, value) for entry, value in zip(entries, values, strict=True))


def value_text(entry: Mapping[str, Any], value: Any, named: Named = plain) -> str:
    """Return a value as text, by the type of its ABI entry."""
    return _text(str(entry["type"]), entry, value, named)[:MAX_TEXT]


def _text(kind: str, entry: Mapping[str, Any], value: Any, named: Named) -> str:
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return f"[{', '.join(_text(inner, entry, item, plain) for item in value)}]"
    match value:
        case tuple() if kind == "tuple":
            parts = entry["components"]
            if not any(part["name"] for part in parts):
                return f"({arguments_text(parts, value)})"
            fields = ", ".join(
                f"{part['name']}: {value_text(part, item)}" for part, item in zip(parts, value, strict=True)
            )
            return f"{_struct(entry)}({{ {fields} }})"
        case bool():
            return "true" if value else "false"
        case int():
            return number_text(value)
        case bytes() if kind == "address":
            return named(EthAddress(value))
        case bytes():
            return f"0x{value.hex()}"
        case str() if kind == "address":
            return named(EthAddress(bytes.fromhex(value[2:])))
        case _:
            return f'"{_escape(str(value))}"'


def number_text(value: int) -> str:
    """Return a number, followed by its scientific notation if it is large: `1795198834 [1.795e9]`."""
    if abs(value) <= _PLAIN:
        return str(value)
    sign, digits = "-" if value < 0 else "", str(abs(value))
    fraction = digits[1:4].rstrip("0")
    return f"{value} [{sign}{digits[0]}{'.' if fraction else ''}{fraction}e{len(digits) - 1}]"


def _escape(text: str) -> str:
    """Escape a text for one line, as Rust's debug format does."""
    return printable(text.translate(_ESCAPES), MAX_TEXT)


def _struct(entry: Mapping[str, Any]) -> str:
    """Return the name of a struct, without that of its contract."""
    internal = str(entry.get("internalType", ""))
    return internal.removeprefix("struct ").rpartition(".")[2].partition("[")[0] if internal else ""


def raw_text(entry: Mapping[str, Any], value: Any) -> str:
    """Return a value without scientific notation, as records have it. Strings have no quotes."""
    kind = str(entry["type"])
    if kind == "string":
        return str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value_text(entry, value)
