"""Names of the public API that version 0.4.0 removes: the new names have the same results."""

import re
from typing import Any

import pytest

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress
from localnet import CallFailed, Network, TransactionFailed
from localnet.errors import NodeError
from localnet.traces.guest_profile import GuestProfile
from tests.localnet.conftest import ARTIFACTS

OWNER = EthAddress(bytes([0x11]) * 20)


def assert_renamed(owner: Any, old: str, new: str) -> None:
    text = f"{type(owner).__name__}.{old} is deprecated and will be removed in 0.4.0: use {new}"
    with pytest.warns(DeprecationWarning, match=re.escape(text)):
        assert getattr(owner, old) == getattr(owner, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("least_fee", "min_fee_cap"),
        ("usual_premium", "default_premium"),
        ("least_premium", "min_premium"),
        ("settled", "executed_head"),
    ],
)
def test_old_properties_of_networks_warn_and_return_the_new_ones(network: Network, old: str, new: str) -> None:
    assert_renamed(network, old, new)


def test_know_contract_warns_and_registers_the_contract(network: Network) -> None:
    interface = ContractInterface([])
    with pytest.warns(DeprecationWarning, match=r"Network\.know_contract is deprecated .*: use register_contract"):
        network.know_contract(OWNER, interface, "Vault")
    assert [(known.name, known.interface) for known in network.interfaces] == [("Vault", interface)]


def test_old_properties_of_errors_receipts_and_traces_warn_and_return_the_new_ones(network: Network) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    with pytest.raises(TransactionFailed) as failed:
        network.send(counter, data=bytes(4), gas_limit=10_000_000)
    with pytest.raises(CallFailed) as call:
        network.call(counter, bytes(4))
    receipt = failed.value.receipt
    assert failed.value.error_message
    assert_renamed(NodeError("the node refused", node_message="gone"), "words", "node_message")
    for error in (call.value, failed.value, receipt):
        assert_renamed(error, "words", "error_message")
    for tree in (receipt.trace, call.value.trace):
        assert_renamed(tree, "why", "failure_path")
    for trace in (receipt.trace, network.epoch_trace(1), GuestProfile((), (), 0, True)):
        assert_renamed(trace, "same", "reproduced")
