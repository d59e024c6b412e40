"""Names of Network that version 0.4.0 removes: the new names have the same results."""

from __future__ import annotations

import pytest

from bridge.abi import ContractInterface
from bridge.addresses import EthAddress
from localnet import Network

OWNER = EthAddress(bytes([0x11]) * 20)


@pytest.mark.parametrize(
    ("old", "new"),
    [("least_fee", "min_fee_cap"), ("usual_premium", "default_premium"), ("least_premium", "min_premium")],
)
def test_old_properties_warn_and_return_the_new_ones(network: Network, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"Network\.{old} is now Network\.{new}, until 0\.4\.0"):
        assert getattr(network, old) == getattr(network, new)


def test_know_contract_warns_and_registers_the_contract(network: Network) -> None:
    interface = ContractInterface([])
    with pytest.warns(DeprecationWarning, match=r"Network\.know_contract is now Network\.register_contract"):
        network.know_contract(OWNER, interface, "Vault")
    assert [(known.name, known.interface) for known in network.interfaces] == [("Vault", interface)]
