"""Typed data as wallets sign them (EIP-712): the digest of a structure, its types and its domain.

Numbers may be JSON numbers, decimal or hexadecimal text; a structure that is null counts as zeros, as in the wallets'
fourth version of the method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from eth_hash.auto import keccak

from hypervisor.errors import InvalidInput

Types = Mapping[str, list[dict[str, str]]]

DOMAIN: Final = "EIP712Domain"
_PREFIX: Final = b"\x19\x01"
_ARRAY: Final = re.compile(r"(.+)\[(\d*)\]")
_ATOM: Final = re.compile(r"address|bool|u?int\d*|bytes\d*|string")
_DEEPEST: Final = 64


def typed_data_digest(data: Mapping[str, Any]) -> bytes:
    """What is signed: Keccak-256 of the domain's and the message's hashes. Raises InvalidInput."""
    from eth_abi.exceptions import EncodingError  # here: it loads pydantic, half of what the node would take to start

    try:
        types, primary = dict(data["types"]), data["primaryType"]
        domain, message = data.get("domain") or {}, data["message"]
        types.setdefault(DOMAIN, [])
        parts = _PREFIX + hash_struct(types, DOMAIN, domain)
        return bytes(keccak(parts if primary == DOMAIN else parts + hash_struct(types, primary, message)))
    except KeyError as error:
        raise InvalidInput(f"typed data: {error.args[0]} is missing") from None
    except (TypeError, AttributeError, ValueError, EncodingError, OverflowError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"no typed data: {type(error).__name__}: {error}") from None


def hash_struct(types: Types, name: str, value: Mapping[str, Any], depth: int = 0) -> bytes:
    """The hash of a structure's type and members. `bytes` may be bytes or text. Raises InvalidInput."""
    if depth > _DEEPEST:
        raise InvalidInput(f"typed data of more than {_DEEPEST} levels")
    encoded = b"".join(
        _encode(types, member["type"], _member(value, member), depth) for member in _members(types, name)
    )
    return bytes(keccak(keccak(type_text(types, name).encode()) + encoded))


def _members(types: Types, name: str) -> list[dict[str, str]]:
    if name not in types:
        raise InvalidInput(f"typed data: the type {name!r} is not declared")
    return types[name]


def _member(value: Mapping[str, Any], member: dict[str, str]) -> Any:
    found = value.get(member["name"])
    if found is None and (_ATOM.fullmatch(member["type"]) or _ARRAY.fullmatch(member["type"])):
        raise InvalidInput(f"typed data: {member['name']} is missing")
    return found


def type_text(types: Types, name: str) -> str:
    """The type and those that it uses, which are sorted."""
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


def _encode(types: Types, kind: str, value: Any, depth: int) -> bytes:
    """The 32 bytes that stand for a value."""
    if kind in types:
        return bytes(32) if value is None else hash_struct(types, kind, value, depth + 1)
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        inner, length = array.groups()
        if not isinstance(value, list) or (length and len(value) != int(length)):
            raise InvalidInput(f"typed data: {value!r:.40} is no {kind}")
        return bytes(keccak(b"".join(_encode(types, inner, item, depth + 1) for item in value)))
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
