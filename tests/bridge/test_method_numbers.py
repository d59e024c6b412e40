"""Method numbers of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.method_numbers import INVOKE_EVM, MethodNameError, method_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("InvokeEVM", 3844450837),
        ("Receive", 3726118371),
        ("AuthenticateMessage", 2643134072),
        ("IsControllingAddress", 348244887),
        ("MarketNotifyDeal", 4186741094),
        ("SectorContentChanged", 2034386435),
        ("FRC46", 2233613279),
        ("Burn", 1434719642),
        ("GetSectorSize", 3858292296),
        ("MinerPower", 36284446),
        ("Constructor", 1),
    ],
)
def test_names_have_the_networks_numbers(name: str, number: int) -> None:
    assert method_number(name) == number


def test_invoke_evm_is_the_number_of_its_name() -> None:
    assert method_number("InvokeEVM") == INVOKE_EVM


@pytest.mark.parametrize("name", ["", "transfer", "1st", "With space", "Ünicode", "A-b", "Trailing\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(MethodNameError, match="is not a valid method name"):
        method_number(name)


@given(st.from_regex(r"[A-Z_][A-Za-z0-9_]{0,30}", fullmatch=True))
def test_every_name_has_a_number_of_its_own_range(name: str) -> None:
    number = method_number(name)
    assert number == 1 if name == "Constructor" else 1 << 24 <= number < 1 << 32
