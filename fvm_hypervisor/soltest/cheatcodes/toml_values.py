"""TOML cheatcodes: TOML is converted to equivalent JSON, and written from JSON."""

from __future__ import annotations

import json
import re
from math import isfinite, isnan
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes import documents
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.files import allowed_file, read_text, write_bytes
from fvm_hypervisor.soltest.cheatcodes.json_text import Number
from fvm_hypervisor.soltest.cheatcodes.json_values import KINDS, insert_value, read_or_text
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from hypervisor.toml_text import parse_toml

_I64: Final = 1 << 63
_FRACTION: Final = re.compile(r"(\.[0-9]*?)0+(?![0-9])")


def _read(text: str) -> Any:
    try:
        return _as_json(parse_toml(text, parse_float=_number))
    except (ValueError, RecursionError) as error:
        raise CheatcodeFailure(f"failed parsing TOML: {error}") from None


def _number(text: str) -> Number | str:
    """Return a number with a fraction or an exponent: a float as in forge, and text if it is not finite."""
    value = float(text)
    if isfinite(value):
        return Number.read(repr(value).replace("e-0", "e-"))
    if text.lstrip("+-") not in ("inf", "nan"):
        raise ValueError("floating-point number overflowed")
    return "NaN" if isnan(value) else str(value)


def _as_json(value: Any) -> Any:
    match value:
        case dict():
            return {key: _as_json(part) for key, part in value.items()}
        case list():
            return [_as_json(part) for part in value]
        case "null":  # as in forge, which writes JSON's null so
            return None
        case int() if not -_I64 <= value < _I64:
            raise ValueError("integer number overflowed")
        case bool() | int() | Number() | str():
            return value
        case _:  # a date or a time, which forge writes without zeros at the end of the fraction
            text = _FRACTION.sub(r"\1", value.isoformat())
            return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


@cheatcode("parseToml(string)", returns="bytes")
def _parse(context: Context, text: str) -> bytes:
    return _parse_at(context, text, "$")


@cheatcode("parseToml(string,string)", returns="bytes")
def _parse_at(context: Context, text: str, key: str) -> bytes:
    return documents.encode_inferred(_read(text), key, context.settings.struct_order)


def _family(name: str, kind: str) -> None:
    cheatcode(f"parseToml{name}(string,string)", returns=kind)(
        lambda _context, text, key: documents.coerce(documents.at(_read(text), key), kind)
    )
    cheatcode(f"parseToml{name}Array(string,string)", returns=f"{kind}[]")(
        lambda _context, text, key: documents.coerce(documents.at(_read(text), key), f"{kind}[]")
    )
    for ending, every in (("", kind), ("Array", f"{kind}[]")):
        cheatcode(f"parseToml{name}{ending}(string,string,{every})", returns=every)(
            lambda _context, text, key, default, every=every: documents.value_or_default(
                _read(text), key, every, default
            )
        )


for _name, _kind in KINDS.items():
    _family(_name, _kind)


@cheatcode("parseTomlKeys(string,string)", returns="string[]")
def _keys(_context: Context, text: str, key: str) -> list[str]:
    return documents.keys(_read(text), key)


@cheatcode("keyExistsToml(string,string)", returns="bool")
def _exists(_context: Context, text: str, key: str) -> bool:
    return documents.exists(_read(text), key)


@cheatcode("parseTomlType(string,string)", returns="bytes")
def _parse_type(_context: Context, text: str, description: str) -> bytes:
    return documents.encode_typed(_read(text), description)


@cheatcode("parseTomlType(string,string,string)", returns="bytes")
def _parse_type_at(_context: Context, text: str, key: str, description: str) -> bytes:
    return documents.encode_typed(documents.at(_read(text), key), description)


@cheatcode("parseTomlTypeArray(string,string,string)", returns="bytes")
def _typed_array(_context: Context, text: str, key: str, description: str) -> bytes:
    return documents.encode_typed_array(documents.at(_read(text), key), description)


@cheatcode("writeToml(string,string)")
def _write(context: Context, text: str, path: str) -> None:
    write_bytes(context, path, to_toml(_object(text)).encode())


@cheatcode("writeToml(string,string,string)")
def _write_at(context: Context, text: str, path: str, key: str) -> None:
    document = _read(read_text(context, path)) if allowed_file(context, path, "read").exists() else {}
    insert_value(document, key, read_or_text(text))
    write_bytes(context, path, to_toml(document).encode())


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
