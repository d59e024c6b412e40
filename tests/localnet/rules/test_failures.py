"""Failures in Python: error texts of the rules, and a contract's errors by name.

Ethereum's are those of anvil for the same calls (`execution reverted: not today`), and geth's `out of gas`.
"""

import pytest

from bridge.bindings import storagepower
from hypervisor.messages.address import Address
from hypervisor.types import POWER_ACTOR
from localnet import CallFailed, Network, TransactionFailed
from localnet.rules.failures import exit_text
from tests.localnet.conftest import ARTIFACTS, network_fixture

INBOX = ARTIFACTS / "Inbox.json"
MINER_FACTS = ARTIFACTS.parent.parent / "miner-facts" / "MinerFacts.json"

GAS = 5_000_000


network = network_fixture(lambda: Network(rules="ethereum"))


def test_a_failed_transaction_speaks_as_a_failed_call_does(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with pytest.raises(CallFailed) as called:
        inbox.call("refuse", "not today")
    with pytest.raises(TransactionFailed) as sent:
        inbox.send("refuse", "not today", gas_limit=GAS)
    assert str(called.value) == str(sent.value) == "execution reverted: not today"


def test_a_contracts_own_error_is_named(network: Network) -> None:
    facts = network.deploy(MINER_FACTS)
    with pytest.raises(CallFailed) as called:
        facts.call("facts", 7)
    with pytest.raises(TransactionFailed) as sent:
        facts.send("facts", 7, gas_limit=GAS)
    for failure in (called, sent):
        assert str(failure.value).startswith('execution reverted: Refused(7, "MinerRawPower", 16)')


def test_out_of_gas_is_reported(network: Network) -> None:
    inbox = network.deploy(INBOX)
    with pytest.raises(TransactionFailed) as sent:
        inbox.send("greet", "hello", gas_limit=23_000)
    assert str(sent.value) == "out of gas"


def test_reverted_creation_reports_revert(network: Network) -> None:
    code = bytes.fromhex("60006000fd")
    with pytest.raises(TransactionFailed, match=r"^execution reverted$"):
        network.send(None, 0, code, gas_limit=GAS)


def test_own_exit_code_of_native_actor_is_no_failure_of_contracts(network: Network) -> None:
    assert exit_text(network.rules, 33, native=False) == "execution reverted"
    assert exit_text(network.rules, 33, native=True) == ""
    assert exit_text(network.rules, 7, native=True) == "out of gas"


def test_builtin_actor_error_names_exit_code(network: Network) -> None:
    begin = "execution failed: exit 17 USR_NOT_FOUND"
    with pytest.raises(CallFailed) as asked:
        network.ask(Address.id(POWER_ACTOR), storagepower.miner_power(7))
    assert str(asked.value).startswith(begin)
    with pytest.raises(CallFailed) as called:
        network.actors.at("f04").call("MinerPower", 7)
    assert str(called.value).startswith(begin)
    with pytest.raises(TransactionFailed) as sent:
        network.invoke(Address.id(POWER_ACTOR), storagepower.miner_power(7))
    assert str(sent.value).startswith(begin)
