"""The CBOR decoder of proof syscalls; the results are those of ref-fvm in the golden vectors named by each row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.kernel.proof_inputs import InputKind, read_proof_input
from store.cid import Cid, cid_of
from store.codec import CodecError, encode, link

CID = cid_of(b"x")
LINK = encode(link(CID))
PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]
PIECE = b"\x82\x19\x08\x00" + LINK
BYTES = (InputKind.BYTES,)
OCTETS = [InputKind.OCTET]


@pytest.mark.parametrize(
    ("data", "shape", "value"),
    [
        pytest.param(b"\x98\x01" + PIECE, PIECES, [[2048, CID]], id="padded-array-length"),
        pytest.param(b"\x01" + PIECE, PIECES, [[2048, CID]], id="number-as-list"),
        pytest.param(b"\x18\x01" + PIECE, PIECES, [[2048, CID]], id="number-as-list-padded"),
        pytest.param(b"\x81\x02" + PIECE[1:], PIECES, [[2048, CID]], id="number-as-tuple"),
        pytest.param(b"\x81\x82\x1b" + (2048).to_bytes(8) + LINK, PIECES, [[2048, CID]], id="padded-size-8"),
        pytest.param(b"\xd9\x00\x2a" + LINK[2:], InputKind.LINK, CID, id="cid-padded-tag"),
        pytest.param(b"\x18\x2a" + LINK[2:], InputKind.LINK, CID, id="number-as-tag"),
        pytest.param(b"\x58\x2a" + LINK[2:], InputKind.LINK, CID, id="bytes-as-tag"),
        pytest.param(b"\x98\x2a" + LINK[2:], InputKind.LINK, CID, id="array-as-tag"),
        pytest.param(b"\xd8\x2a\x59\x00\x27" + LINK[4:], InputKind.LINK, CID, id="cid-padded-length"),
        pytest.param(b"\xd8\x2a\x5f" + LINK[2:] + b"\xff", InputKind.LINK, CID, id="cid-indefinite"),
        pytest.param(b"\xd8\x2a\x58\x28" + LINK[4:] + b"\x07", InputKind.LINK, CID, id="cid-trailing"),
        pytest.param(b"\x81\x03abc", BYTES, [b"abc"], id="short-number-as-bytes"),
        pytest.param(b"\x81\x5f\x01a\x02bc\xff", BYTES, [b"abc"], id="pieces-with-heads-of-numbers"),
        pytest.param(b"\x81\x5f\xff", BYTES, [b""], id="no-pieces"),
        pytest.param(b"\x81\x5f\x5f\x41a\xff\x41b\xff", BYTES, [b"ab"], id="pieces-in-pieces"),
        pytest.param(b"\x81" + b"\x5f" * 255 + b"\x41a" + b"\xff" * 255, BYTES, [b"a"], id="depth-255"),
        pytest.param(b"\x81\x18\x05", OCTETS, [5], id="octets/padded"),
        pytest.param(b"\x03\x01\x02\x03", OCTETS, [1, 2, 3], id="octets/number-as-list"),
        pytest.param(b"\x3b" + b"\x7f" + b"\xff" * 7, InputKind.SIGNED, -(1 << 63), id="type-most-negative"),
    ],
)
def test_laxer_than_dag_cbor_where_the_network_is(data: bytes, shape: Any, value: object) -> None:
    assert read_proof_input(data, shape) == value


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        pytest.param(b"", PIECES, id="nothing"),
        pytest.param(b"\x81" + PIECE + b"\x00", PIECES, id="trailing"),
        pytest.param(b"\x9f" + PIECE + b"\xff", PIECES, id="indefinite-list"),
        pytest.param(b"\x20" + PIECE, PIECES, id="negative-as-list"),
        pytest.param(b"\x41" + PIECE, PIECES, id="bytes-as-list"),
        pytest.param(b"\xc1\x81" + PIECE, PIECES, id="list-tagged"),
        pytest.param(b"\x81\x81\x19\x08\x00", PIECES, id="tuple-too-short"),
        pytest.param(b"\x81\x83" + PIECE[1:] + b"\x00", PIECES, id="tuple-too-long"),
        pytest.param(b"\x20", InputKind.UNSIGNED, id="size-negative"),
        pytest.param(b"\xf6", InputKind.UNSIGNED, id="size-null"),
        pytest.param(b"\x1c", InputKind.UNSIGNED, id="size-reserved"),
        pytest.param(b"\x1b" + b"\xff" * 8, InputKind.SIGNED, id="type-too-large"),
        pytest.param(b"\x3b\x80" + bytes(7), InputKind.SIGNED, id="type-too-negative"),
        pytest.param(b"\x38\x2a" + LINK[2:], InputKind.LINK, id="negative-as-tag"),
        pytest.param(b"\xdf" + LINK[2:], InputKind.LINK, id="tag-indefinite"),
        pytest.param(LINK[2:], InputKind.LINK, id="cid-untagged"),
        pytest.param(b"\xd8\x2a\x18\x27" + LINK[4:], InputKind.LINK, id="number-as-bytes-of-cid"),
        pytest.param(b"\xd8\x2a\x41\x00", InputKind.LINK, id="cid-zero-only"),
        pytest.param(b"\xd8\x2a\x40", InputKind.LINK, id="cid-empty"),
        pytest.param(b"\x81\x5f\x61a\xff", BYTES, id="piece-of-text"),
        pytest.param(b"\x81\x5f\x41a", BYTES, id="unfinished"),
        pytest.param(b"\x81" + b"\x5f" * 256 + b"\x41a" + b"\xff" * 256, BYTES, id="depth-256"),
        pytest.param(b"\x81\x5b\xff" + bytes(7) + b"a", BYTES, id="huge-length"),
        pytest.param(b"\x81\x19\x00\x05", OCTETS, id="octets/padded-16"),
        pytest.param(b"\x81\x20", OCTETS, id="octets/negative"),
        pytest.param(b"\x81\xf5", OCTETS, id="octets/true"),
        pytest.param(b"\x9b" + b"\xff" * 8, OCTETS, id="huge-list"),
    ],
)
def test_refused_where_the_network_refuses(data: bytes, shape: Any) -> None:
    with pytest.raises(CodecError):
        read_proof_input(data, shape)


@given(
    st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=40))),
)
def test_canonical_cbor_is_read_as_it_was_written(rows: list[tuple[int, int, bytes]]) -> None:
    shape = [(InputKind.UNSIGNED, InputKind.SIGNED, InputKind.BYTES, InputKind.LINK)]
    data = encode([[*row, link(CID)] for row in rows])
    assert read_proof_input(data, shape) == [[*row, CID] for row in rows]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for shape in (PIECES, [InputKind.BYTES], InputKind.LINK, (InputKind.SIGNED, [InputKind.OCTET])):
        try:
            read_proof_input(data, shape)
        except CodecError:
            continue


def test_link_cid_is_read_from_its_leading_bytes() -> None:
    assert isinstance(read_proof_input(LINK, InputKind.LINK), bytes)
    assert read_proof_input(LINK, InputKind.LINK) == Cid(LINK[5:])
