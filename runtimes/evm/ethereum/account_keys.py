"""Keys of the journal entries in which a message's accounts keep their changes."""

from collections.abc import Collection, Hashable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from bridge.addresses import EthAddress
from hypervisor.types import ActorID

JournalEntry = tuple[Hashable, Any]

# Kinds of journal entries, the first part of their keys. Slots have the key (actor, slot) without a kind. A slot is
# named by its little-endian bytes: bytes have a seeded hash, while integers 2**61 - 1 apart collide.
ACTOR, ADDRESS, WARM, TOUCHED = "actor", "address", "warm", "touched"
NONCE, CODE, CREATED, DESTROYED, TRANSIENT = "nonce", "code", "created", "destroyed", "transient"
REFUND, SLOTS = "refund", "slots"
EARLIER: Final = "earlier"
"""Kind of the entries for slots touched in an earlier part of the message; the value is the original word."""
_IN_STATE: Final = (NONCE, CODE, ACTOR, TOUCHED, DESTROYED)
"""Kinds of entries that are redundant once the message is written to the state."""


def slot_key(slot: int) -> bytes:
    """Return the name of a slot in keys."""
    return slot.to_bytes(32, "little")


def slot_number(slot: bytes) -> int:
    """Return the slot of a name in keys."""
    return int.from_bytes(slot, "little")


def slots_of(entries: Iterable[JournalEntry]) -> Iterator[tuple[ActorID, bytes]]:
    """Yield the slots that have their own entry among these."""
    for key, value in entries:
        match key:
            case (int() as actor, bytes() as slot) if value is not None:
                yield ActorID(actor), slot


def is_in_state(key: Hashable) -> bool:
    """Return True if the state contains the information of an entry with this key once it is written."""
    return isinstance(key, tuple) and (isinstance(key[0], int) or key[0] in _IN_STATE)


def is_touch(key: Hashable, but: Collection[EthAddress]) -> bool:
    """Return True if an entry with this key warms a slot, or an address that is not in `but`."""
    match key:
        case ("earlier" | "slots", *_) | ("warm", _, _):
            return True
        case ("warm", address):
            return address not in but
    return False


@lru_cache
def warming(addresses: tuple[EthAddress, ...]) -> tuple[tuple[tuple[str, EthAddress], bool], ...]:
    """Return the entries that make addresses warm."""
    return tuple(((WARM, address), True) for address in addresses)
