"""Typed data signatures (EIP-712): the digest of a structure, its types and its domain.

Numbers may be JSON numbers, or decimal or hexadecimal text. A structure that is null is encoded as zeros, as in
`eth_signTypedData_v4` of wallets. eth-account's `encode_typed_data` is not used because it does not limit the depth or
size of untrusted requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hypervisor.errors import InvalidInput
from store.keccak import keccak

Types = Mapping[str, list[dict[str, str]]]

DOMAIN: Final = "EIP712Domain"
_PREFIX: Final = b"\x19\x01"
_ARRAY: Final = re.compile(r"(.+)\[(\d*)\]")
_ATOM: Final = re.compile(r"address|bool|u?int\d*|bytes\d*|string")
_DEEPEST: Final = 64
_MAX_ENCODED_BYTES: Final = 1 << 24


def typed_data_digest(data: Mapping[str, Any]) -> bytes:
    """Return the Keccak-256 hash to be signed, of the domain's and the message's hashes. Raises InvalidInput."""
    from eth_abi.exceptions import (
        EncodingError,  # imported here: it loads pydantic, which would double the node's start-up time
    )

    try:
        types, primary = dict(data["types"]), data["primaryType"]
        domain, message = data.get("domain") or {}, data["message"]
        types.setdefault(DOMAIN, [])
        structures = _Structures(types)
        parts = _PREFIX + structures.hash(DOMAIN, domain, 0)
        return bytes(keccak(parts if primary == DOMAIN else parts + structures.hash(primary, message, 0)))
    except KeyError as error:
        raise InvalidInput(f"typed data: {error.args[0]} is missing") from None
    except (TypeError, AttributeError, ValueError, EncodingError, OverflowError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"invalid typed data: {type(error).__name__}: {error}") from None


def hash_struct(types: Types, name: str, value: Mapping[str, Any]) -> bytes:
    """Hash a structure's type and members. `bytes` may be bytes or text. Raises InvalidInput."""
    return _Structures(types).hash(name, value, 0)


def type_text(types: Types, name: str) -> str:
    """Return the type and those that it uses, sorted."""
    used: set[str] = set()
    open_ = [name]
    while open_:
        current = open_.pop()
        if current in types and current not in used:
            used.add(current)
            open_ += [_bare(member["type"]) for member in types[current]]
    return "".join(_declaration(types, each) for each in (name, *sorted(used - {name})))


def _declaration(types: Types, name: str) -> str:
    members = (f"{member['type']} {member['name']}" for member in _members(types, name))
    return f"{name}({','.join(members)})"


def _bare(kind: str) -> str:
    return kind.split("[")[0]


def _members(types: Types, name: str) -> list[dict[str, str]]:
    if name not in types:
        raise InvalidInput(f"typed data: the type {name!r} is not declared")
    return types[name]


class _Structures:
    """The declared types; each is hashed once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._hashes: dict[str, bytes] = {}
        self._written = 0

    def hash(self, name: str, value: Mapping[str, Any], depth: int) -> bytes:
        if depth > _DEEPEST:
            raise InvalidInput(f"typed data of more than {_DEEPEST} levels")
        parts = [self._type_hash(name)]
        for member in self._types[name]:
            found = value.get(member["name"])
            if found is None and (_ATOM.fullmatch(member["type"]) or _ARRAY.fullmatch(member["type"])):
                raise InvalidInput(f"typed data: {member['name']} is missing")
            parts.append(self._encode(member["type"], found, depth))
        return bytes(keccak(b"".join(parts)))

    def _type_hash(self, name: str) -> bytes:
        if name not in self._hashes:
            names = {member["name"] for member in _members(self._types, name)}
            if len(names) < len(
                self._types[name]
            ):  # otherwise each value would be hashed once per member, at every level
                raise InvalidInput(f"typed data: two members of {name} have the same name")
            text = type_text(self._types, name).encode()
            self._written += len(text)
            if self._written > _MAX_ENCODED_BYTES:
                raise InvalidInput(f"typed data: the encoded types exceed {_MAX_ENCODED_BYTES} bytes")
            self._hashes[name] = bytes(keccak(text))
        return self._hashes[name]

    def _encode(self, kind: str, value: Any, depth: int) -> bytes:
        """Encode a value to 32 bytes."""
        if kind in self._types:
            return bytes(32) if value is None else self.hash(kind, value, depth + 1)
        array = _ARRAY.fullmatch(kind)
        if array is None:
            return _atom(kind, value)
        inner, length = array.groups()
        if not isinstance(value, list) or (length and len(value) != int(length)):
            raise InvalidInput(f"typed data: {value!r:.40} is not a valid {kind}")
        if depth > _DEEPEST:
            raise InvalidInput(f"typed data of more than {_DEEPEST} levels")
        return bytes(keccak(b"".join(self._encode(inner, item, depth + 1) for item in value)))


def _atom(kind: str, value: Any) -> bytes:
    """Encode a value other than a structure or an array to 32 bytes."""
    from eth_abi.abi import encode

    if not _ATOM.fullmatch(kind):
        raise InvalidInput(f"typed data: the type {kind!r} is not declared")
    if kind == "string":
        return bytes(keccak(value.encode()))
    if kind.startswith("bytes"):
        data = value if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))
        return bytes(keccak(data)) if kind == "bytes" else encode([kind], [data])
    if "int" in kind:
        value = int(value, 0) if isinstance(value, str) else value
        kind = kind if kind[-1].isdigit() else f"{kind}256"
    return encode([kind], [value])
