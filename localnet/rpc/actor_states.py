"""The states of built-in actors as JSON: decoded by their IPLD schemas, in Lotus' format.

Field names are in Go's spelling (`total_raw_byte_power` is TotalRawBytePower). Links are {"/": text}, amounts decimal
text, and bytes base64. The state of any other actor is shown as undecoded IPLD.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from bridge.actors.schemas import AMOUNTS, actor_schema, meaning, state_types
from hypervisor.bundles.bundle_library import actors_version
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from localnet.rpc.errors import RpcError
from localnet.rpc.lotus_shapes import address_json, cid_json
from localnet.rpc.lotus_values import base64_bytes
from store.blockstore import get_object
from store.cid import Cid
from store.codec import unlink
from store.schema import Schema
from store.schema.types import Bytes, Field, List, Map, SchemaError, Struct, Term

_WHOLE_WORDS: Final = {"id": "ID", "qa": "QA", "tx": "Tx", "fil": "FIL"}


def state_fields(machine: Hypervisor, actor: ActorState) -> dict[str, Any]:
    """Return an actor's state by the names of its schema; links and byte strings as in the data model.

    Raises SchemaError for a state that the schema does not know.
    """
    return _read(machine, actor)[1]


def go_state(machine: Hypervisor, actor: ActorState) -> Any:
    """Return an actor's state as Lotus writes it."""
    kind = machine.manifest.name_of(actor.code) or ""
    schema = actor_schema(kind)
    try:
        name, state = _read(machine, actor)
    except (SchemaError, KeyError):
        return lotus_value(schema, "Any", get_object(machine.store, actor.head))
    return lotus_value(schema, name, state)


def read_linked(machine: Hypervisor, actor: ActorState, name: str, link: Any) -> dict[str, Any]:
    """Read a value of a schema type in a block that the actor's state links."""
    schema = actor_schema(machine.manifest.name_of(actor.code) or "")
    found: dict[str, Any] = schema.read(name, get_object(machine.store, _cid(link)))
    return found


def lotus_value(schema: Schema, term: Term, value: Any) -> Any:
    """Return a value of a type as JSON."""
    match value:
        case dict():
            fields = _struct(schema, term)
            return {
                go_name(str(name)): lotus_value(schema, fields.get(name, "Any"), item) for name, item in value.items()
            }
        case list() | tuple():
            return [lotus_value(schema, _item(schema, term), item) for item in value]
        case bytes():
            return _bytes(schema, term, value)
        case bool() | int() | str() | None:
            return value
        case _:
            return cid_json(_cid(value))


def from_go(schema: Schema, term: Term, value: Any) -> Any:
    """Convert JSON in Lotus' format to a value for `bridge.actors.interfaces.from_json`: the inverse of `shown`.

    A list or byte string may be null, which is empty in Go. Raises SchemaError, with the path.
    """
    kind = schema.type_of(term)
    try:
        match kind:
            case Struct(fields) if isinstance(value, dict):
                return {name: _field_from_go(schema, name, field, value) for name, field in fields.items()}
            case List(item, advanced=None) if isinstance(value, list):
                return [from_go(schema, item, each) for each in value]
            case List(advanced=None) if value is None:
                return []
            case Bytes() if not _is_text(schema, term):
                return base64_bytes(value)
            case _:
                return value
    except RpcError:
        raise SchemaError(f"{value!r:.60} is not base64") from None


def _field_from_go(schema: Schema, name: str, field: Field, values: Mapping[str, Any]) -> Any:
    """Convert the field of a struct. Raises SchemaError if it is missing."""
    key = go_name(name)
    if key not in values:
        raise SchemaError(f"the field {key} is missing")
    try:
        return None if field.nullable and values[key] is None else from_go(schema, field.type, values[key])
    except SchemaError as error:
        raise error.below(key) from None


def _is_text(schema: Schema, term: Term) -> bool:
    """Return whether a byte string is text in JSON: an address or an amount."""
    return isinstance(term, str) and schema.name_of(term) in ("Address", *AMOUNTS)


def go_name(name: str) -> str:
    """Return a schema's name as Go spells it."""
    return "".join(_WHOLE_WORDS.get(word, word.capitalize()) for word in name.split("_"))


def _read(machine: Hypervisor, actor: ActorState) -> tuple[str, dict[str, Any]]:
    """Return the type of the state and its value; there are several types, for older and newer bundles."""
    schema = actor_schema(machine.manifest.name_of(actor.code) or "")
    data = get_object(machine.store, actor.head)
    for name in state_types(schema, actors_version(machine.manifest)):
        try:
            found: dict[str, Any] = schema.read(name, data)
        except SchemaError:
            continue
        return name, found
    raise SchemaError("the state has an unknown version")


def _struct(schema: Schema, term: Term) -> dict[str, Term]:
    kind = schema.type_of(term)
    return {name: field.type for name, field in kind.fields.items()} if isinstance(kind, Struct) else {}


def _item(schema: Schema, term: Term) -> Term:
    kind = schema.type_of(term)
    return kind.value if isinstance(kind, List | Map) else "Any"


def _bytes(schema: Schema, term: Term, data: bytes) -> Any:
    found = meaning(schema, term, data)
    if isinstance(found, Address):
        return address_json(found)
    if isinstance(found, int):
        return str(found)
    return b64encode(found).decode() if found else None


def _cid(value: Any) -> Cid:
    return Cid(value) if isinstance(value, bytes) else unlink(value)
