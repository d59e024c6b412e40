"""Actor events, and the AMT root of events in a receipt.

The machine stores nothing but the root: the caller that applies messages gets the events and the blocks of their AMT,
and a chain stores these with its receipts. Source: ref-fvm shared/src/event and the call manager's accumulator;
FIP-0049.
"""

from collections.abc import Sequence
from enum import IntFlag
from functools import lru_cache
from typing import Final, NamedTuple

from hypervisor.types import ActorID
from store.blocks.memory import BufferedStore, MemoryStore
from store.cid import Cid, cid_of
from store.codec import array_head, bytes_head, encode
from store.trees.amt import Amt

EVENTS_AMT_BIT_WIDTH = 5
MAX_ENTRIES = 255
MAX_KEY_LENGTH = 31
MAX_VALUES_LENGTH = 8192


class EventFlags(IntFlag):
    """Parts of an entry that an index should contain."""

    INDEXED_KEY = 1
    INDEXED_VALUE = 2


EventBlocks = tuple[tuple[Cid, bytes], ...]
"""Blocks of the AMT of a message's events, with their CIDs."""


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

    def encode(self) -> bytes:
        """Return the encoding of the fields."""
        return b"".join((b"\x82", encode(self.emitter), encode_entries(self.entries)))


def encode_entries(entries: Sequence[EventEntry]) -> bytes:
    """Return the encoding of an event's entries."""
    parts = [array_head(len(entries))]
    for flags, key, codec, value in entries:
        parts += (_entry_head(flags, key, codec, len(value)), value)
    return b"".join(parts)


@lru_cache(1024)
def _entry_head(flags: int, key: str, codec: int, length: int) -> bytes:
    """Return the encoding of an entry up to the bytes of its value, whose length is given."""
    return b"".join((b"\x84", encode(int(flags)), encode(key), encode(codec), bytes_head(length)))


_NODE_EVENTS: Final = 1 << EVENTS_AMT_BIT_WIDTH
_NODE_START: Final = bytes((0x84, EVENTS_AMT_BIT_WIDTH, 0))
"""First bytes of the root of an AMT with one node."""


def events_tree(events: Sequence[StampedEvent]) -> tuple[Cid, EventBlocks]:
    """Return the root and the blocks of the AMT of a message's events, of which there is at least one."""
    count = len(events)
    if count > _NODE_EVENTS:
        store = BufferedStore(MemoryStore())
        root = Amt.from_values(store, [event.fields() for event in events], EVENTS_AMT_BIT_WIDTH).flush()
        return root, (*store.pending.items(),)
    # one node, as nearly all messages have: [bit width, 0, count, [bitmap, [], events]]
    bitmap = ((1 << count) - 1).to_bytes(_NODE_EVENTS // 8, "little")
    encoded = [event.encode() for event in events]
    data = b"".join((_NODE_START, encode(count), b"\x83\x44", bitmap, b"\x80", array_head(count), *encoded))
    root = cid_of(data)
    return root, ((root, data),)
