"""RLP: accepted data has one encoding, and Ethereum's own library accepts the same."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random

import rlp as ethereum_rlp

from bridge.ethereum import rlp
from bridge.ethereum.rlp import RlpError
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    try:
        item = rlp.decode(data)
    except RlpError as error:
        if "are nested deeper" not in str(error) and _theirs(data) is not None:
            raise AssertionError(f"Ethereum's library takes what is refused here: {error}") from None
        return False
    assert rlp.encode(item) == data
    assert _theirs(data) == item
    with suppress(RlpError):
        rlp.read_number(item)
    return True


def _theirs(data: bytes) -> rlp.Item | None:
    try:
        item: rlp.Item = ethereum_rlp.decode(data, strict=True)
    except ethereum_rlp.exceptions.RLPException:
        return None
    except RecursionError:
        return None
    return item


def seeds() -> Iterator[bytes]:
    deep: rlp.Item = []
    for _ in range(12):
        deep = [deep]
    items: tuple[rlp.Item, ...] = (
        b"",
        b"\0",
        b"\x7f",
        b"\x80",
        b"a" * 55,
        b"a" * 56,
        b"a" * 300,
        [],
        [b""],
        [b"a", [b"b", []]],
        [b"x"] * 60,
        deep,
    )
    for item in items:
        yield rlp.encode(item)


def mutate(data: bytes, rng: Random) -> bytes:
    try:
        item = rlp.decode(data)
    except RlpError:
        item = rng.choice([*map(rlp.decode, seeds())])
    return rlp.encode(_plain(trees.mutated(item, rng)))


def _plain(value: object, depth: int = 12) -> rlp.Item:
    """Convert any value to one that RLP can encode."""
    if isinstance(value, list):
        return [_plain(part, depth - 1) for part in value] if depth else []
    if isinstance(value, int):
        return rlp.number(abs(value))
    return value if isinstance(value, bytes) else repr(value).encode()


TARGET = Target(run, seeds, mutate, share=60, longest=1024)
