"""Validation of an untrusted ABI: malformed entries are dropped, so that the others can be used.

Source: the JSON section of the Solidity ABI specification. Entries of libraries have extra types there, which no call
uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from hypervisor.errors import InvalidInput

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
