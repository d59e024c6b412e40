"""Numbered states of a deterministic history, so that the content of a store with state n is known."""

from __future__ import annotations

import random
from collections.abc import Iterable

from store.blockstore import BlockNotFound, Blockstore, Store, get_object
from store.buffered import BufferedStore
from store.cid import Cid, cid_of
from store.codec import encode, link, unlink
from store.collector import GarbageCollector
from store.hamt import Hamt
from store.rocks import RocksStore
from store.roots import Roots

KEYS = 300


class Unexpected(AssertionError):
    """A store holds something else than a state that was acknowledged, whole."""


def change(tree: Hamt, number: int) -> None:
    """Return the changes of state `number` to the previous state's tree."""
    rng = random.Random(number)
    for _ in range(3):
        tree.set(b"%d" % rng.randrange(KEYS), [number, rng.randbytes(rng.randrange(200))])
    tree.delete(b"%d" % rng.randrange(KEYS))


class StateRoots:
    """The root of every state, by its number; state 0 is the empty store."""

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
    """A blockstore that keeps nothing."""

    def get(self, cid: Cid) -> bytes:
        raise BlockNotFound(cid)

    def has(self, cid: Cid) -> bool:
        return False

    def put(self, cid: Cid, data: bytes) -> None:
        """Keep nothing."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Keep nothing."""
        for _ in blocks:
            pass


def commit_next(store: Store) -> int:
    """Commit the state after the one that the store holds; returns its number once it is acknowledged.

    Blocks, two entries of the metadata and one of the index change together; the index names a header, as a chain does.
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
    """A collection that keeps the state and its header."""
    header = store.index(b"header")
    return GarbageCollector(store, lambda: Roots(shallow=[] if header is None else [Cid(header)]), batch)


def check(store: Store, roots: StateRoots) -> int:
    """The number of the state that the store holds, every block of it read; Unexpected if it is none.

    Raises StoreError where the store itself sees that it is damaged.
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
    """Read every entry of a state's tree, and so every block; how many there are."""
    return sum(1 for _ in Hamt(store, root).items())
