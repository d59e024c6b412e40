"""Keys of the journal entries for a message's changes to accounts."""

from collections.abc import Collection, Hashable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.types import ActorID

JournalEntry = tuple[Hashable, Any]

# Kinds of journal entries, the first part of their keys. Slots have the key (actor, slot) without a kind. A slot is its
# little-endian bytes: the hash of bytes is seeded, while integers that differ by 2**61 - 1 collide.
ACTOR, ADDRESS, WARM, TOUCHED = "actor", "address", "warm", "touched"
NONCE, CODE, CREATED, DESTROYED, TRANSIENT = "nonce", "code", "created", "destroyed", "transient"
REFUND, SLOTS = "refund", "slots"
EARLIER: Final = "earlier"
"""Kind of the entries for slots that an earlier part of the message touched; the value is the original word."""
_IN_STATE: Final = (NONCE, CODE, ACTOR, TOUCHED, DESTROYED)
"""Kinds of entries that are redundant once the message's changes are written to the state."""


def slot_key(slot: int) -> bytes:
    """Return the bytes that identify a slot in keys."""
    return slot.to_bytes(32, "little")


def slot_number(slot: bytes) -> int:
    """Return the slot that these bytes of a key identify."""
    return int.from_bytes(slot, "little")


def slots_of(entries: Iterable[JournalEntry]) -> Iterator[tuple[ActorID, bytes]]:
    """Yield the slots that have an entry of their own."""
    for key, value in entries:
        match key:
            case (int() as actor, bytes() as slot) if value is not None:
                yield ActorID(actor), slot


def is_in_state(key: Hashable) -> bool:
    """Return True if an entry with this key is redundant once the message's changes are written to the state."""
    return isinstance(key, tuple) and (isinstance(key[0], int) or key[0] in _IN_STATE)


def is_touch(key: Hashable, excluded: Collection[EthAddress]) -> bool:
    """Return True if an entry with this key warms a slot, or an address that is not in `excluded`."""
    match key:
        case ("earlier" | "slots", *_) | ("warm", _, _):
            return True
        case ("warm", address):
            return address not in excluded
    return False


@lru_cache
def warming(addresses: tuple[EthAddress, ...]) -> tuple[tuple[tuple[str, EthAddress], bool], ...]:
    """Return the entries that make addresses warm."""
    return tuple(((WARM, address), True) for address in addresses)
