"""Actor events, and the AMT root of events in a receipt.

The machine stores nothing but the root: the caller that applies messages gets the list of events, and a chain stores it
with its receipts. Source: ref-fvm shared/src/event and the call manager's accumulator; FIP-0049.
"""

from collections.abc import Sequence
from enum import IntFlag
from functools import lru_cache
from typing import Final, NamedTuple

from hypervisor.types import ActorID
from store.blocks.buffered import BufferedStore
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
    return _tree(events)[0] if events else None


def put_events(store: Blockstore, events: Sequence[StampedEvent]) -> Cid | None:
    """Store the AMT of a message's events, and return its root, or None if there are none."""
    if not events:
        return None
    root, blocks = _tree(events)
    store.put_many(blocks)
    return root


_Tree = tuple[Cid, tuple[tuple[Cid, bytes], ...]]
_FEW: Final = 8


def _tree(events: Sequence[StampedEvent]) -> _Tree:
    """Return the root and the blocks of an AMT. A receipt needs the root, and the chain soon afterwards the blocks."""
    is_small = len(events) <= _FEW and sum(len(entry.value) for event in events for entry in event.entries) <= 1024
    return _cached_tree(tuple(events)) if is_small else _new_tree(events)


def _new_tree(events: Sequence[StampedEvent]) -> _Tree:
    store = BufferedStore(MemoryStore())
    root = Amt.from_values(store, [event.fields() for event in events], EVENTS_AMT_BIT_WIDTH).flush()
    return root, tuple(store.pending.items())


_cached_tree = lru_cache(1024)(_new_tree)
