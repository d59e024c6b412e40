"""Size of a state, and verification of a state proof; both walk the blocks in CAR order (lab `rent`).

The size of a state is the number of bytes of its blocks, each block counted once, plus `BLOCK_BYTES` per block.
Format of a proof: docs/labs/rent.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from hypervisor.errors import HypervisorError
from store.blockstore import Blockstore, StoreCorrupt
from store.car.files import CarError, read_car, write_car
from store.cid import Cid, show
from store.codec import CodecError
from store.links import blocks_below, links_of, state_codec, targets

BLOCK_BYTES: Final = 128
"""Bytes counted for each block in addition to its content, for its key and lookup."""
MAX_PROVEN: Final = 60 << 10
"""Maximum size of a state that can be proven. Its CAR fits into a message, since `BLOCK_BYTES` exceeds a section's
head.
"""
MAX_PROOF: Final = MAX_PROVEN + 256
"""Maximum size of a proof in bytes: a state of `MAX_PROVEN` bytes and the CAR's header."""


class ProofRefused(HypervisorError):
    """Raised for bytes that do not prove a state."""


@dataclass(frozen=True, slots=True)
class StateSize:
    """Size of a state for rent in bytes, its number of blocks, and whether the walk was complete."""

    size: int
    blocks: int
    whole: bool

    @property
    def is_provable(self) -> bool:
        return self.whole and self.size <= MAX_PROVEN


def size_of(store: Blockstore, root: Cid, limit: int) -> StateSize:
    """Return the size of the state below a root, reading at most `limit` blocks.

    Raises BlockNotFound, StoreCorrupt, CodecError.
    """
    size = count = 0
    for _, data in blocks_below(store, [root]):
        if count == limit:
            return StateSize(size, count, whole=False)
        size += len(data) + BLOCK_BYTES
        count += 1
    return StateSize(size, count, whole=True)


def proof_of(store: Blockstore, root: Cid) -> bytes:
    """Return the proof of a stored state. Raises BlockNotFound, StoreCorrupt, CodecError."""
    car = BytesIO()
    write_car(car, [root], blocks_below(store, [root]))
    return car.getvalue()


def proven_blocks(root: Cid, proof: bytes, pay: Callable[[int], None] = lambda _size: None) -> list[tuple[Cid, bytes]]:
    """Return the blocks of a state from its proof; `pay` is called with each size before the block is stored.

    A proof is a CAR with this root and the blocks below it, each once, in depth-first preorder. Raises ProofRefused for
    anything else: another root, missing, additional or repeated blocks, another order, a malformed or too large file.
    Errors of `pay` are passed on.
    """
    if len(proof) > MAX_PROOF:
        raise ProofRefused(f"a proof of {len(proof)} bytes: at most {MAX_PROOF}")
    try:
        return _blocks_in_order(root, proof, pay)
    except (CarError, StoreCorrupt, CodecError) as error:
        raise ProofRefused(str(error)) from None


def _blocks_in_order(root: Cid, proof: bytes, pay: Callable[[int], None]) -> list[tuple[Cid, bytes]]:
    reader = read_car(BytesIO(proof), MAX_PROOF)
    if reader.version != 1 or reader.roots != (root,):
        named = ", ".join(show(named) for named in reader.roots[:2]) or "none"
        raise ProofRefused(f"the proof has the root {named}, expected {show(root)}")
    found: dict[Cid, bytes] = {}
    todo = targets(root)[::-1]
    for cid, data in reader:
        while todo and todo[-1] in found:
            todo.pop()
        if not todo or cid != todo[-1]:
            expected = f"expected {show(todo[-1])}" if todo else "the state has no further one"
            raise ProofRefused(f"block {len(found) + 1} of the proof is {show(cid)}: {expected}")
        todo.pop()
        pay(len(data))
        found[cid] = data
        todo += reversed(links_of(data, state_codec(cid)))
    missing = next((cid for cid in reversed(todo) if cid not in found), None)
    if missing is not None:
        raise ProofRefused(f"the proof ends after {len(found)} blocks: expected {show(missing)}")
    return list(found.items())
