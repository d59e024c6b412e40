"""AMT nodes with arbitrary links: changes and walks end with a value or an AMT error."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from store.blocks.memory import MemoryStore
from store.trees.amt import MAX_INDEX, Amt
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    return trees.run(data, _use)


def _use(store: trees.ArbitraryLinkStore, _width: int, operations: list[Any]) -> None:
    array = Amt(store, trees.node_cid(0))
    for operation in operations[:20]:
        match operation:
            case [0, int(index), bytes(value)] if 0 <= index <= MAX_INDEX:
                array.set(index, value)
                assert array.get(index) == value
            case [1, int(index), bytes()] if 0 <= index <= MAX_INDEX:
                array.delete(index)
                assert index not in array
            case [int(), int(index), bytes()] if 0 <= index <= MAX_INDEX:
                array.get(index)
    for _ in islice(array.items(), trees.MAX_ITEMS):
        pass
    values = [*islice(array.items(), trees.MAX_ITEMS)]
    again = Amt(store, array.flush())
    assert [*islice(again.items(), trees.MAX_ITEMS)] == values


def seeds() -> Iterator[bytes]:
    for width, indices in ((3, ()), (3, (0, 1, 9)), (3, range(70)), (5, (0, 10**6)), (1, range(9)), (8, (MAX_INDEX,))):
        store = MemoryStore()
        array = Amt(store, None, width)
        for index in indices:
            array.set(index, b"%d" % index)
        yield trees.renamed(array.flush(), store, width, [[0, 7, b"new"], [1, 9, b""], [2, 1, b""]])


TARGET = Target(run, seeds, trees.mutation(seeds), share=4, longest=6000)
