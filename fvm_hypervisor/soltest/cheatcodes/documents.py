"""Documents (JSON, and TOML as JSON): JSON paths, and conversion of values to ABI values.

Untyped values are converted as in forge: numbers to uint256 or int256, hexadecimal strings to address (20 bytes),
bytes32 (32 bytes) or bytes, objects to tuples ordered by key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes import json_text
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.json_text import Number
from fvm_hypervisor.soltest.cheatcodes.limits import check_type
from fvm_hypervisor.soltest.cheatcodes.strings import is_type, read_value
from fvm_hypervisor.soltest.cheatcodes.values import encode, split

_STEP: Final = re.compile(r"""\.?([A-Za-z_][\w\- ]*)|\[\s*(\d+|\*|'[^']*'|"[^"]*")\s*\]|\.(\d[\w\-]*)|(\.\*)""")
_HALF: Final = 1 << 255
MAX_NESTING: Final = 64
_TOO_DEEP: Final = "the input is nested too deeply"


def read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises CheatcodeFailure."""
    try:
        document = json_text.read(text)
    except ValueError as error:
        raise CheatcodeFailure(f"failed parsing JSON: {error}") from None
    level = [document]
    for _ in range(MAX_NESTING):
        inner = [list(value.values()) if isinstance(value, dict) else value for value in level]
        level = [item for value in inner if isinstance(value, list) for item in value]
        if not level:
            return document
    raise CheatcodeFailure(_TOO_DEEP)


def select(document: Any, path: str) -> list[Any]:
    """Return the values that a path selects."""
    rest = path.strip().removeprefix("$")
    found = [document]
    at = 0
    while at < len(rest):
        if rest[at] == "." and at + 1 == len(rest):
            break
        step = _STEP.match(rest, at)
        if step is None:
            raise CheatcodeFailure(f'failed selecting from JSON: the path "{path}" is malformed')
        at = step.end()
        name = step[1] or step[2] or step[3] or "*"
        found = [inner for value in found for inner in _below(value, name, bracket=step[2] is not None)]
    return found


def _below(value: Any, name: str, bracket: bool) -> Sequence[Any]:
    if name == "*":
        return list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list) else []
    if bracket and name.isdecimal():
        return [value[int(name)]] if isinstance(value, list) and int(name) < len(value) else []
    name = name.strip("'\"") if bracket else name
    return [value[name]] if isinstance(value, Mapping) and name in value else []


def at(document: Any, path: str) -> Any:
    """Return the value that a path selects, a list of several. Raises CheatcodeFailure if there is none."""
    found = select(document, path)
    if not found:
        raise CheatcodeFailure(f'path "{path}" must return exactly one JSON value')
    return found[0] if len(found) == 1 else found


def value_or_default(document: Any, path: str, kind: str, default: Any) -> Any:
    """Return the value that a path selects as a value of a type, or the default if it selects none.

    Raises CheatcodeFailure if it selects several.
    """
    found = select(document, path)
    if len(found) > 1:
        raise CheatcodeFailure(f'path "{path}" must return exactly one JSON value')
    return coerce(found[0], kind) if found else default


def exists(document: Any, path: str) -> bool:
    """Return True if a path selects anything."""
    return bool(select(document, path))


def keys(document: Any, path: str) -> list[str]:
    """Return the keys of the object that a path selects."""
    value = at(document, path)
    if not isinstance(value, Mapping):
        raise CheatcodeFailure(f'JSON value at "{path}" is not an object')
    return list(value)


# --- ABI values ------------------------------------------------------------------------------------------------------


def infer_value(value: Any) -> tuple[str, Any]:
    """Return the ABI type and value of an untyped value."""
    match value:
        case None:
            return "bytes32", bytes(32)
        case bool():
            return "bool", value
        case int() | Number():
            number = value if isinstance(value, int) else value.integer
            if number is None or not -_HALF <= number < 2 * _HALF:
                raise CheatcodeFailure(f"unsupported JSON number: {_text(value)}")
            return ("uint256" if number >= 0 else "int256"), number
        case str():
            return _guessed_text(value)
        case list():
            return _guessed_list(value)
        case dict():
            parts = [infer_value(value[key]) for key in sorted(value)]
            return f"({','.join(kind for kind, _ in parts)})", tuple(part for _, part in parts)
        case _:
            raise CheatcodeFailure(f"{value!r:.60} has no ABI type")


def _guessed_text(text: str) -> tuple[str, Any]:
    if not text.startswith("0x"):
        return "string", text
    body = text[2:]
    if len(body) == 39:
        raise CheatcodeFailure(
            f'Cannot parse "{body}" as an address. If you want to specify address, prepend zero to the value.'
        )
    try:
        data = bytes.fromhex(body if len(body) % 2 == 0 else f"0{body}")
    except ValueError:
        raise CheatcodeFailure(f'"{text}" is not hexadecimal') from None
    return {20: "address", 32: "bytes32"}.get(len(data), "bytes"), data


def _guessed_list(values: Sequence[Any]) -> tuple[str, Any]:
    parts = [infer_value(value) for value in values]
    kinds = {kind for kind, _ in parts}
    if kinds == {"uint256", "int256"}:
        return "int256[]", [part for _, part in parts]
    if len(kinds) > 1:  # as in forge: a tuple, each element by its own type
        return f"({','.join(kind for kind, _ in parts)})", tuple(part for _, part in parts)
    return f"{parts[0][0] if parts else 'bytes32'}[]", [part for _, part in parts]


def encode_inferred(value: Any) -> bytes:
    """Return an untyped value, ABI-encoded."""
    kind, part = infer_value(value)
    if isinstance(value, dict) and not value:
        return b""
    return encode([kind], [part])


def coerce(value: Any, kind: str) -> Any:
    """Return a document's value as a value of a type. Raises CheatcodeFailure."""
    if kind.endswith("[]"):
        if not isinstance(value, list):
            return read_value(_text(value), kind)
        return [coerce(item, kind[:-2]) for item in value]
    if kind.startswith("("):
        parts = split(kind[1:-1])
        if isinstance(value, Mapping):
            value = [value[key] for key in sorted(value)]
        if not isinstance(value, list) or len(value) != len(parts):
            raise CheatcodeFailure(f"expected {len(parts)} values, found {_type_name(value)}")
        return tuple(coerce(item, part) for item, part in zip(value, parts, strict=True))
    if kind == "string":
        if isinstance(value, Mapping):
            raise CheatcodeFailure("expected string, found JSON object")
        if isinstance(value, list):
            raise CheatcodeFailure("expected string, found array")
        return _text(value)
    if isinstance(value, bool):
        return value if kind == "bool" else read_value(_text(value), kind)
    if isinstance(value, int | Number | str):
        if isinstance(value, str) and kind.startswith("bytes") and value.startswith("0x") and len(value) % 2:
            value = f"0x0{value[2:]}"
        return read_value(_text(value), kind)
    raise CheatcodeFailure(f"expected {kind}, found {_type_name(value)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.to_text(value)


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Number: "number"}
    return names.get(type(value), "null")


_STRUCT: Final = re.compile(r"\s*(\w+)\s*\((.*?)\)\s*(?=\w+\s*\(|$)", re.DOTALL)


def encode_typed(value: Any, description: str) -> bytes:
    """Return a value encoded by a type description: an ABI type, or structs in EIP-712's notation."""
    if is_type(description):
        return encode([description], [coerce(value, description)])
    structs = _structs(description)
    kind, part = _structured(value, next(iter(structs)), structs)
    return encode([kind], [part])


def encode_typed_array(values: Any, description: str) -> bytes:
    """Return a list of values encoded by the description of their type, as in `encode_typed`."""
    if is_type(description):
        return encode_typed(values, f"{description}[]")
    structs = _structs(description)
    kind, parts = _structured(values, f"{next(iter(structs))}[]", structs)
    return encode([kind], [parts])


def _structs(description: str) -> dict[str, list[tuple[str, ...]]]:
    check_type(description)
    structs = {
        found[1]: [tuple(field.split()) for field in found[2].split(",") if field.strip()]
        for found in _STRUCT.finditer(description)
    }
    if not structs:
        raise CheatcodeFailure(f"type description '{description}' is malformed")
    return structs


def _structured(value: Any, kind: str, structs: Mapping[str, Sequence[tuple[str, ...]]]) -> tuple[str, Any]:
    if kind.endswith("[]"):
        inner = kind[:-2]
        if not isinstance(value, list):
            raise CheatcodeFailure(f"expected array, found {_type_name(value)}")
        parts = [_structured(item, inner, structs) for item in value]
        return f"{parts[0][0] if parts else _flat(inner, structs)}[]", [part for _, part in parts]
    if kind not in structs:
        return kind, coerce(value, kind)
    if not isinstance(value, Mapping):
        raise CheatcodeFailure(f"expected object, found {_type_name(value)}")
    fields = []
    for field in structs[kind]:
        if len(field) != 2 or field[1] not in value:
            raise CheatcodeFailure(f"field {field[-1]} of {kind} is not in the object")
        fields.append(_structured(value[field[1]], field[0], structs))
    return f"({','.join(part for part, _ in fields)})", tuple(part for _, part in fields)


def _flat(kind: str, structs: Mapping[str, Sequence[tuple[str, ...]]], depth: int = 0) -> str:
    if depth > MAX_NESTING:
        raise CheatcodeFailure(_TOO_DEEP)
    if kind.endswith("[]"):
        return f"{_flat(kind[:-2], structs, depth + 1)}[]"
    if kind not in structs:
        return kind
    return check_type(f"({','.join(_flat(field[0], structs, depth + 1) for field in structs[kind])})")
