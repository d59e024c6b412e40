"""A process that commits numbered states until it is killed (see test_rocks.py).

Prints each number after its commit has returned. State n is a HAMT of the numbers up to n, so its root is known and
most of its blocks come from earlier commits.
"""

import itertools
import sys
from collections.abc import Iterator

from store.blocks.memory import BufferedStore, MemoryStore
from store.blockstore import Blockstore
from store.cid import Cid
from store.rocks.database import RocksStore
from store.trees.hamt import Hamt


def add(store: Blockstore, root: Cid | None, number: int) -> Cid:
    """Write state `number` on top of the previous state, and return its root."""
    tree = Hamt(store, root)
    tree.set(b"%d" % number, [number, bytes(50)])
    tree.set(b"latest", number)
    return tree.flush()


def roots() -> Iterator[Cid]:
    """Yield the roots of the states 1, 2, and so on without end."""
    store = MemoryStore()
    root = None
    for number in itertools.count(1):
        root = add(store, root, number)
        yield root


def main(folder: str) -> None:
    """Commit states, continuing after the last one."""
    store = RocksStore.open(folder)
    number = int(store.metadata(b"number") or 0)
    head = store.metadata(b"head")
    root = None if head is None else Cid(head)
    print(number, flush=True)
    while True:
        number += 1
        buffer = BufferedStore(store)
        root = add(buffer, root, number)
        store.commit(buffer.reachable(root), {b"head": root, b"number": b"%d" % number})
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
