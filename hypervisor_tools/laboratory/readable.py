"""Conversion of Filecoin's and Ethereum's encodings to readable JSON and back, offline.

    decode_value("power.CreateMiner", data)     # {"owner": "f0100", "worker": "f0101", ...}
    encode_value("power.CreateMiner", value)    # the same bytes

A kind is one of KINDS, or an actor and a part of its schema, joined by a dot:

    power.CreateMiner, power.2, f04.2           parameters of a method; with `is_return_value`, its return value
    miner.State, miner.MinerInfo                a state, or any other type of the schema
    miner.PreCommitSector, miner.6              a method that later versions removed
    evm.1024, account.16777216                  any DAG-CBOR, for numbers that an actor accepts without a name

JSON has the schema's field names, amounts as decimal text, addresses as text, byte strings as 0x and hex digits, and
links as {"/": CID}. Transactions have the fields of eth_getTransactionByHash. `cbor` is any DAG-CBOR, as DAG-JSON.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from bridge.actors.interfaces import MAX_METHOD, Interface, as_json, from_json, has_fallback, removed_interface
from bridge.actors.schemas import ANY, ActorMethod, state_types
from bridge.ethereum.addresses import checksummed, eth_address, from_delegated, masked_id, to_filecoin
from bridge.ethereum.transactions import LEGACY, parse_transaction
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from localnet.fork.remote_history import read_transaction
from localnet.rpc.shapes import unsigned_json
from store.cid import CidError, parse_cid, show, split_cid
from store.codec import MAX_DEPTH, CodecError, array_head, decode_strict, encode
from store.dag_json import decode_json, encode_json
from store.schema import Schema, SchemaError
from store.schema.types import Kinded, List, Struct, Term, Tuple, Union, member_name

_ALIASES: Final[Mapping[str, str]] = {
    "miner": "storageminer", "power": "storagepower", "market": "storagemarket", "verifreg": "verifiedregistry",
    "paych": "paymentchannel", "f00": "system", "f01": "init", "f02": "reward", "f03": "cron", "f04": "storagepower",
    "f05": "storagemarket", "f06": "verifiedregistry", "f07": "datacap", "f010": "eam",
}  # fmt: skip
"""Lotus' names of actors, and the addresses of singletons."""

_LEVELS_OF_BYTES: Final = 3
"""The value itself, and the two objects in which DAG-JSON writes a byte string."""

_HEX_DIGITS: Final = re.compile("[0-9a-fA-F]+")

_MESSAGES: Final = Schema.parse("""
type Address bytes
type TokenAmount bytes
type Message struct {
    version Int
    to Address
    from Address
    nonce Int
    value TokenAmount
    gas_limit Int
    gas_fee_cap TokenAmount
    gas_premium TokenAmount
    method Int
    params Bytes
} representation tuple
type SignedMessage struct {
    message Message
    signature Bytes
} representation tuple
""")


def decode_value(kind: str, data: bytes, is_return_value: bool = False, schema: Interface | None = None) -> Any:
    """Decode bytes of a kind to JSON. With `schema`, the kind is a method or a type of that interface.

    Raises InvalidInput with the offset, the field and the expected type.
    """
    try:
        if schema is None and kind in KINDS:
            _refuse_return_value(kind, is_return_value)
            return KINDS[kind].decode(data)
        if _has_fallback(kind):
            return KINDS["cbor"].decode(data) if data else None
        part = _actor_part(kind, is_return_value) if schema is None else _part_of(schema, kind, is_return_value)
        return None if part is None and not data else _decode_typed(*_require_part(part, kind, data), data)
    except CodecError as error:
        reason = "the data ends inside a value" if "premature end" in str(error) else str(error)
        raise InvalidInput(f"invalid {kind}: in {len(data)} bytes, {reason}") from None
    except (CidError, HypervisorError) as error:
        raise _invalid(kind, error) from None


def encode_value(kind: str, value: Any, is_return_value: bool = False, schema: Interface | None = None) -> bytes:
    """Encode JSON of a kind, as `decode_value` returns it. Raises InvalidInput with the field and the expected type."""
    _check_depth(kind, value)
    try:
        if schema is None and kind in KINDS:
            _refuse_return_value(kind, is_return_value)
            return KINDS[kind].encode(value)
        if _has_fallback(kind):
            return b"" if value is None else KINDS["cbor"].encode(value)
        part = _actor_part(kind, is_return_value) if schema is None else _part_of(schema, kind, is_return_value)
        return b"" if part is None and value is None else _encode_typed(*_require_part(part, kind, value), value)
    except (CodecError, CidError, SchemaError, HypervisorError) as error:
        raise _invalid(kind, error) from None


def _refuse_return_value(kind: str, is_return_value: bool) -> None:
    if is_return_value:
        raise InvalidInput(f"{kind} has no return value: --return applies to ACTOR.METHOD")


