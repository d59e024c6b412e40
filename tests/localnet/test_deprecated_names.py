"""Names of Network that version 0.4.0 removes: the new names have the same results."""

from __future__ import annotations

import pytest

from bridge.abi import ContractInterface
from bridge.addresses import EthAddress
from localnet import CallFailed, Network, TransactionFailed
from localnet.errors import NodeError
from tests.localnet.conftest import ARTIFACTS

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


def test_words_of_errors_and_receipts_are_their_messages(network: Network) -> None:
    """Version 0.4 removes `words`."""
    assert NodeError("the node refused", node_message="gone").words == "gone"
    assert CallFailed(33, b"", "reverted").words == "reverted"
    with pytest.raises(TransactionFailed) as failed:
        network.send(network.deploy(ARTIFACTS / "Counter.json"), data=bytes(4), gas_limit=10_000_000)
    assert failed.value.words == failed.value.receipt.words == failed.value.error_message
    assert failed.value.error_message
