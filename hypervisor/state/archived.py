"""Actors archived by the lab `rent`, whose state a message with its blocks restores.

An archived actor has the code CID defined here. Its head is a block with the epoch of archival, its original code
and the root of its state. The root is stored as bytes, not as a link, so that garbage collection drops the state's
blocks. If the blocks are retained, it is a link. Implemented by `fvm_hypervisor.laboratory.profiles.rent`; see
docs/labs/rent.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypervisor.state.state_tree import ActorState
from store.blockstore import Blockstore, get_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode, link, unlink

ARCHIVED_BLOCK: Final = (
    b"An archived actor, version 1. The runtime `archived` answers in its place; its head says more."
)
ARCHIVED_CODE: Final = cid_of(ARCHIVED_BLOCK, RAW)
ARCHIVED: Final = "archived"
"""Name of the runtime, which is also displayed as the type of archived actors."""


@dataclass(frozen=True, slots=True)
class ArchivedActor:
    """The head of an archived actor.

    `since` is the epoch of archival; `name` the name of a built-in actor, else empty; `code` and `root` its original
    code and state root; `size` the size of the state in bytes as counted by rent. `retained` is True if the state was
    too large for a proof, so its blocks are retained.
    """

    since: int
    name: str
    code: Cid
    root: Cid
    size: int
    retained: bool

    def encode(self) -> bytes:
        """Encode as DAG-CBOR. The code is a link; the root is a link only if the blocks are retained."""
        root = link(self.root) if self.retained else self.root
        return encode([self.since, self.name, link(self.code), root, self.size])

    def __str__(self) -> str:
        blocks = "its blocks are kept" if self.retained else "its blocks may be gone"
        return f"archived since epoch {self.since}, root {show(self.root)} ({self.size} bytes; {blocks})"


def archived_actor(store: Blockstore, state: ActorState) -> ArchivedActor | None:
    """Return the head of an archived actor, or None for any other actor."""
    if state.code != ARCHIVED_CODE:
        return None
    since, name, code, root, size = get_object(store, state.head)
    retained = not isinstance(root, bytes)
    return ArchivedActor(since, name, unlink(code), unlink(root) if retained else root, size, retained)
