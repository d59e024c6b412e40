"""Documents (JSON, and TOML as JSON): JSON paths, and conversion of values to ABI values.

Untyped values are converted as in forge: numbers to uint256 or int256, hexadecimal strings to address (20 bytes),
bytes32 (32 bytes) or bytes, objects to tuples in the order of a struct with these fields, or else by key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bridge.strict_abi import join_parts
from fvm_hypervisor.soltest.cheatcodes import json_text
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.json_paths import select
from fvm_hypervisor.soltest.cheatcodes.json_text import Number
from fvm_hypervisor.soltest.cheatcodes.limits import check_type, check_values
from fvm_hypervisor.soltest.cheatcodes.strings import is_type, read_value
from fvm_hypervisor.soltest.cheatcodes.texts import write_text
from fvm_hypervisor.soltest.cheatcodes.values import encode, split

_HALF: Final = 1 << 255
_WORD: Final = 32
_INTEGER: Final = re.compile("[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9_]+)")
_MAX_DIGITS: Final = 512
"""Maximum length of text that is read as a number; it has room for 256 bits in every notation."""
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


def at(document: Any, path: str) -> Any:
    """Return the only value that a path selects. Raises CheatcodeFailure if there is none, or if there are several."""
    found = select(document, path)
    if len(found) != 1:
        raise CheatcodeFailure(f"path {json_text.to_text(path)} must return exactly one JSON value")
    return found[0]


def value_or_default(document: Any, path: str, kind: str, default: Any) -> Any:
    """Return the value that a path selects as a value of a type, or the default if it selects none.

    Raises CheatcodeFailure if it selects several.
    """
    return coerce(at(document, path), kind) if select(document, path) else default


def exists(document: Any, path: str) -> bool:
    """Return True if a path selects anything."""
    return bool(select(document, path))


def keys(document: Any, path: str) -> list[str]:
    """Return the keys of the object that a path selects."""
    found = select(document, path)
    if len(found) != 1:
        raise CheatcodeFailure(f"key {json_text.to_text(path)} must return exactly one JSON object")
    if not isinstance(found[0], Mapping):
        raise CheatcodeFailure(f"JSON value at {json_text.to_text(path)} is not an object")
    return list(found[0])


# --- ABI values ------------------------------------------------------------------------------------------------------


Order = Callable[[frozenset[str]], Sequence[str] | None]
"""Returns the order of members with these names; None for that of the names."""


def encode_inferred(document: Any, path: str = "$", order: Order = lambda _: None) -> bytes:
    """Return the untyped values that a path selects, ABI-encoded; nothing if it selects none."""
    found = select(document, path)
    check_values(found)
    is_dynamic, data = _inferred(found[0] if len(found) == 1 else found, order)
    return join_parts(_WORD, [(is_dynamic, data)]) if found else b""


def _inferred(value: Any, order: Order) -> tuple[bool, bytes]:
    """Return True if the type of an untyped value is dynamic, and its encoding."""
    match value:
        case None:
            return False, bytes(_WORD)
        case str():
            kind, inner = infer_text(value)
            return (True, write_text(inner)) if kind in ("string", "bytes") else (False, encode([kind], [inner]))
        case bool():
            return False, encode(["bool"], [value])
        case int() | Number():
            number = value if isinstance(value, int) else value.integer
            if number is None or not -_HALF <= number < 2 * _HALF:
                raise CheatcodeFailure(f"unsupported JSON number: {json_text.to_text(value)}")
            return False, (number % (2 * _HALF)).to_bytes(_WORD, "big")
        case dict():
            return _joined([value[key] for key in order(frozenset(value)) or sorted(value)], order)
        case list():  # each item has its own type, as in forge
            return True, len(value).to_bytes(_WORD, "big") + _joined(value, order)[1]
        case _:
            raise CheatcodeFailure(f"{value!r:.60} has no ABI type")


def _joined(values: Sequence[Any], order: Order) -> tuple[bool, bytes]:
    parts = [_inferred(value, order) for value in values]
    head = sum(_WORD if is_dynamic else len(data) for is_dynamic, data in parts)
    return any(is_dynamic for is_dynamic, _ in parts), join_parts(head, parts)


def infer_text(text: str) -> tuple[str, Any]:
    """Return the ABI type and value of untyped text: hexadecimal, a number of more than 64 bits, or a string."""
    if text.startswith("0x"):
        body = text[2:]
        if len(body) == 39:
            raise CheatcodeFailure(
                f'Cannot parse "{body}" as an address. If you want to specify address, prepend zero to the value.'
            )
        if re.fullmatch("[0-9a-fA-F]*", body):
            data = bytes.fromhex(body if len(body) % 2 == 0 else f"0{body}")
            return {20: "address", 32: "bytes32"}.get(len(data), "bytes"), data
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
        digits = text.lstrip("+-").replace("_", "").lower()
        base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
        number = int((digits if base == 10 else digits[2:]) or "0", base) * (-1 if text[0] == "-" else 1)
        if -_HALF <= number < _HALF:
            if number != (number + (1 << 63)) % (1 << 64) - (1 << 63):
                return "int256", number
        elif 0 <= number < 2 * _HALF:
            return "uint256", number
    return "string", text.encode()


def coerce(value: Any, kind: str) -> Any:
    """Return a document's value as a value of a type. Raises CheatcodeFailure."""
    if isinstance(value, Mapping):
        raise CheatcodeFailure(f"expected {kind}, found JSON object")
    if isinstance(value, list):
        if kind.endswith("]"):
            inner, _, size = kind[:-1].rpartition("[")
            kinds: Sequence[str] = (inner,) * (int(size) if size else len(value))
        elif kind.startswith("("):
            kinds = split(kind[1:-1])
        else:
            raise CheatcodeFailure(f"expected {kind}, found array")
        if len(kinds) != len(value):
            raise CheatcodeFailure("array length mismatch")
        return tuple(coerce(item, part) for item, part in zip(value, kinds, strict=True))
    if isinstance(value, str) and (kind == "string" or kind.startswith(("uint", "int"))):
        return value if kind == "string" else read_value(value, kind)
    return read_value(json_text.to_text(value).replace('"', ""), kind)


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Number: "number"}
    return names.get(type(value), "null")


