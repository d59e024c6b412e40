"""Addresses in user input: an error names both valid forms."""

from collections.abc import Callable
from typing import Any

import pytest

from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from localnet import Network
from localnet.addresses import canonical_address, filecoin_address


@pytest.mark.parametrize("read", [filecoin_address, canonical_address])
@pytest.mark.parametrize("text", ["nonsense", "", "39Fd6e51aad88F6F4ce6aB8827279cffFb92266"])
def test_a_refusal_names_both_forms(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(AddressError, match=r"expected 0x and 40 hex digits, or f0\.\.\. to f4"):
        read(text)


@pytest.mark.parametrize("target", [5, None, ["0x00"], Network])
def test_object_without_address_is_rejected(target: Any) -> None:
    with pytest.raises(
        AddressError, match="is not an address: expected a string, 20 bytes, or an object with an address"
    ):
        filecoin_address(target)


def test_object_with_address_is_accepted_as_address() -> None:
    with Network() as network:
        assert filecoin_address(network.accounts[0]) == network.accounts[0].delegated
        assert filecoin_address(network.actors.at("f04")) == Address.id(4)
