"""The CBOR decoder of proof syscalls: round trips and arbitrary bytes; tests/golden/decoder.jsonl.gz has the rest."""

from hypothesis import given
from hypothesis import strategies as st

from hypervisor.proofs.inputs import InputKind, read_proof_input
from store.cid import Cid, cid_of
from store.codec import CodecError, encode, link

CID = cid_of(b"x")
LINK = encode(link(CID))
PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]


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
