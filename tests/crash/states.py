"""Numbered states of a deterministic history, so that the content of a store with state n is known."""

import random
from collections.abc import Iterable

from store.blocks.buffered import BufferedStore
from store.blockstore import BlockNotFound, Blockstore, Store, get_object
from store.cid import Cid, cid_of
from store.codec import encode, link, unlink
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from store.roots import Roots
from store.trees.hamt import Hamt

KEYS = 300


class Unexpected(AssertionError):
    """Raised if a store contains anything except a complete acknowledged state."""


def change(tree: Hamt, number: int) -> None:
    """Return the changes of state `number` to the previous state's tree."""
    rng = random.Random(number)
    for _ in range(3):
        tree.set(b"%d" % rng.randrange(KEYS), [number, rng.randbytes(rng.randrange(200))])
    tree.delete(b"%d" % rng.randrange(KEYS))


class StateRoots:
    """Root of every state by number; state 0 is the empty store."""

    def __init__(self) -> None:
        self._tree = Hamt(_Nowhere())
        self._roots: list[bytes | None] = [None]

    def __getitem__(self, number: int) -> bytes | None:
        while len(self._roots) <= number:
            change(self._tree, len(self._roots))
            # A node that is flushed stays loaded, so that this tree never reads what it has written.
            self._roots.append(self._tree.flush())
        return self._roots[number]


class _Nowhere:
    """A blockstore that discards all blocks."""

    def get(self, cid: Cid) -> bytes:
        raise BlockNotFound(cid)

    def has(self, cid: Cid) -> bool:
        return False

    def put(self, cid: Cid, data: bytes) -> None:
        """Discard the block."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Discard the blocks."""
        for _ in blocks:
            pass


def commit_next(store: Store) -> int:
    """Commit the state after the store's current one; return its number once it is acknowledged.

    Blocks, two metadata entries and one index entry change together; the index names a header, as in a chain.
    """
    number = int(store.metadata(b"number") or 0) + 1
    head = store.metadata(b"head")
    buffer = BufferedStore(store)
    tree = Hamt(buffer, None if head is None else Cid(head))
    change(tree, number)
    root = tree.flush()
    blocks = buffer.reachable(root)
    data = encode([number, link(root)])
    header = cid_of(data)
    blocks.append((header, data))
    store.commit(blocks, {b"head": root, b"number": b"%d" % number}, {b"header": header})
    return number


def collector(store: RocksStore, batch: int = 1000) -> GarbageCollector:
    """Return a collection that keeps the state and its header."""
    header = store.index(b"header")
    return GarbageCollector(store, lambda: Roots(shallow=[] if header is None else [Cid(header)]), batch)


def check(store: Store, roots: StateRoots) -> int:
    """Return the number of the store's state after reading all its blocks; raises Unexpected if there is none.

    Raises StoreError if the store detects damage.
    """
    number = int(store.metadata(b"number") or 0)
    head = store.metadata(b"head")
    if head != roots[number]:
        raise Unexpected(f"the head is not the root of state {number}")
    header = store.index(b"header")
    if (header is None) != (number == 0):
        raise Unexpected(f"state {number} with the index entry {header!r}")
    if header is None or head is None:
        return number
    try:
        said, root = get_object(store, Cid(header))
        found = read_all(store, Cid(head))
    except BlockNotFound as error:
        raise Unexpected(f"state {number}: {error}") from None
    if (said, unlink(root)) != (number, head):
        raise Unexpected(f"state {number} with the header of state {said}")
    if not found:
        raise Unexpected(f"state {number} is empty")
    return number


def read_all(store: Blockstore, root: Cid) -> int:
    """Read every entry of a state's tree, and so every block; return the number of entries."""
    return sum(1 for _ in Hamt(store, root).items())
