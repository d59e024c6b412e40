"""Text of precompile calls in traces equals forge's. Expected: forge 1.7.1's output for these calls."""

import pytest

from hypervisor_tools.soltest.trace.call_text import precompile_arguments, precompile_result

_ONE, _TWO, _THREE = (number.to_bytes(32, "big") for number in (1, 2, 3))
_HASH = bytes.fromhex("7521d1cadbcfa91eec65aa16715b94ffc1c9654ba57ea2ef1a2127bca1127a83")


@pytest.mark.parametrize(
    ("number", "data", "words"),
    [
        (1, _HASH + bytes(31) + b"\x1c" + _TWO + _THREE, f"0x{_HASH.hex()}, 28, 2, 3"),
        (5, _ONE * 3 + bytes([3, 2, 5]), "1, 1, 1, 0x03, 0x02, 0x05"),
        (6, _ONE + _TWO + _ONE + _TWO, "1, 2, 1, 2"),
        (7, _ONE + _TWO + _THREE, "1, 2, 3"),
        (8, b"", ""),
        (8, bytes(192), "[0, 0, 0, 0, 0, 0]"),
        (8, bytes(384), "[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]"),
        (9, bytes([0, 0, 0, 1]) + bytes(208) + b"\1", f"1, [{', '.join('0' * 8)}], [{', '.join('0' * 16)}], [0, 0], 1"),
        (11, bytes(256), f"0x{'00' * 128}, 0x{'00' * 128}"),
    ],
)  # fmt: skip
def test_argument_texts_equal_those_of_forge(number: int, data: bytes, words: str) -> None:
    assert precompile_arguments(number, data) == words


@pytest.mark.parametrize(("number", "data"), [
    (1, b"\1"), (2, b"abc"), (5, b""), (5, _ONE * 2 + b"\xff" * 32), (6, _ONE), (8, bytes(191)), (9, bytes(212)),
    (11, b"\2"), (300, b""),
])  # fmt: skip
def test_input_of_another_length_stands_as_it_is(number: int, data: bytes) -> None:
    assert precompile_arguments(number, data) is None


def test_result_texts_equal_those_of_forge() -> None:
    sum_ = bytes.fromhex(
        "030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3"
        "15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4"
    )
    assert precompile_result(6, sum_) == (
        "(1368015179489954701390400359078579693043519447331113978918064868415326638035, "
        "9918110051302171585080402603319702774565515993150576347155970296011118125764)"
    )
    assert [precompile_result(8, word) for word in (_ONE, bytes(32))] == ["true", "false"]
    assert precompile_result(1, bytes(12) + bytes.fromhex("7156526fbd7a3c72969b54f64e42c10fbb768c8a")) == (
        "0x7156526fbD7a3C72969B54f64e42c10fbb768C8a"
    )
    assert [precompile_result(number, b"") for number in (1, 2, 6, 8)] == [None] * 4
