"""JSON and TOML cheatcodes: reading of values, and construction of documents."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from math import isfinite, isnan
from typing import Any, Final

from hypervisor.installation import parse_toml
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.files import allowed_file, read_text, write_bytes
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text import documents, json_text
from hypervisor_tools.soltest.cheatcodes.text.documents import select
from hypervisor_tools.soltest.cheatcodes.text.json_text import Number, to_text
from hypervisor_tools.soltest.cheatcodes.text.strings import show
from hypervisor_tools.soltest.cheatcodes.values import decode, split

KINDS: Final = {
    "Uint": "uint256", "Int": "int256", "Bool": "bool", "Address": "address", "String": "string", "Bytes": "bytes",
    "Bytes32": "bytes32",
}  # fmt: skip

# --- reading --------------------------------------------------------------------------------------------------------


@cheatcode("parseJsonArrayLength(string,string)", returns="uint256")
def _array_length(_context: Context, text: str, key: str) -> int:
    found = select(documents.read_json(text), key)
    if len(found) != 1:
        raise CheatcodeFailure(f"key {to_text(key)} must return exactly one JSON array")
    if not isinstance(found[0], list):
        raise CheatcodeFailure(f"JSON value at {to_text(key)} is not an array")
    return len(found[0])


# --- construction ---------------------------------------------------------------------------------------------------


def as_json(kind: str, value: Any) -> Any:
    """Return an ABI value as a JSON value; a string with a JSON object becomes that object."""
    if kind.endswith("]"):
        return [as_json(kind.rpartition("[")[0], item) for item in value]
    if kind.startswith("("):
        return [as_json(part, item) for part, item in zip(split(kind[1:-1]), value, strict=True)]
    if kind == "bool" or kind.startswith(("uint", "int")):
        low, high = (0, 1 << 64) if kind.startswith("uint") else (-1 << 63, 1 << 63)
        return value if low <= value < high else str(value)  # as in forge
    if kind == "string":
        try:
            inner = json_text.read(value)
        except ValueError:
            return value
        return inner if isinstance(inner, dict) else value
    return show(kind, value)


def _put(context: Context, name: str, key: str, value: Any) -> str:
    members = context.state.json.setdefault(name, {})
    members[key] = value
    return to_text(dict(sorted(members.items())))


def _serialize(name: str, kind: str) -> None:
    cheatcode(f"serialize{name}(string,string,{kind})", returns="string")(
        lambda context, key, member, value: _put(context, key, member, as_json(kind, value))
    )
    cheatcode(f"serialize{name}(string,string,{kind}[])", returns="string")(
        lambda context, key, member, value: _put(context, key, member, as_json(f"{kind}[]", value))
    )


for _name, _kind in KINDS.items():
    _serialize(_name, _kind)


@cheatcode("serializeUintToHex(string,string,uint256)", returns="string")
def _serialize_hex(context: Context, name: str, key: str, value: int) -> str:
    return _put(context, name, key, f"0x{value:x}")


@cheatcode("serializeJson(string,string)", returns="string")
def _serialize_json(context: Context, name: str, text: str) -> str:
    value = documents.read_json(text)
    if not isinstance(value, dict):
        raise CheatcodeFailure("invalid JSON object")
    context.state.json[name] = value
    return text


@cheatcode("serializeJsonType(string,bytes)", returns="string")
def _serialize_type(_context: Context, description: str, data: bytes) -> str:
    return to_text(_typed_json(description, data))


@cheatcode("serializeJsonType(string,string,string,bytes)", returns="string")
def _serialize_type_in(context: Context, name: str, key: str, description: str, data: bytes) -> str:
    return _put(context, name, key, _typed_json(description, data))


def _typed_json(description: str, data: bytes) -> Any:
    """Return a value encoded as a type, or as EIP-712's description of structs, as a JSON value."""
    kind, structs = documents.described_type(description)
    return _named(kind, decode([documents.abi_type(kind, structs)], data)[0], structs)


