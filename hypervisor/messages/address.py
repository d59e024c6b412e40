"""Filecoin addresses f0 to f4: binary and text forms, validation.

The 20-byte Ethereum form and masked IDs are in `bridge.ethereum.addresses`. Source: the Filecoin specification's
address appendix and ref-fvm shared/src/address.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from hypervisor.errors import AddressError
from hypervisor.types import EAM_NAMESPACE, MAX_ULEB128_BYTES, ActorID, check_type, decode_uleb128, encode_uleb128

MAX_SUBADDRESS = 54
MAX_ADDRESS = 65
_HASH_PAYLOAD = 20
_BLS_PUBLIC_KEY = 48
_CHECKSUM = 4
_MAX_ID_DIGITS = 20
_MAX_TEXT = 138


class Protocol(IntEnum):
    """The first byte of an address, and the digit in its text form."""

    ID = 0
    SECP256K1 = 1
    ACTOR = 2
    BLS = 3
    DELEGATED = 4


_PROTOCOLS = tuple(Protocol)
_PAYLOADS = {Protocol.SECP256K1: _HASH_PAYLOAD, Protocol.ACTOR: _HASH_PAYLOAD, Protocol.BLS: _BLS_PUBLIC_KEY}
"""Payload length in bytes of the protocols with a fixed length."""


@dataclass(slots=True)
class Address:
    """An address: a protocol and its payload bytes (without the protocol byte). Equal by value, hashable.

    `parse`, `from_bytes` and the constructors by protocol raise AddressError for invalid input.

    >>> from hypervisor import Address
    >>> Address.id(1000)
    Address.parse('f01000')
    >>> alice = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
    >>> print(alice)
    f410fueooaaaaaaaaaaaaaaaaaaaaaaaaaaab7lzganq
    >>> Address.parse(str(alice)) == alice, len(alice.to_bytes())
    (True, 22)
    """

    protocol: Final[Protocol]
    payload: Final[bytes]

    def __hash__(self) -> int:
        return hash(self.payload)

    @classmethod
    def id(cls, actor: int) -> "Address":
        """Return the ID address f0<actor>."""
        if not isinstance(actor, int):
            check_type(actor, int, "actor", "a whole number, such as 1000")
        if not 0 <= actor < 1 << 64:
            raise AddressError(f"actor ID {actor} is out of range (0 to 2^64 - 1)")
        return cls(Protocol.ID, encode_uleb128(actor))

    @classmethod
    def secp256k1(cls, public_key: bytes) -> "Address":
        """Return the f1 address of a 65-byte uncompressed secp256k1 public key."""
        if len(public_key) != 65:
            raise AddressError(f"an uncompressed secp256k1 public key has 65 bytes, not {len(public_key)}")
        return cls(Protocol.SECP256K1, hashlib.blake2b(public_key, digest_size=_HASH_PAYLOAD).digest())

    @classmethod
    def actor(cls, data: bytes) -> "Address":
        """Return the f2 address derived from `data`."""
        return cls(Protocol.ACTOR, hashlib.blake2b(data, digest_size=_HASH_PAYLOAD).digest())

    @classmethod
    def bls(cls, public_key: bytes) -> "Address":
        """Return the f3 address of a 48-byte BLS public key."""
        return cls.from_bytes(bytes([Protocol.BLS]) + public_key)

    @classmethod
    def delegated(cls, namespace: int, subaddress: bytes) -> "Address":
        """Return the f4 address of a subaddress (at most 54 bytes) in an address manager's namespace."""
        if not isinstance(namespace, int):
            check_type(namespace, int, "namespace", "a whole number, such as 10")
        if not isinstance(subaddress, bytes):
            check_type(subaddress, (bytearray, memoryview), "subaddress", "bytes; bytes.fromhex reads hex digits")
        if len(subaddress) > MAX_SUBADDRESS:
            raise AddressError(f"a subaddress has at most {MAX_SUBADDRESS} bytes, not {len(subaddress)}")
        if not 0 <= namespace < 1 << 64:
            raise AddressError(f"namespace {namespace} is out of range (0 to 2^64 - 1)")
        return cls(Protocol.DELEGATED, encode_uleb128(namespace) + subaddress)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Address":
        """Parse the binary form (protocol byte, then payload). Raises AddressError."""
        if not 2 <= len(data) <= MAX_ADDRESS or data[0] >= len(_PROTOCOLS):
            raise AddressError(f"0x{data[: MAX_ADDRESS + 1].hex()} is not an address")
        protocol, payload = _PROTOCOLS[data[0]], bytes(data[1:])
        return cls(protocol, _check_payload(protocol, payload))

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse the text form (f... or t...). Raises AddressError."""
        if not isinstance(text, str):
            check_type(text, str, "text", "text, such as 'f01000'")
        if not 3 <= len(text) <= _MAX_TEXT or text[0] not in "ft" or not "0" <= text[1] <= "4":
            raise AddressError(f"'{text[:_MAX_TEXT]}' is not an address: expected f0... to f4... (or t...)")
        protocol, rest = Protocol(int(text[1])), text[2:]
        if protocol is Protocol.ID:
            return cls.id(_parse_decimal(rest, "actor ID", text))
        prefix = b""
        if protocol is Protocol.DELEGATED:
            namespace, separator, rest = rest.partition("f")
            if not separator:
                raise AddressError(f"'{text}' is not an address: missing 'f' between namespace and subaddress")
            prefix = encode_uleb128(_parse_decimal(namespace, "namespace", text))
        payload = prefix + _decode_base32(rest, bytes([protocol]) + prefix, text)
        return cls(protocol, _check_payload(protocol, payload))

    def to_bytes(self) -> bytes:
        """Return the binary form, as used in messages and maps."""
        return bytes([self.protocol]) + self.payload

    def actor_id(self) -> ActorID | None:
        """Return the actor ID of an ID address, else None."""
        return id_of_payload(self.payload) if self.protocol is Protocol.ID else None

    def namespace(self) -> int | None:
        """Return the namespace of an f4 address, else None."""
        return decode_uleb128(self.payload)[0] if self.protocol is Protocol.DELEGATED else None

    def subaddress(self) -> bytes:
        """Return the subaddress of an f4 address; empty for the other protocols."""
        if self.protocol is not Protocol.DELEGATED:
            return b""
        return self.payload[decode_uleb128(self.payload)[1] :]

    def __repr__(self) -> str:
        return f"Address.parse('{self}')"

    def __str__(self) -> str:
        if self.protocol is Protocol.ID:
            return f"f0{self.actor_id()}"
        body, prefix = self.payload, ""
        if self.protocol is Protocol.DELEGATED:
            body, prefix = self.subaddress(), f"{self.namespace()}f"
        check = _checksum(self.to_bytes())
        return f"f{self.protocol:d}{prefix}" + base64.b32encode(body + check).decode().lower().rstrip("=")


@lru_cache(4096)
def id_of_payload(payload: bytes) -> ActorID:
    """Return the actor ID in the payload of an ID address. Cached, since each message looks up several."""
    return ActorID(decode_uleb128(payload)[0])


def _check_payload(protocol: Protocol, payload: bytes) -> bytes:
    """Validate a payload and return it with its leading varint (actor ID or namespace) in canonical LEB128.

    Raises AddressError.
    """
    length = _PAYLOADS.get(protocol)
    if length is not None:
        if len(payload) != length:
            raise AddressError(f"an f{protocol:d} payload has {length} bytes, not {len(payload)}")
        return payload
    try:
        number, end = decode_uleb128(payload)
    except ValueError as error:
        raise AddressError(f"0x{payload.hex()} is not an f{protocol:d} payload: {error}") from None
    if protocol is Protocol.ID and end != len(payload):
        raise AddressError(f"0x{payload.hex()} has trailing bytes after the actor ID")
    if protocol is Protocol.DELEGATED and len(payload) - end > MAX_SUBADDRESS:
        raise AddressError(f"a subaddress has at most {MAX_SUBADDRESS} bytes, not {len(payload) - end}")
    if end < MAX_ULEB128_BYTES:
        return payload  # already canonical: below ten bytes, the decoder accepts only the shortest encoding
    return encode_uleb128(number) + payload[end:]


def _parse_decimal(text: str, what: str, address: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_ID_DIGITS or int(text) >= 1 << 64:
        raise AddressError(f"'{text}' in '{address}' is not a valid {what}: expected a decimal number below 2^64")
    return int(text)


def _decode_base32(body: str, prefix: bytes, whole: str) -> bytes:
    if body != body.lower() or "=" in body:
        raise AddressError(f"'{whole}' is not lower-case base32 without padding")
    try:
        data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    except (binascii.Error, ValueError):
        if set(body) <= set("abcdefghijklmnopqrstuvwxyz234567"):
            raise AddressError(f"'{whole}' has an invalid length: characters are missing or added") from None
        raise AddressError(f"'{whole}' is not lower-case base32") from None
    payload, check = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if base64.b32encode(data).decode().lower().rstrip("=") != body or check != _checksum(prefix + payload):
        raise AddressError(f"'{whole}' has an invalid checksum or non-canonical base32")
    return payload


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM).digest()


def is_eth_namespace(address: Address) -> bool:
    """Return True for an f410 address. A send creates a placeholder actor only for this kind of f4 address."""
    return address.namespace() == EAM_NAMESPACE
