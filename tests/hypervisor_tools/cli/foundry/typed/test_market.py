"""Use of Market's generated wrapper; `test_contract_bindings` checks its types with mypy."""

import pytest
from web3 import Web3

from bridge.abi.abi import AbiMismatch
from bridge.ethereum.addresses import EthAddress
from localnet import CallFailed, Network, TransactionFailed
from localnet.contracts.typed_contract import Chain
from localnet.errors import NetworkError
from localnet.testing import reverts
from localnet.testing.web3_chain import TransactionReverted, Web3Chain
from localnet.testing.web3_provider import NetworkProvider
from tests.hypervisor_tools.cli.foundry.typed.market import (
    Closed,
    Marked,
    Market,
    MoneyOffer,
    Offer,
    Phased,
    Seller,
    Sold,
    TooLittle,
    Unknown,
)
from tests.localnet.conftest import network_fixture

CLOSED = 1


@pytest.fixture(params=["in-process", "web3.py"])
def chain(request: pytest.FixtureRequest, network: Network) -> Chain:
    return network if request.param == "in-process" else Web3Chain(Web3(NetworkProvider(network)))


@pytest.fixture
def market(chain: Chain, network: Network) -> Market:
    return Market.deploy(chain, network.accounts[3], 5, value=11)


@pytest.fixture
def offer(network: Network) -> Offer:
    seller = Seller(network.accounts[1].address, "free")
    return Offer(seller, MoneyOffer(price=100, open=True), (1, 2**64 - 1), (b"\1" * 32, bytes(32)))


def test_deployment_takes_typed_arguments_and_a_value(market: Market, network: Network) -> None:
    assert market.treasury().call() == network.accounts[3].address
    assert market.fee().call() == 5
    assert network.balance(market) == 11
    assert market.pair().call() == (network.accounts[3].address, 5)


def test_deployed_contract_is_bound_by_its_address(market: Market, chain: Chain) -> None:
    assert Market(chain, str(market)).address == Market(chain, market).address == market.address
    assert Market(chain, str(market)).fee().call() == 5


def test_structs_within_structs_come_back_as_they_went(market: Market, offer: Offer) -> None:
    market.list_(offer).send()
    assert market.look("free").call() == offer
    assert market.look("other").call().seller == Seller(EthAddress(bytes(20)), "")


def test_overloads_go_by_the_number_of_their_arguments(market: Market, offer: Offer) -> None:
    assert market.phase().call() == 0
    market.list_([offer], close=True).send()
    assert market.phase().call() == CLOSED
    market.list_(offer=offer).send()
    with pytest.raises(AbiMismatch, match=r"no overload of 'list_' accepts these 3 arguments"):
        market.list_([offer], True, 3)


def test_overloads_of_as_many_arguments_are_named_by_types(market: Market, network: Network) -> None:
    assert market.show_uint256(0).call() == "zero"
    assert market.show_address(network.accounts[0]).call() == "address"


def test_several_named_answers_are_a_named_tuple(market: Market) -> None:
    result = market.numbers(-(2**100), b"abcd").call()
    assert (result.twice, result.same, result.list_) == (-(2**101), b"abcd", (0, 7))
    twice, _, _ = result
    assert twice == result.twice


def test_names_that_python_keeps_get_an_underscore(market: Market) -> None:
    assert market.class_().call() == b"\xc1\xa5\x5e"
    assert market.events_(from_=False).call() is True


def test_call_returns_result_without_changing_state(market: Market, offer: Offer) -> None:
    market.list_(offer).send()
    assert market.buy("free").call(value=150) == 100
    assert market.look("free").call().terms.open


@pytest.mark.slow
def test_events_are_objects_in_their_order(market: Market, offer: Offer, network: Network) -> None:
    market.list_(offer).send()
    receipt = market.buy("free").send(value=100, sender=network.accounts[2])
    word = bytes(Web3.keccak(text="free"))  # an indexed text is its hash
    (sold,) = market.events(receipt, Sold)
    assert sold == Sold(from_=network.accounts[1].address, word=word, name="free", price=100)
    assert market.owner_of(word).call() == network.accounts[2].address
    phased = market.set_phase(CLOSED).send()
    assert market.events(phased) == [Phased(CLOSED), Marked()]
    assert market.events(phased, Sold) == []
    other = Market.deploy(market.chain, network.accounts[3], 5)
    assert other.events(phased) == [], "they are another contract's"


def test_custom_errors_are_objects(market: Market, offer: Offer, network: Network) -> None:
    with pytest.raises(CallFailed, match=r'Unknown\("free", 0x') as unknown:
        market.buy("free").call()
    assert market.error(unknown.value) == Unknown("free", network.accounts[0].address)
    market.list_(offer).send()
    with pytest.raises(CallFailed) as little:  # already the estimate of its gas
        market.buy("free").send(value=99)
    assert market.error(little.value) == TooLittle(paid=99, price=100)
    market.set_phase(CLOSED).send()
    with reverts("Closed", market):
        market.buy("free").call(value=100)


def test_transaction_failing_in_block_raises_error(network: Network, offer: Offer) -> None:
    market = Market.deploy(network, network.accounts[0], 0)
    market.list_([offer], True).send()
    with pytest.raises(TransactionFailed) as failed:
        market.buy("free").send(value=100, gas_limit=500_000_000)
    assert market.error(failed.value) == Closed()
    through_web3 = Market(Web3Chain(Web3(NetworkProvider(network))), market)
    with pytest.raises(TransactionReverted, match=r"transaction 0x[0-9a-f]{64} failed"):
        through_web3.buy("free").send(value=100, gas_limit=500_000_000)


def test_unknown_return_data_decodes_to_no_contract_error(market: Market, network: Network) -> None:
    no_contract = Market(market.chain, network.accounts[5])
    with pytest.raises(AbiMismatch):
        no_contract.fee().call()
    assert market.error(CallFailed(33, b"", "")) is None
    assert market.error(CallFailed(33, bytes.fromhex("08c379a0"), "")) is None


@pytest.mark.parametrize("value", [1 << 256, -1, "1"])
def test_mismatched_arguments_are_reported_before_sending(market: Market, value: int) -> None:
    with pytest.raises(AbiMismatch):
        market.show_uint256(value)
    with pytest.raises(AbiMismatch, match=r"expected a Market\.Offer, not 7"):
        market.list_(7)


def test_addresses_of_filecoin_are_read_too(market: Market, network: Network) -> None:
    other = Market.deploy(market.chain, network.accounts[4].native, 1, sender=network.accounts[1])
    actor = network.machine.state_tree.lookup_id(network.accounts[4].native)
    assert other.treasury().call() == network.address(f"f0{actor}")


network = network_fixture(lambda: Network())


def test_rejected_deployment_raises_network_error(network: Network) -> None:
    chain = Web3Chain(Web3(NetworkProvider(network)))
    with pytest.raises(NetworkError, match="INSUFFICIENT_FUNDS"):
        Market.deploy(chain, network.accounts[0], 0, value=10**30)
