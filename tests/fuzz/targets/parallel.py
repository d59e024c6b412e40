"""Blocks whose messages get into each other's way, with workers: what they come to serially.

An input is what the block is drawn from: bytes in place of random numbers, and zeros after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target
from tests.parallel.blocks import played
from tests.parallel.plants import PLANTS, plant


class Drawn(Random):
    """Random numbers that are read from bytes: any block can be had, and near inputs are near blocks."""

    def __new__(cls, _: bytes) -> Drawn:
        """Without seeding from the bytes, as Random would."""
        return super().__new__(cls)

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data, self._place = data, 0

    def random(self) -> float:
        return self.getrandbits(16) / (1 << 16)

    def getrandbits(self, k: int, /) -> int:
        """Return the next `k` bits, from whole bytes; excess bits are discarded."""
        length = -(-k // 8)
        taken = self._data[self._place : self._place + length].ljust(length, b"\0")
        self._place += length
        return int.from_bytes(taken, "little") & ((1 << k) - 1)


def run(data: bytes) -> bool:
    manner, content = data[:8], data[8:]
    outcome = played(Drawn(content), Drawn(manner))
    assert not outcome.difference, outcome.difference
    return outcome.parallel.taken > 0


def seeds() -> Iterator[bytes]:
    for number in range(24):
        yield Random(number).randbytes(200)


def mutate(data: bytes, rng: Random) -> bytes:
    return trees.scrambled(data, rng)


TARGET = Target(
    run, seeds, mutate, share=2, longest=600, memory=MACHINE, plants={name: partial(plant, name) for name in PLANTS}
)
