"""KAMT nodes with arbitrary links: changes and walks end with a word or a KAMT error."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from store.blocks.memory import MemoryStore
from store.trees.kamt import Kamt
from tests.fuzz import trees
from tests.fuzz.target import Target

WORD = 1 << 256


def run(data: bytes) -> bool:
    return trees.run(data, _use)


def _use(store: trees.ArbitraryLinkStore, _width: int, operations: list[Any]) -> None:
    tree = Kamt(store, trees.node_cid(0))
    for operation in operations[:20]:
        match operation:
            case [int(kind), int(number), bytes(name)]:
                slot = int.from_bytes(name, "big") << 200 | number % WORD if number % 2 else number % WORD
                slot %= WORD
                if kind == 3:
                    tree.set_all([(slot, number % WORD), (slot ^ 1, 1), (slot ^ 1 << 200, 0)])
                    assert tree.get(slot ^ 1) == 1
                elif kind < 2:
                    tree.set(slot, kind and number % WORD)
                    assert tree.get(slot) == (kind and number % WORD)
                else:
                    tree.get(slot)
    for _ in islice(tree.items(), trees.MAX_ITEMS):
        pass
    slots = [*islice(tree.items(), trees.MAX_ITEMS)]
    again = Kamt(store, tree.flush())
    assert [*islice(again.items(), trees.MAX_ITEMS)] == slots


def seeds() -> Iterator[bytes]:
    for slots in ((), (0, 1, 2), range(40), (0, WORD - 1, 1 << 255, 1 << 128), [number << 200 for number in range(40)]):
        store = MemoryStore()
        tree = Kamt(store)
        for slot in slots:
            tree.set(slot, slot + 1 if slot + 1 < WORD else 1)
        yield trees.renamed(tree.flush(), store, 5, [[1, 7, b"new"], [0, 2, b""], [2, 1, b""]])


TARGET = Target(run, seeds, trees.mutation(seeds), share=3, longest=6000)
