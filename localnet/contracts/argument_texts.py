"""Parsing of ABIs, function signatures, arguments and token amounts.

Forms that users type are `transfer(address,uint256)(bool)`, `0x...`, `[1,2]` and `1.5fil`. An ABI is untrusted:
malformed entries are dropped, so that the others can be used. Source: the JSON section of the Solidity ABI
specification. Entries of libraries have extra types there, which no call uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface, signature
from hypervisor.errors import InvalidInput
from hypervisor.types import ATTO_PER_FIL, TokenAmount

MAX_ENTRIES: Final = 2_000
_KINDS: Final = ("function", "event", "error", "constructor")
_MAX_DIMENSIONS: Final = 16
"""Maximum nesting of tuples, and maximum number of dimensions of an array."""

_MAX_TYPE_LENGTH: Final = 1_000
"""Maximum length of a type in characters."""
_USUAL: Final = re.compile(
    rf"(?:u?int(?:{'|'.join(map(str, range(8, 257, 8)))})|address|bool|string|"
    rf"bytes(?:{'|'.join(map(str, range(1, 33)))})?)(?:\[(?:[1-9][0-9]{{0,3}})?\]){{0,16}}"
)
"""Common types that are known to be valid, so that eth_abi (a sixth of a second to load) is not needed."""


def readable_interface(abi: Any) -> ContractInterface:
    """Read the interface of an ABI's JSON. Raises InvalidInput if it is not a list, or has more than 2,000 entries."""
    if not isinstance(abi, list | tuple) or len(abi) > MAX_ENTRIES:
        raise InvalidInput(f"an ABI is a list of at most {MAX_ENTRIES} entries")
    return ContractInterface([entry for entry in map(_entry, abi) if entry is not None])


def _entry(entry: Any) -> Mapping[str, Any] | None:
    """Return an entry with all the fields that are used, None if it cannot be read."""
    if not isinstance(entry, Mapping) or entry.get("type") not in _KINDS:
        return None
    name = entry.get("name", "")
    inputs, outputs = _parameters(entry.get("inputs", []), 0), _parameters(entry.get("outputs", []), 0)
    if not isinstance(name, str) or inputs is None or outputs is None:
        return None
    return {
        "type": entry["type"],
        "name": name,
        "inputs": inputs,
        "outputs": outputs,
        "anonymous": bool(entry.get("anonymous")),
    }


def _parameters(items: Any, depth: int) -> list[dict[str, Any]] | None:
    if not isinstance(items, list) or depth > _MAX_DIMENSIONS:
        return None
    read = [_parameter(item, depth) for item in items]
    return None if None in read else [item for item in read if item is not None]


def _parameter(item: Any, depth: int) -> dict[str, Any] | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("type"), str):
        return None
    name, kind = item.get("name", ""), item["type"]
    inner = _parameters(item.get("components", []), depth + 1)
    if (
        kind.count("[") > _MAX_DIMENSIONS or len(kind) > _MAX_TYPE_LENGTH
    ):  # eth_abi needs seconds for thousands of dimensions
        return None
    if not isinstance(name, str) or inner is None or not (kind.startswith("tuple") or is_type(kind)):
        return None
    internal = item.get("internalType")
    more = {"internalType": internal} if isinstance(internal, str) else {}
    return {"name": name, "type": kind, "components": inner, "indexed": bool(item.get("indexed")), **more}


def is_type(kind: str) -> bool:
    """Return True if the text names an ABI type that can be encoded."""
    if _USUAL.fullmatch(kind):
        return True
    from eth_abi.abi import is_encodable_type
    from eth_abi.exceptions import ParseError

    try:
        return is_encodable_type(kind)
    except (ParseError, ValueError):
        return False


