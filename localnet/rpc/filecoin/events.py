"""Filecoin events, including those of native actors, with all entries. Shapes: lotus api/types.go."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import to_filecoin
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.types import ActorID
from localnet.chain.reading import NetworkReader
from localnet.ledger.records import EmittedEvent, Tipset
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    address_json,
    base64_bytes,
    bytes_json,
    cid_json,
    epoch,
    filecoin_address,
    found_tipset,
    key_json,
    tipset,
    unsigned,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.values import field, fields, list_of

_MAX_ITEMS: Final = 1_000
_MAX_KEYS: Final = 64


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of actor events: `fields` maps each key to the values (codec and bytes) that its entry may have."""

    emitters: tuple[Address, ...] = ()
    fields: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = ()
    first: int | None = None
    last: int | None = None
    key: TipsetKey = HEAD

    def includes(self, height: int) -> bool:
        """Return True for a height in the range; a tipset key includes no other tipset."""
        return not self.key.blocks and (self.first or 0) <= height and (self.last is None or height <= self.last)

    def matches(self, event: EmittedEvent) -> bool:
        """Return True if the event has one of the values for each key."""
        return all(any(_is(entry, key, values) for entry in event.entries) for key, values in self.fields)


EVERYTHING: Final = EventFilter()


def event_filter(value: Any) -> EventFilter:
    """Read a Lotus event filter."""
    request = fields(value, "filter")
    wanted = field(request, "fields", lambda item: fields(item, "fields")) or {}
    if len(wanted) > _MAX_KEYS:
        raise invalid_params(f"fields has {len(wanted)} keys, the limit is {_MAX_KEYS}")
    key = field(request, "tipsetKey", tipset) or HEAD
    first, last = field(request, "fromHeight", epoch), field(request, "toHeight", epoch)
    if first is not None and first < 0:
        raise invalid_params(f"fromHeight {first} is below 0: omit it for the head")
    if first is not None and last is not None and first > last >= 0:
        raise invalid_params(f"toHeight ({last}) must be after fromHeight ({first})")
    if key.blocks and (first is not None or last is not None):
        raise invalid_params("tipsetKey cannot be used together with fromHeight and toHeight")
    return EventFilter(
        emitters=tuple(field(request, "addresses", list_of(filecoin_address, _MAX_ITEMS)) or ()),
        fields=tuple((name, tuple(list_of(_value, _MAX_ITEMS)(values))) for name, values in wanted.items()),
        first=first,
        last=None if last is None or last < 0 else last,
        key=key,
    )


def actor_events(node: NodeReader, wanted: EventFilter = EVERYTHING) -> list[dict[str, Any]]:
    """Return the events of actors over a range of heights or of a tipset, in order; by default those of the head."""
    network = node.network
    last = found_tipset(network, wanted.key) if wanted.key.blocks else network.chain.executed_head
    high = last.height if wanted.last is None else min(wanted.last, last.height)
    low = high if wanted.first is None else wanted.first
    if high - low > node.limits.log_span:
        raise RpcError(LIMIT_EXCEEDED, f"a range of {high - low} epochs exceeds the limit of {node.limits.log_span}")
    found, emitters = [], emitters_of(network, wanted)
    for height in range(low, high + 1):
        at = network.chain.index.at(height)
        if isinstance(at, Tipset):
            found += events_of(network, at, wanted, emitters)
        if len(found) > node.limits.logs:
            raise RpcError(LIMIT_EXCEEDED, f"more than {node.limits.logs} events: request a smaller range of heights")
    return found


def emitters_of(network: NetworkReader, wanted: EventFilter) -> set[ActorID | None]:
    """Return the IDs of the actors whose events a filter selects; an empty set selects all."""
    return {network.machine.state_tree.lookup_id(address) for address in wanted.emitters}


def events_of(
    network: NetworkReader,
    at: Tipset,
    wanted: EventFilter,
    emitters: Set[ActorID | None],
    *,
    is_reverted: bool = False,
) -> list[dict[str, Any]]:
    """Return the events of a tipset that match, in order, each with the f4 address of its emitter or its ID."""
    return [
        {
            "entries": [_entry(entry) for entry in event.entries],
            "emitter": address_json(to_filecoin(event.address)),
            "reverted": is_reverted,
            "height": at.height,
            "tipsetKey": key_json(at),
            "msgCid": cid_json(receipt.candidate.message.cid()),
        }
        for receipt in network.chain.index.receipts(at)
        for event in receipt.execution.events
        if (not emitters or event.emitter in emitters) and wanted.matches(event)
    ]


def _entry(entry: EventEntry) -> dict[str, Any]:
    return {"Flags": entry.flags, "Key": entry.key, "Codec": entry.codec, "Value": bytes_json(entry.value)}


def _is(entry: EventEntry, key: str, values: tuple[tuple[int, bytes], ...]) -> bool:
    return entry.key == key and (not values or (entry.codec, entry.value) in values)


def _value(value: Any) -> tuple[int, bytes]:
    request = fields(value, "value")
    return field(request, "codec", unsigned) or 0, field(request, "value", base64_bytes) or b""


def events_or_null(node: NodeReader, wanted: EventFilter = EVERYTHING) -> list[dict[str, Any]] | None:
    """Return the events of `actor_events`; null if there are none."""
    return actor_events(node, wanted) or None


METHODS = (Method("Filecoin.GetActorEventsRaw", (optional(event_filter),), events_or_null, reads=True),)
