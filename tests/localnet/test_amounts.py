"""Amounts of money in user input."""

import pytest

from hypervisor.errors import InvalidInput
from localnet.contracts.amounts import parse_amount, payment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5fil", 15 * 10**17),
        ("1.5", 15 * 10**17),
        ("1.50 FIL", 15 * 10**17),
        ("0", 0),
        ("20nanofil", 2 * 10**10),
        ("1gwei", 10**9),
        ("1ether", 10**18),
        ("0.000000000000000001", 1),
        ("1000attofil", 1000),
        ("7wei", 7),
        ("5.0attofil", 5),
    ],
)
def test_units_are_decimal_shifts(text: str, expected: int) -> None:
    assert parse_amount(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "fil", "-1", "1e18", "1,5", "1.", ".5", "0x10", "1 bitcoin", "1.5attofil", "1.0000000001gwei", "٣", "9" * 41],
)
def test_invalid_amount_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_amount(text)


@pytest.mark.parametrize("text", ["1", "007", " 12 "])
def test_money_to_send_is_no_bare_whole_number(text: str) -> None:
    bare = text.strip()
    with pytest.raises(InvalidInput, match=f"write {bare}fil, or {bare}wei"):
        payment(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("000", 0), ("1.0", 10**18), ("1wei", 1), ("2fil", 2 * 10**18)]
)
def test_money_to_send_has_a_unit_or_decimals_or_is_0(text: str, expected: int) -> None:
    assert payment(text) == expected