def _named(kind: str, value: Any, structs: documents.Structs) -> Any:
    if kind.partition("[")[0] not in structs:
        return as_json(kind, value)
    if kind.endswith("]"):
        return [_named(kind.rpartition("[")[0], item, structs) for item in value]
    return {name: _named(part, item, structs) for (part, name), item in zip(structs[kind], value, strict=True)}


def read_or_text(text: str) -> Any:
    """Return the value of a JSON text; other text is a string."""
    try:
        return json_text.read(text)
    except ValueError:
        return text


def insert_value(document: Any, key: str, value: Any) -> None:
    """Set the value of a key, whose parts are separated by dots; missing objects are created, as in forge."""
    parts = [part for part in (key.removeprefix("$") if key.startswith("$.") else key).split(".") if part]
    if not parts:
        raise CheatcodeFailure("'valueKey' cannot be empty or just '$'")
    for part in parts[:-1]:
        if not isinstance(document, dict):
            raise CheatcodeFailure(f"path segment '{part}' does not resolve to an object.")
        document = document.setdefault(part, {})
    if not isinstance(document, dict):
        raise CheatcodeFailure("final destination is not an object, cannot insert key.")
    document[parts[-1]] = value


_I64: Final = 1 << 63
_TIME: Final = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3}(?!")|'{3}.*?'{3}(?!')|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|"""
    r"(?<![\w.:+-])(?:(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ])?(?P<minutes>[0-9]{2}:[0-9]{2})"
    r"(?:(?P<seconds>:[0-9]{2})(?P<fraction>\.[0-9]+)?)?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?(?![\w.:+-])",
    re.DOTALL,
)
"""Times, and strings and comments, in which there are none."""


def _read(text: str) -> Any:
    times = _Times()
    try:
        return _as_json(parse_toml(_TIME.sub(times.mark, text), parse_float=_number), times)
    except (ValueError, RecursionError) as error:
        raise CheatcodeFailure(f"failed parsing TOML: {error}") from None


