"""Parameters, return values and states of built-in actors as JSON in Lotus' format.

`lotus_types.json` has the types of go-state-types by actors version, from which Go derives both JSON and CBOR;
`make lotus-types` writes it. As in Go, names of fields are read in any case, absent fields are zero, unknown fields are
ignored, and empty lists and byte strings are null in results. Bitfields are lists of run lengths.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from hypervisor.bundles.bundle_library import actors_version
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.types import decode_bigint, encode_bigint
from localnet.rpc.errors import RpcError
from localnet.rpc.lotus_values import address_json, amount, base64_bytes, bytes_json, cid, cid_json, filecoin_address
from store.codec import CodecError, decode_strict, encode, kind_of, link, unlink
from store.schema import SchemaError
from store.trees import bitfield

EMPTY: Final = "empty"
"""Type of the parameters and return values of methods that have none."""
_RAW: Final = "raw"
"""Type of byte strings that are not encoded as CBOR."""
_BYTES: Final = "[]uint8"
_INTEGERS: Final = {
    "uint8": range(1 << 8), "uint64": range(1 << 64), "int64": range(-1 << 63, 1 << 63),
}  # fmt: skip
_SIGNATURE: Final = [["Type", "uint8"], ["Data", _BYTES]]


class GoMethod(NamedTuple):
    """A method's name in Go, and the types of its parameters and return value."""

    name: str
    params: str
    returns: str


def types_version(machine: Hypervisor) -> int:
    """Return the actors version of a machine; for bundles of unknown version, that of the network version."""
    return actors_version(machine.manifest) or machine.context.network.actors


def go_method(version: int, kind: str, number: int) -> GoMethod | None:
    """Return a method of a kind of built-in actors in an actors version; None if it is unknown."""
    found = _entry(version, kind).get(str(number)) if number else ("Send", EMPTY, EMPTY)
    return GoMethod(*found) if kind and found else None


def go_type(version: int, kind: str, name: str) -> str | None:
    """Return the type of an actor's state ("State") or of data that it links to; None if there is none."""
    return _entry(version, kind).get(name)


def to_json(term: str, value: Any) -> Any:
    """Return data of a Go type as JSON. Raises SchemaError, with the path."""
    if term.startswith("*"):
        return None if value is None else to_json(term[1:], value)
    if term.startswith("[") and term != _BYTES:
        size, _, inner = term[1:].partition("]")
        items = _of_kind("bytes" if size else "list", value)
        if size and len(items) != int(size):
            raise SchemaError(f"expected {size} bytes, found {len(items)}")
        return [_below(to_json, inner, item, index) for index, item in enumerate(items)] or None
    return _struct_json(term, value) if term in _table()["structs"] else _leaf_json(term, value)


def from_json(term: str, value: Any) -> Any:
    """Convert JSON to data of a Go type; null is the zero value. Raises SchemaError, with the path."""
    if term.startswith("*"):
        return None if value is None else from_json(term[1:], value)
    if term.startswith("[") and term != _BYTES:
        size, _, inner = term[1:].partition("]")
        items = [_below(from_json, inner, item, index) for index, item in enumerate(_given(list, value))]
        return bytes(items[: int(size)]).ljust(int(size), b"\0") if size else items
    if term in _table()["structs"]:
        items = _fields(_table()["structs"][term], value)
        return items[0] if term in _table()["transparent"] else items
    try:
        return _leaf(term, value)
    except RpcError as error:
        raise SchemaError(error.message.removeprefix("invalid params: ")) from None


def decode_json(term: str, data: bytes) -> Any:
    """Return the bytes of a parameter or return value as JSON. Raises SchemaError, with the path."""
    if term in (EMPTY, _RAW):
        return {} if term == EMPTY else b64encode(data).decode()
    try:
        found = to_json(term, decode_strict(data))
    except CodecError as error:
        raise SchemaError(str(error)) from None
    return [] if found is None and term.startswith("[]") and term != _BYTES else found


def encode_json(term: str, value: Any) -> bytes:
    """Return the bytes of a parameter, given as JSON. Raises SchemaError, with the path."""
    if value is None or term == EMPTY:
        raise SchemaError("there are no parameters to encode")
    try:
        found = from_json(_BYTES if term == _RAW else term, value)
        return found if term == _RAW else encode(found)
    except CodecError as error:
        raise SchemaError(str(error)) from None


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files(__package__).joinpath("lotus_types.json").read_text(encoding="utf-8"))
    return table


