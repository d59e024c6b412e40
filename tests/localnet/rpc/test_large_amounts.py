"""Balances and values of 256 bits under Ethereum's rules, as in anvil, and Filecoin's smaller limits."""

from collections.abc import Iterator

import pytest

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed

MAX = (1 << 256) - 1
LARGE_AMOUNTS_BALANCE_OF_BOB = {"code": f"0x73{BOB[2:]}315f5260205ff3"}


@pytest.fixture(params=["fast", "py-evm"])
def ethereum(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum", evm=request.param) as network:
        yield Client(Node(network))


def test_an_account_holds_and_sends_up_to_256_bits(ethereum: Client) -> None:
    ethereum("anvil_setBalance", ALICE, hex(MAX))
    assert ethereum("eth_getBalance", ALICE, "latest") == hex(MAX)
    values = 2 * 10**27 + 1, 1 << 255
    for value in values:
        sent = ethereum("eth_sendTransaction", {"from": ALICE, "to": NOBODY, "value": hex(value)})
        assert ethereum("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert ethereum("eth_getTransactionByHash", sent)["value"] == hex(value)
        assert ethereum("debug_traceTransaction", sent, {"tracer": "callTracer"})["value"] == hex(value)
    assert ethereum("eth_getBalance", NOBODY, "latest") == hex(sum(values))


def test_a_balance_of_256_bits_can_be_supposed(ethereum: Client) -> None:
    supposed = {BOB: {"balance": hex(MAX)}, NOBODY: LARGE_AMOUNTS_BALANCE_OF_BOB}
    assert ethereum("eth_call", {"to": NOBODY}, "latest", supposed) == hex(MAX)
    paid = {"from": BOB, "to": NOBODY, "value": hex(MAX)}
    assert ethereum("eth_call", paid, "latest", supposed) == f"0x{0:064x}"
    payment = {"from": BOB, "to": NOBODY, "value": hex(1 << 250)}
    simulated = {"stateOverrides": {BOB: {"balance": hex(MAX)}}, "calls": [payment]}
    (block,) = ethereum("eth_simulateV1", {"blockStateCalls": [simulated]}, "latest")
    assert block["calls"][0]["status"] == "0x1"


def test_a_transaction_that_would_overflow_its_receiver_fails(ethereum: Client) -> None:
    ethereum("anvil_setBalance", NOBODY, hex(MAX))
    payment = {"from": ALICE, "to": NOBODY, "value": "0x5"}
    words = f"overflow payment: 5 wei would exceed the maximum balance of {NOBODY}"
    with pytest.raises(Failed, match=words):
        ethereum("eth_estimateGas", payment)
    sent = ethereum("eth_sendTransaction", {**payment, "gas": hex(50_000)})
    receipt = ethereum("eth_getTransactionReceipt", sent)
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(50_000))
    assert ethereum("eth_getBalance", NOBODY, "latest") == hex(MAX)


def test_filecoin_s_limits_say_why(fresh: Client) -> None:
    reason = r"0 to 2\^127 - 1; actors hold amounts as signed 128-bit numbers under Filecoin's rules"
    with pytest.raises(Failed, match=reason):
        fresh("anvil_setBalance", ALICE, hex(1 << 127))
    with pytest.raises(Failed, match=reason):
        fresh("eth_call", {"to": NOBODY}, "latest", {BOB: {"balance": hex(MAX)}})
    fresh("anvil_setBalance", ALICE, hex((1 << 127) - 1))
    with pytest.raises(Failed, match="more than all the FIL that can exist, 2000000000000000000000000000 attoFIL"):
        fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(2 * 10**27 + 1)})
    fresh("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(2 * 10**27)})