_UNITS: Final = {
    "": 18, "fil": 18, "ether": 18, "eth": 18, "millifil": 15, "mfil": 15, "microfil": 12, "ufil": 12,
    "nanofil": 9, "nfil": 9, "gwei": 9, "picofil": 6, "femtofil": 3, "attofil": 0, "afil": 0, "wei": 0,
}  # fmt: skip
_DECIMALS: Final = len(str(ATTO_PER_FIL)) - 1
_AMOUNT: Final = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,18}))? ?([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_amount(text: str) -> TokenAmount:
    """Parse `1.5fil`, `1.5` (also FIL), `20nanofil`, `1000attofil` or `1gwei` to attoFIL. Raises InvalidInput."""
    from hypervisor.errors import InvalidInput

    found = _AMOUNT.fullmatch(text.strip())
    decimals = None if found is None else _UNITS.get(found[3].lower())
    if re.match(r"[0-9]{41}", text.strip()):
        raise InvalidInput(f"{text!r:.60} is too large: an amount has at most 40 digits before the point")
    if found is None or decimals is None:
        raise InvalidInput(f"{text!r:.60} is not an amount: expected 1.5fil, 20nanofil or 1000attofil, for example")
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidInput(f"{text!r:.60} is not a whole number of attoFIL: this unit has at most {decimals} decimals")
    return TokenAmount(int(found[1]) * 10**decimals + int(fraction.ljust(decimals, "0") or 0))


def payment(text: str) -> TokenAmount:
    """Parse the value of a message to attoFIL. Raises InvalidInput for a nonzero integer without a unit.

    cast reads `1` as 1 wei, but `attofil` reads it as 1 FIL. The check protects users of cast from sending 10**18 times
    the amount.
    """
    from hypervisor.errors import InvalidInput

    amount, bare = parse_amount(text), text.strip()
    if amount and bare.isdigit():
        raise InvalidInput(
            f"the amount {bare} has no unit: write {bare}fil, or {bare}wei (the meaning of {bare} in cast)"
        )
    return amount


ReadAddress = Callable[[str], str]
"""Function that converts any form of address to an Ethereum address (0x)."""

_SHORT: Final = re.compile(r"\b(u?int)(?![0-9])")
_ARRAY: Final = re.compile(r"(.*)\[([0-9]*)\]", re.DOTALL)
_OPEN, _CLOSE = "([{", ")]}"
_MAX_TEXT_LENGTH: Final = 1 << 20
_MAX_DEPTH: Final = 32


def signature_interface(text: str) -> tuple[ContractInterface, str]:
    """Parse `name(types)`, optionally followed by `(return types)`; return its interface and its name.

    Without return types, the function's ABI entry has no `outputs`. Argument names are allowed, and so is `uint` for
    `uint256`. Raises InvalidInput.
    """
    parts = _signature_parts(text)
    if parts is None:
        raise InvalidInput(
            f"{text!r:.80} is not a function: expected name(types)(return types), such as balanceOf(address)(uint256)"
        )
    name, lists = parts
    types = dict(zip(("inputs", "outputs"), lists, strict=False))
    return ContractInterface([{"type": "function", "name": name, **types}]), name


def calldata_of(interface: ContractInterface, function: str, arguments: Sequence[str], address: ReadAddress) -> bytes:
    """Encode calldata with arguments given as text. Raises InvalidInput."""
    try:
        entry = interface.function(function, len(arguments))
        return interface.encode_call(signature(entry), *values(entry["inputs"], arguments, address))
    except AbiMismatch as error:
        raise InvalidInput(str(error)) from None


def init_code_of(interface: ContractInterface, code: bytes, arguments: Sequence[str], address: ReadAddress) -> bytes:
    """Return init code with constructor arguments given as text. Raises InvalidInput."""
    inputs: list[Any] = next((entry["inputs"] for entry in interface.abi if entry["type"] == "constructor"), [])
    if len(inputs) != len(arguments):
        kinds = ", ".join(kind_of(item) for item in inputs) or "none"
        raise InvalidInput(f"the constructor takes {len(inputs)} arguments ({kinds}), not {len(arguments)}")
    try:
        return interface.encode_constructor(code, *values(inputs, arguments, address))
    except AbiMismatch as error:
        raise InvalidInput(str(error)) from None


def values(items: Sequence[Any], arguments: Sequence[str], address: ReadAddress) -> list[Any]:
    """Parse arguments by the types of ABI items. Raises InvalidInput."""
    return [_value(kind_of(item), text, address, 0) for item, text in zip(items, arguments, strict=True)]


def kind_of(item: Any) -> str:
    """Return the canonical type of an ABI item, such as `uint256` or `(address,bool)[]` for a tuple."""
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(kind_of(part) for part in item['components'])}){kind.removeprefix('tuple')}"


def as_plain(value: Any) -> Any:
    """Return a decoded value as JSON: numbers as decimal text, bytes as hex."""
    match value:
        case bool() | None | str():
            return value
        case bytes():
            return f"0x{value.hex()}"
        case list() | tuple():
            return [as_plain(item) for item in value]
        case _:
            return str(value)


