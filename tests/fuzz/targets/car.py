"""CARs of version 1 and 2: decoded files re-encode, and every block matches its hash."""

from collections.abc import Iterator
from io import BytesIO
from random import Random

from store.car.files import CarError, read_car, write_car
from store.cid import RAW, Cid, cid_of, has_digest, write_uvarint
from store.codec import encode, link
from tests.fuzz import trees
from tests.fuzz.target import Target

LARGEST = 1 << 16


def run(data: bytes) -> bool:
    try:
        reader = read_car(BytesIO(data), LARGEST)
        blocks = [*reader]
    except CarError:
        return False
    assert all(has_digest(cid, block) for cid, block in blocks)
    again = BytesIO()
    write_car(again, reader.roots, blocks)
    again.seek(0)
    second = read_car(again, LARGEST)
    assert (second.roots, [*second]) == (reader.roots, blocks)
    return True


def _car(roots: list[Cid], blocks: list[tuple[Cid, bytes]], version: int, padding: int = 0) -> bytes:
    out = BytesIO()
    write_car(out, roots, blocks)
    if version == 1:
        return out.getvalue()
    payload = out.getvalue()
    places = (51 + padding, len(payload), 0)
    head = b"\x0a\xa1\x67version\x02" + bytes(16) + b"".join(place.to_bytes(8, "little") for place in places)
    return head + bytes(padding) + payload


def _block(data: bytes, codec: int = 0x71) -> tuple[Cid, bytes]:
    return cid_of(data, codec), data


def seeds() -> Iterator[bytes]:
    leaf = _block(encode([1, 2]))
    root = _block(encode([link(leaf[0])]))
    for version in (1, 2):
        yield _car([], [], version)
        yield _car([root[0]], [root, leaf], version)
        yield _car(
            [root[0], leaf[0]], [root, leaf, _block(b"raw", RAW), (Cid(b"\x01\x55\x00\x02hi"), b"hi")], version, 7
        )


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new CAR, sometimes with one defect."""
    blocks = [_block(rng.randbytes(rng.randrange(40)), rng.choice((0x71, RAW))) for _ in range(rng.randrange(5))]
    if rng.random() < 0.2:
        blocks.append((cid_of(b"inline", RAW, 0), b"inline"))
    roots = [rng.choice(blocks)[0] for _ in range(rng.randrange(3))] if blocks else []
    car = _car(roots, blocks, rng.choice((1, 2)), rng.choice((0, 0, 1, 50)))
    if rng.random() < 0.1:
        car += write_uvarint(rng.choice((0, 1, 2**20, 2**63 - 1)))
    if rng.random() < 0.1:
        car = trees.scrambled(car, rng)
    return car


TARGET = Target(run, seeds, mutate, share=50, longest=2048)
