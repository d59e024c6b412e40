"""Archived actors: those whose state was left out, and whose actor object names what brings it back (lab `rent`).

An archived actor has the code CID here in place of its own, and as its head a block that says since when, what code it
had, and the root of its state. That root is bytes and not a link: nothing leads to the state's blocks, so a garbage
collection drops them. Who archives and resurrects: `fvm_hypervisor.laboratory.profiles.rent`; rules: docs/labs/rent.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypervisor.state_tree import ActorState
from store.blockstore import Blockstore, get_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode, link, unlink

ARCHIVED_BLOCK: Final = (
    b"An archived actor, version 1. The runtime `archived` answers in its place; its head says more."
)
ARCHIVED_CODE: Final = cid_of(ARCHIVED_BLOCK, RAW)
ARCHIVED: Final = "archived"
"""The name of the runtime, and what an archived actor is called where built-in actors have a name."""


@dataclass(frozen=True, slots=True)
class ArchivedActor:
    """What the head of an archived actor says.

    Archived `since` an epoch; its code, with the name where that is a built-in actor's (else empty); the root of its
    state; the state's size in bytes as rent counts it; whether its blocks are `kept`, since no proof has room for them.
    """

    since: int
    name: str
    code: Cid
    root: Cid
    size: int
    kept: bool

    def encode(self) -> bytes:
        """DAG-CBOR: the code is a link, the root is one where the blocks are kept."""
        root = link(self.root) if self.kept else self.root
        return encode([self.since, self.name, link(self.code), root, self.size])

    def __str__(self) -> str:
        blocks = "its blocks are kept" if self.kept else "its blocks may be gone"
        return f"archived since epoch {self.since}, root {show(self.root)} ({self.size} bytes; {blocks})"


def archived(store: Blockstore, state: ActorState) -> ArchivedActor | None:
    """What is known of an archived actor; None for any other."""
    if state.code != ARCHIVED_CODE:
        return None
    since, name, code, root, size = get_object(store, state.head)
    kept = not isinstance(root, bytes)
    return ArchivedActor(since, name, unlink(code), unlink(root) if kept else root, size, kept)