def _entry(version: int, kind: str) -> dict[str, Any]:
    """Return the methods and state types of an actor; none for an unknown kind."""
    entries: dict[str, dict[str, Any]] = _table()["actors"].get(kind, {})
    known = [first for first in map(int, entries) if first <= version]
    return entries[str(max(known))] if known else {}


def _struct_json(term: str, value: Any) -> dict[str, Any]:
    fields: list[list[str]] = _table()["structs"][term]
    found: dict[str, Any] = {}
    items = [value] if term in _table()["transparent"] else _of_kind("list", value)
    if len(items) != len(fields):
        raise SchemaError(f"expected the {len(fields)} fields of {term}, found {len(items)}")
    for (name, inner), item in zip(fields, items, strict=True):
        shown = _below(to_json, inner, item, name)
        found |= {name: shown} if name else shown
    found.pop("-", None)
    return found


def _leaf_json(term: str, value: Any) -> Any:
    try:
        match term:
            case "cid":
                return cid_json(unlink(_of_kind("link", value)))
            case "cborcid":  # Go's JSON of this type, in return values of removed methods, is empty
                return {}
            case "label":  # a label of bytes has no text in Go
                return "" if kind_of(value) == "bytes" else _of_kind("string", value)
            case "bool" | "string":
                return _of_kind(term, value)
            case _ if term in _INTEGERS:
                return _integer(term, value)
        data: bytes = _of_kind("bytes", value)
        match term:
            case "address":
                return address_json(Address.from_bytes(data))
            case "bigint":
                return str(decode_bigint(data))
            case "bitfield":
                return bitfield.decode(data) or [0]
            case "signature":
                return {"Type": data[0], "Data": bytes_json(data[1:])}
        return bytes_json(data)
    except SchemaError:
        raise
    except (HypervisorError, ValueError, IndexError) as error:
        raise SchemaError(f"invalid {term}: {error}") from None


def _fields(fields: list[list[str]], value: Any) -> list[Any]:
    """Read the fields of a struct in order; an absent one is zero."""
    given = {name.lower(): item for name, item in _given(dict, value).items()}
    return [
        _below(from_json, inner, given.get(name.lower(), "0" if inner == "bigint" else None) if name else value, name)
        for name, inner in fields
    ]


def _leaf(term: str, value: Any) -> Any:
    match term:
        case "address" | "cid" if value is None:
            raise SchemaError("the field is missing or null")
        case "address":
            return filecoin_address(value).to_bytes()
        case "bigint":
            return encode_bigint(amount(value))
        case "bitfield":
            runs: list[int] = from_json("[]uint64", value)
            if 0 in runs[1:]:
                raise SchemaError("a run after the first has no length")
            return bitfield.encode(runs)
        case "cid":
            return link(cid(value))
        case "signature":
            kind, data = _fields(_SIGNATURE, value)
            return bytes([kind]) + data
        case "bool":
            return _given(bool, value)
        case "string" | "label":
            return _given(str, value)
        case "[]uint8":
            return base64_bytes(value)
        case _ if term in _INTEGERS:
            return _integer(term, 0 if value is None else value)
    raise SchemaError(f"a {term} cannot be given as JSON")


def _below(convert: Callable[[str, Any], Any], term: str, value: Any, step: object) -> Any:
    try:
        return convert(term, value)
    except SchemaError as error:
        raise error.below(step) from None


def _of_kind(kind: str, value: Any) -> Any:
    if kind_of(value) != kind:
        raise SchemaError(f"expected a {kind}, found a {kind_of(value)}")
    return value


def _given(kind: type, value: Any) -> Any:
    """Return a JSON value of a type, or the type's zero for null."""
    if value is not None and type(value) is not kind:
        names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
        raise SchemaError(f"expected {names[kind]}, found {value!r:.60}")
    return kind() if value is None else value


def _integer(term: str, value: Any) -> int:
    if type(value) is not int or value not in _INTEGERS[term]:
        raise SchemaError(f"{value!r:.60} is not a valid {term}")
    return value
