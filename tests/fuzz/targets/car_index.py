"""Index of CARs of version 2: whatever it contains, a block that is found matches its hash."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from store.blockstore import BlockNotFound
from store.car.files import CarError
from store.car.index import IndexedCar, write_indexed_car
from store.cid import RAW, Cid, CidError, cid_of, has_digest
from store.codec import encode
from tests.fuzz import trees
from tests.fuzz.target import Target

_BLOCKS = [(cid_of(data, codec), data) for data, codec in ((encode([1]), 0x71), (b"raw", RAW), (encode("text"), 0x71))]
_ABSENT = cid_of(b"absent")
_OTHER_HASH = cid_of(b"raw", RAW, 0x12)


def run(data: bytes) -> bool:
    file = _file()
    file.write_bytes(data)
    try:
        car = IndexedCar(file)
    except (CarError, CidError):
        return False
    with car:
        found = [cid for cid, _ in _BLOCKS if _got(car, cid)]
        assert not _got(car, _ABSENT)
        _got(car, _OTHER_HASH)
    return bool(found)


def _got(car: IndexedCar, cid: Cid) -> bool:
    try:
        assert has_digest(cid, car.get(cid))
    except (CarError, BlockNotFound):
        return False
    return True


@cache
def _file() -> Path:
    """Return the file shared by all inputs."""
    return Path(mkdtemp(prefix="fuzz-car-")) / "input.car"


@cache
def _car(count: int, other_hash: bool) -> bytes:
    out = BytesIO()
    blocks = [*_BLOCKS[:count], *([(_OTHER_HASH, b"raw")] if other_hash else [])]
    write_indexed_car(out, [blocks[0][0]] if blocks else [], blocks)
    return out.getvalue()


def seeds() -> Iterator[bytes]:
    for count in range(4):
        for other_hash in (False, True):
            yield _car(count, other_hash)


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a known file with a changed index, sometimes a changed header or block."""
    car = _car(rng.randrange(1, 4), rng.random() < 0.5)
    index = int.from_bytes(car[43:51], "little")
    match rng.randrange(8):
        case 0:
            return trees.scrambled(car, rng)
        case 1:
            return car[:27] + trees.scrambled(car[27:51], rng)[:24] + car[51:]
        case 2:
            return car
        case _:
            at = rng.randrange(len(car) - index)
            return car[: index + at] + trees.scrambled(car[index + at :], rng)


TARGET = Target(run, seeds, mutate, share=6, longest=1500)
