"""Notebook views: one line, or a small table that states what it omits."""

from typing import Any

import pytest

from bridge.abi.abi import PrintedAddress
from bridge.bindings import init
from hypervisor.text import WIDTH, PrintedAmount, PrintedCid
from hypervisor.types import whole_number
from localnet import Artifact, CallFailed, GenesisOptions, Network
from localnet.state.inspection import PathNotFound
from store.cid import Cid
from store.codec import link
from tests.hypervisor.test_text import Page
from tests.localnet.conftest import network_fixture

ARTIFACT = "examples/solidity/artifacts/DataCapName.json"


network = network_fixture(lambda: Network(), scope="module")


@pytest.fixture(scope="module")
def values(network: Network) -> dict[str, Any]:
    """Return public values after a contract has called a native actor."""
    contract = network.deploy(ARTIFACT)
    receipt = contract.send("keep")
    with pytest.raises(CallFailed) as failure:
        network.call(contract, b"\xff" * 4)
    return {
        "network": network,
        "account": network.accounts[0],
        "contract": contract,
        "artifact": Artifact.load(ARTIFACT),
        "receipt": receipt,
        "execution": receipt.execution,
        "tipset": receipt.tipset,
        "trace": receipt.trace,
        "failed call": failure.value.trace,
        "epoch trace": network.epoch_trace(network.block_number),
        "changes": network.changes(receipt.hash),
        "epoch changes": network.epoch_changes(network.block_number),
        "actors": network.inspect(),
        "state": network.inspect("f07/state"),
        "field": network.inspect("f07/balance"),
        "native actor": network.actors.at("f04"),
        "genesis": GenesisOptions(miners=[1]),
    }


def test_every_value_fits_a_line(values: dict[str, Any]) -> None:
    assert {name: shown for name, value in values.items() if len(shown := repr(value)) > WIDTH} == {}


def test_addresses_and_balances_print_as_text(network: Network, values: dict[str, Any]) -> None:
    assert repr(values["contract"].address).lower() == values["trace"].calls[0]["address"]
    assert repr(network.accounts[0].address) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"  # as every wallet has it
    assert repr(network.balance(network.accounts[1])) == "10000 FIL"
    assert repr(network.address(network.accounts[0])) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_a_balance_can_be_sent_and_set_and_stays_a_number(network: Network) -> None:
    poor, rich = network.accounts[2], network.accounts[3]
    amount = network.balance(network.accounts[1]) - network.balance("f0999")
    assert isinstance(amount, PrintedAmount)
    network.set_balance(rich, amount)
    receipt = network.send(poor, PrintedAmount(3), sender=rich)
    assert receipt.candidate.bare.value == 3
    assert receipt.trace.calls[0]["value"] == "3"
    assert type(whole_number(amount, "an amount")) is int
    assert network.inspect("f0105/balance").value.isdecimal()


def test_printed_values_are_accepted_as_native_method_params(network: Network) -> None:
    """Schemas and bindings check the type of a value, which is a subclass of bytes or int."""
    account, code = network.accounts[0], PrintedCid(network.machine.manifest.code("multisig"))
    assert type(account.address) is PrintedAddress
    assert init.exec(code, account.address) == init.exec(Cid(bytes(code)), bytes(account.address))
    interface = network.actors.at("f01").interface
    given = {"code_cid": link(code), "constructor_params": account.address}
    plain = {"code_cid": link(Cid(bytes(code))), "constructor_params": bytes(account.address)}
    assert interface.params("Exec", given) == interface.params("Exec", plain)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("receipt", "block2"),
        ("trace", "wasm f07 datacap Name()"),
        ("failed call", "exit EVM_CONTRACT_REVERTED"),
        ("epoch trace", "EpochTick"),
        ("changes", "f099 accountbalance"),
        ("epoch changes", "f02 reward"),
        ("actors", "f07datacap0"),
        ("state", "governor"),
        ("field", "f07/balance0"),
    ],
)
def test_views_are_whole_pages_of_the_facts(values: dict[str, Any], name: str, words: str) -> None:
    assert words in Page(values[name]._repr_html_()).words


def test_changes_are_those_that_the_transaction_made(network: Network, values: dict[str, Any]) -> None:
    (nonce,) = [each for each in values["changes"] if each.actor == "f0110" and each.path == "nonce"]
    assert (nonce.before, nonce.after) == ("1", "2")
    cut = network.changes(values["receipt"].hash, most=2)
    assert (len(cut), cut.complete) == (2, False)
    assert cut[0] == values["changes"][0]
    assert "The first 2 by actor ID" in Page(cut._repr_html_()).words


def test_a_state_is_cut_with_a_word_how_to_see_the_whole(network: Network) -> None:
    found = network.inspect(most=5)
    words = Page(found._repr_html_()).words
    assert (len(found.value), found.complete) == (5, False)
    assert "5 entries are shown, and more are there" in words
    assert "`hypervisor inspect DIR --limit N`" in words
    assert network.inspect("f07")["type"] == "datacap"
    with pytest.raises(PathNotFound, match="there is no actor f0999999"):
        network.inspect("f0999999")


def test_charges_of_a_trace_are_those_of_its_calls_largest_first(values: dict[str, Any]) -> None:
    charges = values["trace"].charges
    assert list(charges.values()) == sorted(charges.values(), reverse=True)
    outer = values["trace"].calls[0]
    assert -(-sum(charges.values()) // 1000) == outer["gas"]
