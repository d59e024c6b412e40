"""`StoredWords`: what a contract keeps, as a map. `store.kamt.Kamt` is one; another is read from a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from store.cid import Cid


class StoredWords(Protocol):
    """A map from 256-bit keys to 256-bit words, zero where nothing is stored."""

    @property
    def held(self) -> int:
        """Nodes in memory."""

    def get(self, slot: int) -> int:
        """The word of a slot."""

    def set(self, slot: int, value: int) -> None:
        """Write a slot."""

    def items(self) -> Iterator[tuple[int, int]]:
        """The slots that are known to hold something, with their words."""

    def flush(self) -> Cid:
        """Put what changed into the store; the new root."""
