"""Actor events: their shape, and the AMT root that a receipt carries.

Rules: ref-fvm shared/src/event and the call manager's accumulator; FIP-0049. Nothing but the root is kept by the
machine: the caller that applies messages gets the list, and a chain stores it beside its receipts.
"""

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

from hypervisor.types import ActorID
from store.amt import Amt
from store.blockstore import Blockstore
from store.cid import Cid
from store.memory import MemoryStore

EVENTS_AMT_BIT_WIDTH = 5
MAX_ENTRIES = 255
MAX_KEY_LENGTH = 31
MAX_VALUES_LENGTH = 8192


class EventFlags(IntFlag):
    """What of an entry an index should hold."""

    INDEXED_KEY = 1
    INDEXED_VALUE = 2


class EventEntry(NamedTuple):
    """One key and value of an event; `codec` says how the value's bytes are to be read (RAW or CBOR)."""

    flags: int
    key: str
    codec: int
    value: bytes


class StampedEvent(NamedTuple):
    """An event with the actor that emitted it."""

    emitter: ActorID
    entries: tuple[EventEntry, ...]

    def fields(self) -> list[object]:
        """The tuple of the wire: emitter, entries."""
        return [self.emitter, [[entry.flags, entry.key, entry.codec, entry.value] for entry in self.entries]]


def events_root(events: Sequence[StampedEvent]) -> Cid | None:
    """The root of the AMT of a message's events, None where there are none."""
    return put_events(MemoryStore(), events)


def put_events(store: Blockstore, events: Sequence[StampedEvent]) -> Cid | None:
    """Store the AMT of a message's events; its root, None where there are none."""
    if not events:
        return None
    values = [event.fields() for event in events]
    return Amt.from_values(store, values, EVENTS_AMT_BIT_WIDTH).flush()
