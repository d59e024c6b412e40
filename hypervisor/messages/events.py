"""Actor events, and the AMT root of events in a receipt.

The machine stores nothing but the root: the caller that applies messages gets the list of events, and a chain stores it
with its receipts. Source: ref-fvm shared/src/event and the call manager's accumulator; FIP-0049.
"""

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

from hypervisor.types import ActorID
from store.blocks.memory import MemoryStore
from store.blockstore import Blockstore
from store.cid import Cid
from store.trees.amt import Amt

EVENTS_AMT_BIT_WIDTH = 5
MAX_ENTRIES = 255
MAX_KEY_LENGTH = 31
MAX_VALUES_LENGTH = 8192


class EventFlags(IntFlag):
    """Parts of an entry that an index should contain."""

    INDEXED_KEY = 1
    INDEXED_VALUE = 2


class EventEntry(NamedTuple):
    """A key and value of an event; `codec` is the encoding of the value (RAW or CBOR)."""

    flags: int
    key: str
    codec: int
    value: bytes


class StampedEvent(NamedTuple):
    """An event with the actor that emitted it."""

    emitter: ActorID
    entries: tuple[EventEntry, ...]

    def fields(self) -> list[object]:
        """Return the fields of the wire format: emitter, entries."""
        return [self.emitter, [[entry.flags, entry.key, entry.codec, entry.value] for entry in self.entries]]


def events_root(events: Sequence[StampedEvent]) -> Cid | None:
    """Return the root of the AMT of a message's events, or None if there are none."""
    return put_events(MemoryStore(), events)


def put_events(store: Blockstore, events: Sequence[StampedEvent]) -> Cid | None:
    """Store the AMT of a message's events, and return its root, or None if there are none."""
    if not events:
        return None
    values = [event.fields() for event in events]
    return Amt.from_values(store, values, EVENTS_AMT_BIT_WIDTH).flush()
