"""Parsing and formatting of JSON values in Ethereum's JSON-RPC.

Readers are strict: each raises RpcError -32602 with the invalid value. Source: the base types of execution-apis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from localnet.rpc.errors import RpcError, invalid_params

Reader = Callable[[Any], Any]

_QUANTITY: Final = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)")
_MAX_QUANTITY_DIGITS = 64
_MAX_WORD_DIGITS = 64
_SHOWN = 90
"""Maximum number of characters of a value shown in an error: enough for a quoted hash or f3 address."""
_END: Final = object()


def quantity(value: Any) -> int:
    """Read a quantity: `0x` and hex digits without leading zeros, at most 256 bits."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise invalid_params(
            f"{format_value(value)} is not a quantity: expected 0x and hex digits without leading zeros"
        )
    if len(value) - 2 > _MAX_QUANTITY_DIGITS:
        raise invalid_params(f"{format_value(value)} has more than 256 bits")
    return int(value, 16)


def uint64(value: Any) -> int:
    """Read a quantity of at most 64 bits."""
    found = quantity(value)
    if found >> 64:
        raise invalid_params(f"{format_value(value)} has more than 64 bits")
    return found


def number(value: Any) -> int:
    """Read a quantity, or a plain JSON number that is not negative: the control methods accept both."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_QUANTITY_DIGITS:
        return int(value)
    return quantity(value)


def word(value: Any) -> int:
    """Read a storage slot: a quantity, or up to 32 bytes in hex, leading zeros allowed."""
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]+", value) and len(value) - 2 <= _MAX_WORD_DIGITS:
        return int(value, 16)
    raise invalid_params(f"{format_value(value)} is not a storage slot: expected 0x and at most 64 hex digits")


def storage_key(value: Any) -> int:
    """Read a storage slot as geth does: at most 64 hex digits, which may be none, with or without 0x."""
    if isinstance(value, str) and re.fullmatch(r"(0x)?[0-9a-fA-F]{0,64}", value):
        return int(value.removeprefix("0x") or "0", 16)
    return word(value)


def data(value: Any) -> bytes:
    """Parse bytes: `0x` and an even number of hex digits."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            parsed = bytes.fromhex(value[2:])
        except ValueError:
            parsed = None  # refused below
        if parsed is not None and 2 * len(parsed) == len(value) - 2:  # `fromhex` skips white space
            return parsed
    raise invalid_params(f"{format_value(value)} is not hex data: expected 0x and an even number of hex digits")


def address(value: Any) -> EthAddress:
    """Parse twenty bytes."""
    if isinstance(value, str) and value.startswith(("f", "t")) and _is_filecoin_address(value):
        raise invalid_params(
            f"{format_value(value)} is not an Ethereum address: convert it with Filecoin.FilecoinAddressToEthAddress"
        )
    return EthAddress(_fixed_bytes(value, 20, "address"))


def _is_filecoin_address(text: str) -> bool:
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True


def hash32(value: Any) -> bytes:
    """Parse 32 bytes."""
    return _fixed_bytes(value, 32, "hash")


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise invalid_params(f"{format_value(value)} is neither true nor false")
    return value


def text(value: Any) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise invalid_params(f"{format_value(value)} is not a string")
    return value


def any_value(value: Any) -> Any:
    """Return any JSON value; the method validates it."""
    return value


def list_of(read: Reader, limit: int) -> Reader:
    """Return a reader of a list of at most `limit` values."""

    def reader(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise invalid_params(f"{format_value(value)} is not a list")
        if len(value) > limit:
            raise invalid_params(f"a list of {len(value)} items, at most {limit}")
        return [read(item) for item in value]

    return reader


def fields(value: Any, what: str) -> dict[str, Any]:
    """Read an object, without the fields that are null."""
    if not isinstance(value, dict):
        raise invalid_params(f"{format_value(value)} is not a valid {what}: expected an object")
    return {name: field for name, field in value.items() if field is not None}


def field(value: dict[str, Any], name: str, read: Reader) -> Any:
    """Read a field of an object, or None if it is absent; the error names the field."""
    if name not in value:
        return None
    try:
        return read(value[name])
    except RpcError as error:
        raise invalid_params(f"{name}: {error.message.removeprefix('invalid params: ')}") from None


def required_field(value: dict[str, Any], name: str, read: Reader) -> Any:
    """Read a field of an object. Raises RpcError, also if the field is absent."""
    if name not in value:
        raise invalid_params(f"{name} is missing")
    return field(value, name, read)


def format_value(value: Any) -> str:
    """Return a value for an error message, truncated: as in JSON, strings in single quotes."""
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str) else _beginning(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _beginning(value: Any) -> str:
    """Return the start of a value's JSON. A client's may be deep and long, so no more of it is encoded than shown."""
    text = ""
    for piece in json.JSONEncoder(default=repr).iterencode(value):
        text += piece
        if len(text) > _SHOWN:
            break
    return text


def _fixed_bytes(value: Any, length: int, what: str) -> bytes:
    if isinstance(value, str) and len(value) == 2 + 2 * length and re.fullmatch(r"0x[0-9a-fA-F]+", value):
        return bytes.fromhex(value[2:])
    raise invalid_params(f"{format_value(value)} is not a valid {what}: expected 0x and {2 * length} hex digits")


# --- writers ----------------------------------------------------------------------------------------------------------


def as_quantity(value: int) -> str:
    """Return a number as a quantity."""
    return hex(value)


def as_data(value: bytes) -> str:
    """Format bytes as hex data."""
    return "0x" + value.hex()


def as_json(value: Any) -> bytes:
    """Encode a result of any depth as JSON. Raises TypeError for values that JSON cannot hold."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # orjson supports 254 levels, and a call tree has two per call
        return b"".join(_pieces(value))


def _pieces(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value, in pieces and without recursion."""
    open_: list[tuple[Iterator[tuple[bytes, Any]], bytes]] = [(iter([(b"", value)]), b"")]
    while open_:
        parts, end = open_[-1]
        text, item = next(parts, (end, _END))
        yield text
        if item is _END:
            open_.pop()
        elif isinstance(item, dict):
            yield b"{"
            open_.append((_members(item), b"}"))
        elif isinstance(item, list):
            yield b"["
            open_.append((((b"," if index else b"", part) for index, part in enumerate(item)), b"]"))
        else:
            yield orjson.dumps(item)


def _members(value: dict[Any, Any]) -> Iterator[tuple[bytes, Any]]:
    """Yield the separator and key before each member of an object, and the member."""
    for index, (name, part) in enumerate(value.items()):
        if not isinstance(name, str):
            raise TypeError(f"{format_value(name)} is not a name of a member")
        yield (b"," if index else b"") + orjson.dumps(name) + b":", part