def _check_depth(kind: str, value: Any) -> None:
    """Raise InvalidInput if `value` is nested more deeply than CBOR allows, without recursion.

    Python's recursion limit does not bound the native stack: a library may raise it.
    """
    level = [value]
    for _ in range(MAX_DEPTH + _LEVELS_OF_BYTES):
        items = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        if not items:
            return
        level = [inner for item in items for inner in item]
    raise InvalidInput(f"invalid {kind}: more than {MAX_DEPTH} nested lists and maps")


def _invalid(kind: str, error: Exception) -> InvalidInput:
    return error if isinstance(error, InvalidInput) else InvalidInput(f"invalid {kind}: {error}")


class _SchemaTypes(NamedTuple):
    schema: Schema
    types: list[str]
    """The possible types, the most likely one first."""


def _actor_part(kind: str, is_return_value: bool) -> _SchemaTypes | None:
    """Return the types that a kind `ACTOR.PART` names; None for parameters or return values that do not exist."""
    actor, part = _actor_and_part(kind)
    if actor not in ACTOR_NAMES:
        raise InvalidInput(
            f"unknown kind '{kind:.80}': expected {', '.join(KINDS)}, or ACTOR.METHOD or ACTOR.TYPE of an actor:"
            f" {', '.join(ACTOR_NAMES)}"
        )
    interface, removed = Interface.built_in(actor), removed_interface(actor)
    methods = [method for each in (interface, removed) if (method := _method(each, part)) is not None]
    if not methods and part not in interface.schema.types:
        names = [*interface.methods, *removed.methods, *interface.schema.types]
        raise InvalidInput(
            f"{actor} has no method or type '{part:.80}'{_similar(part, names)}: its methods"
            f" are {', '.join(sorted(interface.methods))}; its types are in"
            f" hypervisor/builtin_actors/schemas/{actor}.ipldsch"
        )
    return _types_of(kind, part, removed.schema, methods, is_return_value)


def _part_of(interface: Interface, part: str, is_return_value: bool) -> _SchemaTypes | None:
    """Return the types that a method or type of a user's interface names, like `_actor_part`."""
    method = _method(interface, part)
    if method is None and part not in interface.schema.types:
        similar = _similar(part, [*interface.methods, *interface.schema.types])
        raise InvalidInput(
            f"the schema has no method or type '{part:.80}'{similar}: its methods are"
            f" {', '.join(sorted(interface.methods)) or 'none'}"
        )
    return _types_of(part, part, interface.schema, [] if method is None else [method], is_return_value)


def _types_of(
    kind: str, part: str, schema: Schema, methods: list[ActorMethod], is_return_value: bool
) -> _SchemaTypes | None:
    if methods:
        terms = [method.returns if is_return_value else method.params for method in methods]
        found = [term for term in terms if term is not None]
        return _SchemaTypes(schema, found) if found else None
    _refuse_return_value(kind, is_return_value)
    return _SchemaTypes(schema, state_types(schema, None) if part == "State" else [part])


def _method(interface: Interface, part: str) -> ActorMethod | None:
    """Return a method by name or number, None if the interface has none."""
    name = interface.method_name(int(part)) if _is_number(part) else part
    return None if name is None or name not in interface.methods else interface.methods[name][1]


def _is_number(part: str) -> bool:
    return part.isdecimal() and len(part) < 21


def _actor_and_part(kind: str) -> tuple[str, str]:
    actor, _, part = kind.partition(".")
    return _ALIASES.get(actor, actor), part


def _has_fallback(kind: str) -> bool:
    """Return True for a method number that an actor accepts without a name."""
    actor, part = _actor_and_part(kind)
    if not _is_number(part) or int(part) > MAX_METHOD or not has_fallback(actor, int(part)):
        return False
    return _method(Interface.built_in(actor), part) is None


def _similar(part: str, names: list[str]) -> str:
    similar = get_close_matches(part, names, 1)
    return f" (did you mean {similar[0]}?)" if similar else ""


def _require_part(part: _SchemaTypes | None, kind: str, value: object) -> _SchemaTypes:
    """Return `part`. Raises InvalidInput if the method has no parameters or no return value."""
    if part is None:
        length = f", found {len(value)} bytes" if isinstance(value, bytes) else ""
        raise InvalidInput(
            f"{kind} has no such value{length}: a method without parameters may have a return value (--return)"
        )
    return part


def _decode_typed(schema: Schema, types: list[str], data: bytes) -> Any:
    decoded = decode_strict(data)
    first: InvalidInput | None = None
    for term in types:
        try:
            value = as_json(schema, term, schema.read(term, decoded))
            if schema.write(term, from_json(schema, term, value)) == decoded:
                return value
            raise SchemaError("an address or amount is not in its canonical form")
        except SchemaError as error:
            offset = _offset(schema, term, decoded, error.path)
            where = "/".join((term, *error.path))
            first = first or InvalidInput(f"at byte {offset} of {len(data)}, {where}: {error.what}")
    raise first or InvalidInput("the actor's schema has no type of this name")