def _signature_parts(text: str) -> tuple[str, list[list[Any]]] | None:
    """Return the name, the argument types, and the return types (None if the text has none)."""
    found = re.match(r"\s*([A-Za-z_$][\w$]*)\s*", text, re.ASCII)
    if found is None or len(text) > _MAX_TEXT_LENGTH:
        return None
    rest, lists = text[found.end() :], list[list[Any]]()
    while rest.strip():
        rest = re.sub(r"^\s*(?:(?:view|pure|payable|external|public|returns)\b\s*)*", "", rest)
        end = _matching(rest)
        if end is None or len(lists) == 2:
            return None
        items = [_item(part) for part in _split(rest[1:end])]
        if None in items:
            return None
        lists.append(items)
        rest = rest[end + 1 :]
    return (found[1], lists) if lists else None


def _item(text: str) -> dict[str, str] | None:
    """Parse a type, with or without a name after it."""
    text = text.strip()
    end = _matching(text) if text.startswith("(") else None
    head = text if end is None else text[end + 1 :]
    words = head.split()
    kind = (text[: end + 1] if end is not None else "") + (words[0] if words else "")
    if end is not None:
        kind = f"({','.join(_kinds(text[1:end]) or ['?'])}){kind[end + 1 :]}" if text[1:end].strip() else kind
    kind = _SHORT.sub(r"\g<1>256", kind)
    return {"name": "", "type": kind} if is_type(kind) else None


def _kinds(text: str) -> list[str]:
    items = [_item(part) for part in _split(text)]
    return [item["type"] for item in items if item is not None] if None not in items else []


def _value(kind: str, text: str, address: ReadAddress, depth: int) -> Any:
    text = text.strip() if depth or kind != "string" else text
    if depth > _MAX_DEPTH:
        raise InvalidInput("the arguments are nested too deeply")
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        return [_value(array[1], part, address, depth + 1) for part in _parts(text, "[", kind)]
    if kind.startswith("("):
        kinds, parts = _split(kind[1:-1]), _parts(text, "([", kind)
        if len(kinds) != len(parts):
            raise InvalidInput(f"{text!r:.60} has {len(parts)} parts, {kind} has {len(kinds)}")
        return tuple(_value(inner, part, address, depth + 1) for inner, part in zip(kinds, parts, strict=True))
    return _plain_value(kind, _unquote(text) if depth else text, address)


def _plain_value(kind: str, text: str, address: ReadAddress) -> Any:
    try:
        if kind == "address":
            return address(text)
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind.startswith("bytes"):
            if not text.startswith("0x"):
                raise ValueError("bytes begin with 0x")
            return bytes.fromhex(text[2:])
        if kind.startswith(("uint", "int")):
            return _number(text)
    except (KeyError, ValueError):
        raise InvalidInput(f"{text!r:.80} is not a valid {kind}") from None
    return text


def _number(text: str) -> int:
    if text[-1:].isalpha() and not text.lower().startswith(("0x", "-0x")):
        return parse_amount(text)
    if len(text) > 100:
        raise ValueError("longer than any number")
    return int(text, 16 if "x" in text.lower() else 10)


def _parts(text: str, opening: str, kind: str) -> list[str]:
    if text[:1] not in tuple(opening) or _matching(text) != len(text) - 1:
        raise InvalidInput(f"{text!r:.60} is not a valid {kind}: expected values in brackets, such as [1,2] or (1,2)")
    return _split(text[1:-1])


def _matching(text: str) -> int | None:
    """Return the index of the bracket that closes the first one, or None."""
    if text[:1] not in tuple(_OPEN):
        return None
    for index, depth in _depths(text):
        if depth == 0:
            return index
    return None


def _split(text: str) -> list[str]:
    """Split at commas outside brackets and quotes."""
    if not text.strip():
        return []
    parts, start = list[str](), 0
    for index, depth in _depths(text):
        if depth == 0 and text[index] == ",":
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _depths(text: str) -> list[tuple[int, int]]:
    """Return the number of open brackets after each character outside quotes."""
    depths, depth, quoted, escaped = list[tuple[int, int]](), 0, False, False
    for index, sign in enumerate(text):
        if quoted:
            quoted = escaped or sign != '"'
            escaped = not escaped and sign == "\\"
            continue
        quoted = sign == '"'
        depth += (sign in _OPEN) - (sign in _CLOSE)
        depths.append((index, depth))
    return depths


def _unquote(text: str) -> str:
    import json

    if not text.startswith('"'):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        raise InvalidInput(f"{text!r:.60} is not quoted text") from None
    return str(found)