class _Times:
    """Times of a document, replaced by numbered ones while it is parsed.

    The parser would lose their precision, the way an offset is written, and times without seconds (TOML 1.1).
    """

    def __init__(self) -> None:
        self._found: list[str] = []

    def mark(self, found: re.Match[str]) -> str:
        """Return the number of a time; other text is unchanged."""
        if found["minutes"] is None:
            return found[0]
        date, offset = found["date"], (found["offset"] or "").upper().replace("-00:00", "+00:00")
        clock = found["minutes"] + (found["seconds"] or ":00")
        try:  # a second 60 is valid in TOML
            datetime.fromisoformat(f"{date or '2000-01-01'}T{clock.removesuffix(':60')}{offset}")
        except ValueError:
            return found[0]
        if offset and not date:
            return found[0]
        fraction = (found["fraction"] or "")[:10].rstrip("0").rstrip(".")
        self._found.append(f"{f'{date}T' if date else ''}{clock}{fraction}{offset}")
        return (datetime.min + timedelta(microseconds=len(self._found) - 1)).isoformat(timespec="microseconds")

    def written(self, time: datetime) -> str:
        """Return a numbered time as forge writes it: without zeros at the end of the fraction."""
        return self._found[(time - datetime.min) // timedelta(microseconds=1)]


def _number(text: str) -> Number | str:
    """Return a number with a fraction or an exponent: a float as in forge, and text if it is not finite."""
    value = float(text)
    if isfinite(value):
        return Number.read(repr(value).replace("e-0", "e-"))
    if text.lstrip("+-") not in ("inf", "nan"):
        raise ValueError("floating-point number overflowed")
    return "NaN" if isnan(value) else str(value)


def _as_json(value: Any, times: _Times) -> Any:
    match value:
        case dict():
            return {key: _as_json(part, times) for key, part in value.items()}
        case list():
            return [_as_json(part, times) for part in value]
        case "null":  # as in forge, which writes JSON's null so
            return None
        case int() if not -_I64 <= value < _I64:
            raise ValueError("integer number overflowed")
        case bool() | int() | Number() | str():
            return value
        case datetime():
            return times.written(value)
        case _:
            return str(value)  # a date


def _reading(name: str, read: Callable[[str], Any]) -> None:
    """Register the cheatcodes that read a text in a format."""

    def at(text: str, key: str) -> Any:
        return documents.at(read(text), key)

    def parse(context: Context, text: str, key: str = "$") -> bytes:
        return documents.encode_inferred(read(text), key, context.settings.struct_order)

    cheatcode(f"parse{name}(string)", f"parse{name}(string,string)", returns="bytes")(parse)
    for ending, kind in ((f"{part}{array}", of + brackets) for part, of in KINDS.items() for array, brackets in _LISTS):
        cheatcode(f"parse{name}{ending}(string,string)", returns=kind)(
            lambda _context, text, key, kind=kind: documents.coerce(at(text, key), kind)
        )
        cheatcode(f"parse{name}{ending}(string,string,{kind})", returns=kind)(
            lambda _context, text, key, default, kind=kind: documents.value_or_default(read(text), key, kind, default)
        )
    cheatcode(f"parse{name}Keys(string,string)", returns="string[]")(
        lambda _context, text, key: documents.keys(read(text), key)
    )
    cheatcode(f"keyExists{name}(string,string)", returns="bool")(
        lambda _context, text, key: documents.exists(read(text), key)
    )
    cheatcode(f"parse{name}Type(string,string)", returns="bytes")(
        lambda _context, text, description: documents.encode_typed(read(text), description)
    )
    for ending, brackets in _LISTS:
        cheatcode(f"parse{name}Type{ending}(string,string,string)", returns="bytes")(
            lambda _context, text, key, description, brackets=brackets: documents.encode_typed(
                at(text, key), description, brackets
            )
        )


_LISTS: Final = ("", ""), ("Array", "[]")
_reading("Json", documents.read_json)
_reading("Toml", _read)
cheatcode("keyExists(string,string)", returns="bool")(
    lambda _context, text, key: documents.exists(documents.read_json(text), key)
)


def _object(text: str) -> dict[str, Any]:
    value = documents.read_json(text)
    if not isinstance(value, dict):
        raise CheatcodeFailure("a TOML document must be a JSON object")
    return value


def to_toml(table: dict[str, Any], name: str = "", header: str = "") -> str:
    """Return a table as TOML: its values first, then its subtables and lists of tables."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict) or _is_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in inner]
    if header and (lines or not inner or header.startswith("[[")):
        lines.insert(0, header)
    parts = ["\n".join(lines) + "\n"] if lines else []
    for key, value in inner.items():
        path = f"{name}.{_key(key)}" if name else _key(key)
        tables, opening = (value, f"[[{path}]]") if isinstance(value, list) else ([value], f"[{path}]")
        parts += [to_toml(each, path, opening) for each in tables]
    return "\n".join(parts)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(key: str) -> str:
    return key if key and all(letter.isalnum() or letter in "_-" for letter in key) else json.dumps(key)


def _value(value: Any) -> str:
    match value:
        case None:
            return '"null"'
        case bool():
            return "true" if value else "false"
        case list():
            items = [_value(item) for item in value]
            return (
                "[\n" + "".join(f"    {item},\n" for item in items) + "]" if len(items) > 1 else f"[{''.join(items)}]"
            )
        case dict():
            return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())} }}"
        case Number():
            plain = value.plain
            return f"{int(plain)}.0" if plain == int(plain) else f"{plain:f}"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _writing(name: str, whole: Callable[[str], Any], read: Callable[[str], Any], write: Callable[[Any], str]) -> None:
    """Register the cheatcodes that write a document, or a value of it, in a format."""

    def write_value(context: Context, text: str, path: str, key: str | None = None) -> None:
        if key is None:
            document = whole(text)
        else:
            document = read(read_text(context, path)) if allowed_file(context, path, "read").exists() else {}
            insert_value(document, key, read_or_text(text))
        write_bytes(context, path, write(document).encode())

    cheatcode(f"write{name}(string,string)", f"write{name}(string,string,string)")(write_value)


_writing("Json", read_or_text, read_or_text, partial(to_text, indent=2))
_writing("Toml", _object, _read, to_toml)