_STRUCT: Final = re.compile(r"\s*(\w+)\s*\((.*?)\)\s*(?=\w+\s*\(|$)", re.DOTALL)


def encode_typed(value: Any, description: str) -> bytes:
    """Return a value encoded by a type description: an ABI type, or structs in EIP-712's notation."""
    if is_type(description):
        return encode([description], [coerce(value, description)])
    structs = structs_of(description)
    kind, part = _structured(value, next(iter(structs)), structs)
    return encode([kind], [part])


def encode_typed_array(values: Any, description: str) -> bytes:
    """Return a list of values encoded by the description of their type, as in `encode_typed`."""
    if is_type(description):
        return encode_typed(values, f"{description}[]")
    structs = structs_of(description)
    kind, parts = _structured(values, f"{next(iter(structs))}[]", structs)
    return encode([kind], [parts])


def structs_of(description: str) -> dict[str, list[tuple[str, ...]]]:
    """Return type and name of the fields of each struct in a description, the outermost first."""
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
        return f"{parts[0][0] if parts else flat_type(inner, structs)}[]", [part for _, part in parts]
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


def flat_type(kind: str, structs: Mapping[str, Sequence[tuple[str, ...]]], depth: int = 0) -> str:
    """Return a type as an ABI type, with tuples for structs."""
    if depth > MAX_NESTING:
        raise CheatcodeFailure(_TOO_DEEP)
    if kind.endswith("[]"):
        return f"{flat_type(kind[:-2], structs, depth + 1)}[]"
    if kind not in structs:
        return kind
    return check_type(f"({','.join(flat_type(field[0], structs, depth + 1) for field in structs[kind])})")
