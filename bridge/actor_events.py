"""Events of native actors: names, and value types from the actor's schema.

An entry's value is CBOR and mostly self-describing. Amounts and nested parameters are not: these have a field in the
type `EventEntries` of their actor's schema, with dashes of the key as underscores. Values are not formatted here.
Source: FIP-0049, FIP-0083; for the reward actor FIP-0118.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bridge.actors.schemas import ANY
from hypervisor.messages.events import EventEntry
from store.cid import CBOR, DAG_CBOR
from store.codec import CodecError, decode_strict
from store.schema import Schema, SchemaError
from store.schema.types import Struct

EVENT_ENTRIES: Final = "EventEntries"
"""Name of the schema type with the types of event values."""

KIND_KEY: Final = "$type"
_PAYLOAD, _OPERATION = "payload", "op"

PAYLOADS: Final[Mapping[str, str]] = MappingProxyType({
    "SetWeightRecords": "SetWeightRecordsParams",
    "StepWeightRecords": "StepWeightRecordsParams",
    "RegisterStream": "RegisterStreamPayload",
    "RemoveStream": "EmptyTuple",
    "SetDistribution": "SetDistributionPayload",
})  # fmt: skip
"""Type of a pending write's payload by operation (f02 from version 19 on)."""


@dataclass(frozen=True, slots=True)
class EventValue:
    """An entry's value as returned by `Schema.read`, with its type."""

    key: str
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class NativeEvent:
    """A native actor's event: its kind (the entry `$type`, or None) and the other entries in order."""

    kind: str | None
    values: tuple[EventValue, ...]


def native_event(schema: Schema, entries: Sequence[EventEntry]) -> NativeEvent | None:
    """Decode a native actor's event with the actor's schema, or return None if an entry is not CBOR."""
    try:
        values = [_read(schema, entry.key, _type_of(schema, entry.key), _cbor(entry)) for entry in entries]
    except CodecError:
        return None
    kinds = [value for value in values if value.key == KIND_KEY and type(value.value) is str]
    rest = tuple(_payload(schema, value, values) for value in values if value not in kinds[:1])
    return NativeEvent(kinds[0].value if kinds else None, rest)


def _cbor(entry: EventEntry) -> bytes:
    if entry.codec not in (CBOR, DAG_CBOR):
        raise CodecError(f"codec 0x{entry.codec:x}")
    return entry.value


def _type_of(schema: Schema, key: str) -> str:
    declared = schema.types.get(EVENT_ENTRIES)
    field = declared.fields.get(key.replace("-", "_")) if isinstance(declared, Struct) else None
    return field.type if field is not None and isinstance(field.type, str) else ANY


def _read(schema: Schema, key: str, term: str, data: bytes) -> EventValue:
    """Decode a value by its type, or as plain CBOR if it does not match."""
    found = decode_strict(data)
    try:
        return EventValue(key, term, schema.read(term, found))
    except SchemaError:
        return EventValue(key, ANY, found)


def _payload(schema: Schema, value: EventValue, beside: Sequence[EventValue]) -> EventValue:
    """Decode a pending write's payload by the operation in the same event."""
    operation = next((other.value for other in beside if other.key == _OPERATION), None)
    term = PAYLOADS.get(operation) if isinstance(operation, str) else None
    if value.key != _PAYLOAD or term is None or type(value.value) is not bytes:
        return value
    try:
        return _read(schema, value.key, term, value.value)
    except CodecError:
        return value
