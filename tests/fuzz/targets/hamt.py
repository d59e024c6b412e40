"""HAMT nodes with arbitrary links: changes and walks end with an entry or a HAMT error."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from store.blocks.memory import MemoryStore
from store.trees.hamt import Hamt
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    return trees.run(data, _use)


def _use(store: trees.ArbitraryLinkStore, width: int, operations: list[Any]) -> None:
    bits = width if 1 <= width <= 8 else 5
    tree = Hamt(store, trees.node_cid(0), bits)
    for kind, number, name in _calls(operations):
        key = name or b"%d" % number
        if kind == 0:
            tree.set(key, number)
            assert tree.get(key) == number
        elif kind == 1:
            tree.delete(key)
            assert key not in tree
        else:
            tree.get(key)
    for _ in islice(tree.items(), trees.MAX_ITEMS):
        pass
    entries = [*islice(tree.items(), trees.MAX_ITEMS)]
    again = Hamt(store, tree.flush(), bits)
    assert [*islice(again.items(), trees.MAX_ITEMS)] == entries


def _calls(operations: list[Any]) -> Iterator[tuple[int, int, bytes]]:
    """Return the valid operations."""
    for operation in operations[:20]:
        match operation:
            case [int(kind), int(number), bytes(name)]:
                yield kind, number, name


def seeds() -> Iterator[bytes]:
    for width, count in ((5, 0), (5, 3), (5, 60), (3, 40), (8, 300), (1, 20)):
        store = MemoryStore()
        tree = Hamt(store, None, width)
        for number in range(count):
            tree.set(b"%d" % number, number)
        yield trees.renamed(tree.flush(), store, width, [[0, 7, b"new"], [1, 2, b""], [2, 1, b""]])


TARGET = Target(run, seeds, trees.mutation(seeds), share=2, longest=6000)
