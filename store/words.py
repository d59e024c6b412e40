"""The interface of a contract's storage, implemented by `store.trees.kamt.Kamt` and for storage fetched from a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from store.cid import Cid


class StoredWords(Protocol):
    """A map from 256-bit keys to 256-bit words, zero where nothing is stored."""

    @property
    def loaded_nodes(self) -> int:
        """Number of nodes in memory."""

    def get(self, slot: int) -> int:
        """Return the word of a slot."""

    def absent_bits(self, slot: int) -> int:
        """Return n such that no slot that equals `slot` above its lowest n bits has a word.

        0 if `slot` has one, or if nothing is known about other slots.
        """

    def set(self, slot: int, value: int) -> None:
        """Set the word of a slot."""

    def set_all(self, slots: Iterable[tuple[int, int]]) -> bool:
        """Set the words of several slots, each named once; return True if the content changed."""

    def items(self) -> Iterator[tuple[int, int]]:
        """Iterate over the slots known to be nonzero, with their words."""

    def flush(self) -> Cid:
        """Write the changes to the store, and return the new root."""
