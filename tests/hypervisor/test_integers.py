"""Big integers in chain encoding: a sign byte and a magnitude (ref-fvm shared/src/bigint)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import MessageError
from hypervisor.integers import decode_bigint, encode_bigint


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, ""),
        (1, "0001"),
        (-1, "0101"),
        (255, "00ff"),
        (-256, "010100"),
        (10**18, "000de0b6b3a7640000"),
        (14_660_210_602_831_582_403, "00cb7387dec23114c3"),  # from the network's serialization vectors
    ],
)
def test_numbers_have_the_networks_bytes(number: int, data: str) -> None:
    assert encode_bigint(number).hex() == data
    assert decode_bigint(bytes.fromhex(data)) == number


def test_signed_zero_and_leading_zeros_decode_as_on_network() -> None:
    assert decode_bigint(b"\x00") == decode_bigint(b"\x01") == decode_bigint(b"\x00\x00") == 0
    assert decode_bigint(b"\x00\x00\x07") == 7


@pytest.mark.parametrize("data", [b"\x02\x01", bytes(129), 5, None, "00", [0]])
def test_invalid_bigint_is_rejected(data: object) -> None:
    with pytest.raises(MessageError):
        decode_bigint(data)


def test_the_limit_is_128_bytes_sign_included() -> None:
    largest = (1 << 127 * 8) - 1
    assert decode_bigint(encode_bigint(largest)) == largest
    with pytest.raises(MessageError, match="too big"):
        encode_bigint(largest + 1)


@given(st.integers(-(1 << 1000), 1 << 1000))
def test_every_number_survives(number: int) -> None:
    assert decode_bigint(encode_bigint(number)) == number