def _encode_typed(schema: Schema, types: list[str], value: Any) -> bytes:
    first: SchemaError | None = None
    for term in types:
        try:
            return encode(schema.write(term, from_json(schema, term, value)))
        except SchemaError as error:
            first = first or error.below(term)
    raise first or InvalidInput("the actor's schema has no type of this name")


def _offset(schema: Schema, term: Term, data: Any, path: tuple[str, ...]) -> int:
    """Return the offset in the encoding of `data` of the value at a path, or of the innermost list on the path."""
    offset = 0
    for step in path:
        kind = schema.type_of(term)
        match kind:
            case Union(members, Kinded()):
                term = next((member for member in members.values() if member_name(member) == step), ANY)
                continue
            case Struct(fields, Tuple()) if isinstance(data, list) and step in fields:
                index, term = list(fields).index(step), fields[step].type
            case List(value) if isinstance(data, list):
                index, term = int(step), value
            case _:
                break
        if index >= len(data):
            break
        offset += len(array_head(len(data))) + sum(len(encode(item)) for item in data[:index])
        data = data[index]
    return offset


class _Codec(NamedTuple):
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def _message_codec(name: str, kind: type[Message] | type[SignedMessage]) -> _Codec:
    def decode_message(data: bytes) -> dict[str, Any]:
        fields: dict[str, Any] = _decode_typed(_MESSAGES, [name], data)
        return fields | {"cid": {"/": show(kind.from_cbor(data).cid())}}

    return _Codec(
        decode_message, lambda value: kind.from_cbor(_encode_typed(_MESSAGES, [name], _without_cid(value))).to_cbor()
    )


def _decode_transaction(data: bytes) -> dict[str, Any]:
    signed = parse_transaction(data)
    fields = unsigned_json(signed, signed.sender())
    absent = {"blockHash", "blockNumber", "transactionIndex"}
    if signed.transaction.type == LEGACY and signed.transaction.chain_id is None:
        absent.add("chainId")
    return {name: item for name, item in fields.items() if name not in absent}


def _encode_transaction(value: Any) -> bytes:
    try:
        return read_transaction(value).raw()
    except (KeyError, TypeError, ValueError) as error:
        missing = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidInput(f"invalid transaction: {missing}") from None


def _decode_address(data: bytes) -> dict[str, Any]:
    address = to_filecoin(eth_address(data)) if len(data) == 20 else Address.from_bytes(data)
    actor = address.actor_id()
    known = masked_id(actor) if actor is not None else from_delegated(address)
    return {
        "filecoin": str(address),
        "ethereum": None if known is None else checksummed(known),
        "protocol": address.protocol.name.lower(),
        "payload": f"0x{address.to_bytes()[1:].hex()}",
    }


def _encode_address(value: Any) -> bytes:
    text = value.get("filecoin") if isinstance(value, dict) else value
    data: bytes = from_json(_MESSAGES, "Address", text)
    return data


def _decode_cid(data: bytes) -> dict[str, Any]:
    parts = split_cid(data)
    return {
        "cid": show(data),
        "version": parts.version,
        "codec": f"0x{parts.codec:x}",
        "hash": f"0x{parts.hash_code:x}",
        "digest": f"0x{parts.digest.hex()}",
    }


def _encode_cid(value: Any) -> bytes:
    text = value.get("cid", value.get("/")) if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise InvalidInput(f"expected a CID as text, found {json.dumps(value):.80}")
    return parse_cid(text)


def decode_base64(text: str) -> bytes:
    """Decode padded base64. Raises InvalidInput, also for hex digits alone, which are almost never base64."""
    if len(text) % 2 == 0 and _HEX_DIGITS.fullmatch(text):
        raise InvalidInput(f"{text!r:.60} has hex digits only: write 0x before them")
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidInput(f"{text!r:.60} is neither base64 nor 0x and hex digits: {error}") from None


def _without_cid(fields: Any) -> Any:
    return {name: item for name, item in fields.items() if name != "cid"} if isinstance(fields, dict) else fields


KINDS: Final[Mapping[str, _Codec]] = {
    "message": _message_codec("Message", Message),
    "signed-message": _message_codec("SignedMessage", SignedMessage),
    "transaction": _Codec(_decode_transaction, _encode_transaction),
    "address": _Codec(_decode_address, _encode_address),
    "cid": _Codec(_decode_cid, _encode_cid),
    "cbor": _Codec(
        lambda data: json.loads(encode_json(decode_strict(data))), lambda value: encode(decode_json(json.dumps(value)))
    ),
}
"""The kinds that are independent of actors."""
