"""RLE+ bitfields. The encodings were executed on the official actors; the others follow from the specification."""

import time

import pytest

from store.trees.bitfield import BitfieldError, decode, decode_members, encode_members
from store.trees.bitfield import encode as encode_bitfield

CASES = [((), ""), ((0,), "0c"), ((0, 1), "54"), ((0, 2), "3c")]


@pytest.mark.parametrize(("members", "encoded"), CASES)
def test_members_are_encoded_and_decoded(members: tuple[int, ...], encoded: str) -> None:
    assert encode_members(members).hex() == encoded
    assert encode_members([*members, *members]).hex() == encoded
    assert decode_members(bytes.fromhex(encoded), 2) == list(members)


@pytest.mark.parametrize("members", [range(3, 40), (1 << 63,), (5, 1 << 40), range(15), range(16)])
def test_long_runs_are_decoded_again(members: list[int]) -> None:
    assert decode_members(encode_members(members), len(members)) == list(members)


def test_a_long_run_is_refused_before_it_is_expanded() -> None:
    run = encode_bitfield([0, 1 << 62])
    assert (decode(run), len(run)) == ([0, 1 << 62], 10)  # 3 bits, 00, and a varint of 9 bytes
    with pytest.raises(BitfieldError, match="more than 10000 members"):
        decode_members(run, 10_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("01", "unknown version"),
        ("0c00", "not the shortest"),
        ("00" + "ff" * 12, "more than 10 bytes|not the shortest"),
    ],
)
def test_malformed_bitfields_are_refused(data: str, words: str) -> None:
    with pytest.raises(BitfieldError, match=words):
        decode_members(bytes.fromhex(data), 100)


@pytest.mark.slow
def test_the_time_to_decode_grows_with_the_size() -> None:
    """Quadratic time would be minutes for the bitfields that a miner's state may hold."""
    runs = [1] * 800_000
    begun = time.process_time()
    assert decode(encode_bitfield(runs)) == runs
    assert time.process_time() - begun < 4
