"""Typed and bounded parsing of CBOR and JSON values. Each error names the part that is invalid."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final, TypeGuard

from fvm_hypervisor.laboratory.proofs.f3.errors import InvalidCertificate
from store.cid import Cid, CidError, parse_cid
from store.codec import CodecError, unlink

MAX_UINT64: Final = (1 << 64) - 1
MAX_INT64: Final = (1 << 63) - 1
MAX_CID: Final = 38
"""Maximum length of a CID in bytes. Source: go-f3, gpbft/chain.go, CidMaxLen."""
MAX_POWER: Final = 128
"""Maximum length of a power in bytes, with its sign. Source: go-state-types, big.BigIntMaxSerializedLen."""
MAX_POWER_DIGITS: Final = 308
"""Decimal digits of a power of `MAX_POWER` bytes, with its sign."""


def malformed(name: str, expected: str, value: Any) -> InvalidCertificate:
    """Return the error for a part that has another type or form than expected."""
    shown = f"{len(value):,} items" if isinstance(value, list | dict) else f"{value!r:.60}"
    return InvalidCertificate(f"{name}: expected {expected}, found {type(value).__name__} ({shown})")


def array(value: Any, name: str, limit: int) -> list[Any]:
    """Return a list of at most `limit` items."""
    if not isinstance(value, list):
        raise malformed(name, "an array", value)
    if len(value) > limit:
        raise InvalidCertificate(f"{name}: {len(value):,} items, the limit is {limit:,}")
    return value


def record(value: Any, name: str, length: int) -> list[Any]:
    """Return a list of exactly `length` fields."""
    if not isinstance(value, list) or len(value) != length:
        raise malformed(name, f"an array of {length} fields", value)
    return value


def field(value: Any, key: str, name: str) -> Any:
    """Return a field of a JSON object."""
    if not isinstance(value, dict):
        raise malformed(name, "a JSON object", value)
    if key not in value:
        raise InvalidCertificate(f"{name}: the field {key} is missing")
    return value[key]


def uint64(value: Any, name: str) -> int:
    """Return an integer from 0 to 2^64 - 1."""
    if not _is_integer(value) or not 0 <= value <= MAX_UINT64:
        raise malformed(name, "an integer from 0 to 2^64 - 1", value)
    return value


def int64(value: Any, name: str) -> int:
    """Return an integer from -2^63 to 2^63 - 1."""
    if not _is_integer(value) or not -MAX_INT64 - 1 <= value <= MAX_INT64:
        raise malformed(name, "an integer of 64 bits", value)
    return value


def octets(value: Any, name: str, limit: int) -> bytes:
    """Return a byte string of at most `limit` bytes."""
    if not isinstance(value, bytes):
        raise malformed(name, "a byte string", value)
    if len(value) > limit:
        raise InvalidCertificate(f"{name}: {len(value):,} bytes, the limit is {limit:,}")
    return value


def base64_octets(value: Any, name: str, limit: int) -> bytes:
    """Return the bytes of a base64 text; null is the empty string, as in Go's JSON."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise malformed(name, "base64 text", value)
    if len(value) > (limit + 2) // 3 * 4:
        raise InvalidCertificate(f"{name}: longer than {limit:,} bytes")
    try:
        return octets(b64decode(value, validate=True), name, limit)
    except (binascii.Error, ValueError):
        raise malformed(name, "base64 text", value) from None


def check_length(data: bytes, name: str, length: int) -> bytes:
    """Return `data` if it has exactly `length` bytes."""
    if len(data) != length:
        raise InvalidCertificate(f"{name}: {len(data)} bytes, expected {length}")
    return data


def linked_cid(value: Any, name: str) -> Cid:
    """Return the CID of a DAG-CBOR link."""
    try:
        return _short(unlink(value), name)
    except CodecError:
        raise malformed(name, "a CID", value) from None


def json_cid(value: Any, name: str) -> Cid:
    """Return the CID of a DAG-JSON link, `{"/": "bafy..."}`."""
    text = field(value, "/", name)
    if not isinstance(text, str) or len(text) > 4 * MAX_CID:
        raise malformed(name, "a CID", text)
    try:
        return _short(parse_cid(text), name)
    except CidError as error:
        raise InvalidCertificate(f"{name}: {error}") from None


def parse_power(data: bytes, name: str) -> int:
    """Decode a power: the empty string is 0, any other value has a sign byte (0 or 1) and a big-endian number."""
    if not data:
        return 0
    if data[0] > 1:
        raise InvalidCertificate(f"{name}: the sign byte is {data[0]}, expected 0 or 1")
    number = int.from_bytes(data[1:], "big")
    return -number if data[0] else number


def power_bytes(number: int) -> bytes:
    """Encode a power."""
    if not number:
        return b""
    size = (abs(number).bit_length() + 7) // 8
    return (b"\x01" if number < 0 else b"\x00") + abs(number).to_bytes(size, "big")


def decimal_power(value: Any, name: str) -> int:
    """Return a power from decimal text."""
    text = value[1:] if isinstance(value, str) and value.startswith("-") else value
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > MAX_POWER_DIGITS:
        raise malformed(name, "a decimal number as text", value)
    number = int(value)
    if len(power_bytes(number)) > MAX_POWER:
        raise InvalidCertificate(f"{name}: longer than {MAX_POWER} bytes")
    return number


def _is_integer(value: Any) -> TypeGuard[int]:
    return type(value) is int


def _short(cid: Cid, name: str) -> Cid:
    if len(cid) > MAX_CID:
        raise InvalidCertificate(f"{name}: a CID of {len(cid)} bytes, the limit is {MAX_CID}")
    return cid
