"""Consensus faults by block headers signed with a BLS key; the rules are those of lotus chain/vm/fvm.go."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.messages.address import Address
from hypervisor.proofs.consensus_faults import (
    DOUBLE_FORK,
    PARENT_GRINDING,
    TIME_OFFSET,
    ConsensusFault,
    NoFault,
    find_fault,
    lookback_epoch,
    read_header,
)
from hypervisor.types import ActorID, ChainEpoch
from store.cid import Cid, cid_of
from store.codec import decode, encode, link
from tests.hypervisor.signed_headers import OTHER_SECRET, WORKER, header, public_key, signed

FAULTY_MINER = Address.id(1000)
PARENTS = [cid_of(b"one"), cid_of(b"two")]


def key_of(miner: Address, epoch: ChainEpoch) -> Address:
    return WORKER


def block(epoch: int, **changes: Any) -> bytes:
    return signed(header(FAULTY_MINER, epoch, changes.pop("parents", PARENTS), **changes))


def refused_fault(first: bytes, second: bytes, extra: bytes = b"") -> str:
    with pytest.raises(NoFault) as caught:
        find_fault(first, second, extra, key_of)
    return str(caught.value)


def cid(data: bytes) -> Cid:
    return cid_of(data)


GRINDING = (block(50), block(51, parents=[cid(block(50, weight=2))]), block(50, weight=2))


@pytest.mark.parametrize(
    ("headers", "kind", "epoch"),
    [
        ((block(50), block(50, timestamp=7), b""), DOUBLE_FORK, 50),
        ((block(50), block(50, parents=[cid_of(b"x")]), b""), DOUBLE_FORK, 50),
        ((block(50), block(52), b""), TIME_OFFSET, 52),
        ((block(50), block(52, parents=PARENTS[::-1]), b""), TIME_OFFSET, 52),
        (GRINDING, PARENT_GRINDING, 51),
        # a fault by heights stays one beside an extra header that is no sibling
        ((block(50), block(50, timestamp=7), block(49)), DOUBLE_FORK, 50),
        # bytes after a header are ignored, as by the reader of lotus
        ((block(50) + b"\xff", block(52) + block(9), b""), TIME_OFFSET, 52),
    ],
)
def test_headers_prove_a_fault(headers: tuple[bytes, bytes, bytes], kind: int, epoch: int) -> None:
    requests: list[tuple[Address, int]] = []

    def key(miner: Address, at: ChainEpoch) -> Address:
        requests.append((miner, at))
        return WORKER

    assert find_fault(*headers, key) == ConsensusFault(ActorID(1000), ChainEpoch(epoch), kind)
    assert requests == [(FAULTY_MINER, 50), (FAULTY_MINER, epoch)]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((block(50), block(50), b""), "the two headers are the same block"),
        ((block(50), signed(header(Address.id(1001), 50, PARENTS)), b""), "different miners: f01000 and f01001"),
        ((block(52), block(50), b""), "first header's epoch 52 is after the second header's epoch 50"),
        ((block(50), block(52, parents=[]), b""), "neither share an epoch nor their parents"),
        ((block(50), block(52, parents=PARENTS[:1]), b""), "neither share"),
        ((GRINDING[0], GRINDING[1], b""), "neither share"),
        ((GRINDING[0], GRINDING[1], block(49, weight=2)), "neither share"),  # no parent of the second
        ((block(50), block(51, parents=[cid(block(49))]), block(49)), "neither share"),  # a sibling of another epoch
        ((GRINDING[0], block(51, parents=[cid(GRINDING[0]), cid(GRINDING[2])]), GRINDING[2]), "neither share"),
        ((block(50), block(52, key=OTHER_SECRET), b""), "second header is not signed by the worker f3"),
        ((block(50, key=OTHER_SECRET), block(52), b""), "first header is not signed by the worker f3"),
        ((block(50, key=0), block(52), b""), "the first header has no signature"),
        ((b"", block(52), b""), "the first header is not a block header"),
        ((block(50), block(52)[:-1], b""), "the second header is not a block header"),
        ((block(50), block(52), b"\x80"), "extra header is not a block header: expected an array of 16 fields"),
    ],
)
def test_headers_prove_no_fault(headers: tuple[bytes, bytes, bytes], reason: str) -> None:
    assert reason in refused_fault(*headers)


def test_a_miner_must_be_an_id() -> None:
    miner = Address.actor(b"miner")
    found = [signed(header(miner, epoch, PARENTS)) for epoch in (50, 52)]
    assert "is not an ID address" in refused_fault(found[0], found[1])


@pytest.mark.parametrize("field", range(16))
@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_field_is_refused(which: int, field: int) -> None:
    headers = [block(50), block(52)]
    fields = decode(headers[which])
    fields[field] = CHANGES[field](fields[field])
    headers[which] = encode(fields)
    with pytest.raises(NoFault):
        find_fault(headers[0], headers[1], b"", key_of)


def more(value: int) -> int:
    return value + 1


def other_bytes(value: bytes | None) -> bytes:
    return (value or b"\0") + b"\1"


CHANGES: list[Callable[[Any], Any]] = [
    lambda _: Address.id(1001).to_bytes(), lambda _: None, lambda _: [2, b"vrf"], lambda _: [],
    lambda _: [[3, b"altered"]], lambda _: [link(PARENTS[0])], other_bytes, more, lambda _: link(PARENTS[0]),
    lambda _: link(PARENTS[0]), lambda _: link(PARENTS[0]), lambda _: b"\2aggregate", more,
    lambda value: value[:-1] + bytes([value[-1] ^ 1]), more, other_bytes,
]  # fmt: skip


@pytest.mark.parametrize("field", range(16))
def test_a_field_of_another_type_is_no_header(field: int) -> None:
    fields = decode(block(50))
    fields[field] = {"a": 1}
    with pytest.raises(NoFault, match="the block is not a block header"):
        read_header(encode(fields), "the block")


def test_leading_zeros_of_amounts_do_not_change_the_block() -> None:
    fields = decode(block(50))
    fields[6] = b"\0\0" + fields[6][1:]
    assert read_header(encode(fields), "a") == read_header(block(50), "b")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NoFault):
        find_fault(data, block(50), data, key_of)
    with pytest.raises(NoFault):
        find_fault(block(50), data, b"", key_of)


def test_reports_reach_back_900_epochs() -> None:
    assert lookback_epoch(ChainEpoch(2100), ChainEpoch(3000)) == 1200
    assert lookback_epoch(ChainEpoch(899), ChainEpoch(1000)) == 0
    with pytest.raises(NoFault, match="epoch 2099 is more than 900 epochs before the current epoch 3000"):
        lookback_epoch(ChainEpoch(2099), ChainEpoch(3000))


def test_the_test_key_is_the_workers() -> None:
    assert public_key(1) == WORKER
