"""ABI values as typed Python: structs are dataclasses, addresses are 20 bytes, lists are tuples.

`bridge.abi.abi` encodes and decodes plain values. This module converts them to and from the types of the wrappers that
`fvm_hypervisor.bindings.contracts` writes.

Source: the JSON section of the Solidity ABI specification, and solc's `internalType`, which names structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bridge.abi.abi import AbiMismatch
from bridge.ethereum.addresses import EthAddress
from localnet.addresses import Target

Structs = Mapping[str, type[Any]]
"""The dataclass of each struct, by `struct_key`."""


def struct_key(item: Mapping[str, Any]) -> str:
    """Return the identity of a struct: solc's name for it, or the types of its fields."""
    name = str(item.get("internalType", "")).partition("[")[0]
    if name.startswith("struct "):
        return name.removeprefix("struct ")
    return f"({','.join(_key(part) for part in item['components'])})"


def _key(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    return struct_key(item) + kind.removeprefix("tuple") if kind.startswith("tuple") else kind


def item_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the type of a list's items."""
    return {**item, "type": item["type"].rpartition("[")[0]}


def to_abi(item: Mapping[str, Any], value: Any, address: Callable[[Target], EthAddress]) -> Any:
    """Convert a typed value for the encoder; `address` reads addresses. Raises AbiMismatch, AddressError."""
    kind = item["type"]
    if kind.endswith("]"):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise AbiMismatch(f"{kind}: expected a list, not {value!r:.60}")
        return [to_abi(item_of(item), each, address) for each in value]
    if kind == "tuple":
        parts = value if isinstance(value, tuple | list) else _fields(value, struct_key(item))
        if len(parts) != len(item["components"]):
            raise AbiMismatch(f"{struct_key(item)} has {len(item['components'])} fields, not {len(parts)}")
        return tuple(to_abi(part, each, address) for part, each in zip(item["components"], parts, strict=True))
    return address(value) if kind == "address" else value


def _fields(value: Any, name: str) -> tuple[Any, ...]:
    try:
        return tuple(getattr(value, field.name) for field in fields(value))
    except TypeError:
        raise AbiMismatch(f"expected a {name}, not {value!r:.60}") from None


def from_abi(item: Mapping[str, Any], value: Any, structs: Structs) -> Any:
    """Convert the decoder's values to typed values."""
    kind = item["type"]
    if kind.endswith("]"):
        return tuple(from_abi(item_of(item), each, structs) for each in value)
    if kind == "tuple":
        parts = zip(item["components"], value, strict=True)
        return structs[struct_key(item)](*(from_abi(part, each, structs) for part, each in parts))
    return EthAddress(bytes.fromhex(value.removeprefix("0x"))) if kind == "address" else value


def from_topic(item: Mapping[str, Any], value: Any, structs: Structs) -> Any:
    """Decode an indexed argument of an event: its value, or the hash of a dynamic one."""
    return value if is_hashed(item) else from_abi(item, value, structs)


def is_hashed(item: Mapping[str, Any]) -> bool:
    """Return True if a topic contains only the hash of the argument."""
    kind = item["type"]
    return bool(item.get("indexed")) and (kind in ("string", "bytes", "tuple") or kind.endswith("]"))
