"""Documents (JSON, and TOML as JSON): JSON paths, and conversion of values to ABI values.

Untyped values are converted as in forge: numbers to uint256 or int256, hexadecimal strings to address (20 bytes),
bytes32 (32 bytes) or bytes, objects to tuples in the order of a struct with these fields, or else by key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bridge.abi.strict_abi import join_parts
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.json_paths import select
from fvm_hypervisor.soltest.cheatcodes.limits import check_type, check_values
from fvm_hypervisor.soltest.cheatcodes.text import json_text
from fvm_hypervisor.soltest.cheatcodes.text.json_text import Number
from fvm_hypervisor.soltest.cheatcodes.text.strings import is_type, read_value
from fvm_hypervisor.soltest.cheatcodes.texts import write_text
from fvm_hypervisor.soltest.cheatcodes.values import encode, split

_HALF: Final = 1 << 255
_WORD: Final = 32
_INTEGER: Final = re.compile("[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9_]+)")
_MAX_DIGITS: Final = 512
"""Maximum length of text that is read as a number; it has room for 256 bits in every notation."""
MAX_NESTING: Final = 64
_TOO_DEEP: Final = "the input is nested too deeply"
_WRONG_LENGTH: Final = "array length mismatch"


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
            if size and int(size) != len(value):
                raise CheatcodeFailure(_WRONG_LENGTH)
            kinds: Sequence[str] = (inner,) * len(value)
        elif kind.startswith("("):
            kinds = split(kind[1:-1])
        else:
            raise CheatcodeFailure(f"expected {kind}, found array")
        if len(kinds) != len(value):
            raise CheatcodeFailure(_WRONG_LENGTH)
        return tuple(coerce(item, part) for item, part in zip(value, kinds, strict=True))
    if isinstance(value, str) and (kind == "string" or kind.startswith(("uint", "int"))):
        return value if kind == "string" else read_value(value, kind)
    return read_value(json_text.to_text(value).replace('"', ""), kind)


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", Number: "number"}
    return names.get(type(value), "null")


_STRUCT: Final = re.compile(r"\s*(\w+)\s*\((.*?)\)\s*(?=\w+\s*\(|$)", re.DOTALL)
_LENGTH: Final = re.compile("[1-9][0-9]{0,18}")

Structs = Mapping[str, Sequence[tuple[str, str]]]
"""Type and name of the members of structs, by the struct's name."""


def encode_typed(value: Any, description: str, suffix: str = "") -> bytes:
    """Return a value encoded by the description of its type, or with `suffix` "[]" a list of such values."""
    kind, structs = described_type(description)
    kind += suffix
    return encode([abi_type(kind, structs)], [_typed(value, kind, structs)])


def described_type(description: str) -> tuple[str, Structs]:
    """Return an ABI type, or the outermost of structs in EIP-712's notation, and these structs."""
    if is_type(description):
        return description, {}
    structs: dict[str, list[tuple[str, str]]] = {}
    for found in _STRUCT.finditer(description):
        members = [member.split() for member in found[2].split(",")]
        if any(len(member) != 2 for member in members):
            raise CheatcodeFailure(f"the members of {found[1]} must be types with names, as in {found[1]}(uint256 a)")
        structs[found[1]] = [(kind, name) for kind, name in members]
    if not structs:
        raise CheatcodeFailure(f"type description '{description}' is malformed")
    return next(iter(structs)), structs


def _typed(value: Any, kind: str, structs: Structs) -> Any:
    if kind.partition("[")[0] not in structs:
        return coerce(value, kind)
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        if not isinstance(value, list):
            raise CheatcodeFailure(f"expected array, found {_type_name(value)}")
        if size and len(value) != int(size):
            raise CheatcodeFailure(_WRONG_LENGTH)
        return [_typed(item, inner, structs) for item in value]
    if not isinstance(value, Mapping):
        raise CheatcodeFailure(f"expected object, found {_type_name(value)}")
    for _, name in structs[kind]:
        if name not in value:
            raise CheatcodeFailure(f"field {name} of {kind} is not in the object")
    return tuple(_typed(value[name], part, structs) for part, name in structs[kind])


def abi_type(kind: str, structs: Structs, depth: int = 0) -> str:
    """Return a type as an ABI type, with tuples for structs."""
    if depth > MAX_NESTING:
        raise CheatcodeFailure(_TOO_DEEP)
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        if size and not _LENGTH.fullmatch(size):
            raise CheatcodeFailure(f"'{size:.40}' is not a valid array length")
        return f"{abi_type(inner, structs, depth + 1)}[{size}]"
    if kind in structs:
        return check_type(f"({','.join(abi_type(part, structs, depth + 1) for part, _ in structs[kind])})")
    if not is_type(kind):
        raise CheatcodeFailure(f"missing type in type resolution: {kind}")
    return kind
