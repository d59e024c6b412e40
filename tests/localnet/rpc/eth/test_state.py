"""Gas estimates with refunds: the required gas limit exceeds the gas used.

The figures are anvil's, whose search may stop one gas above the minimum. By hand: 21,000 for a transaction, 25,000 for
each authorization, 5,000 for a cleared slot, refunds of 12,500 and 4,800.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account as EthAccount

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB
from tests.localnet.rpc.conftest import Client, Failed, refusal

SETTER = "0x" + "cc" * 20
SETTER_CODE = "0x6020356000355500"
"""Code that stores the second word of the calldata in the slot named by the first."""
CLEAR = "0x" + "00" * 64


@pytest.fixture(params=["py-evm", "fast"])
def estimates_rpc(request: pytest.FixtureRequest) -> Iterator[Client]:
    with Network(clock=Clock(), rules="ethereum", evm=request.param) as network:
        client = Client(Node(network))
        client("anvil_setCode", SETTER, SETTER_CODE)
        client("anvil_setStorageAt", SETTER, "0x0", f"0x{7:064x}")
        yield client


def authorizations(rpc: Client, count: int, nonce: int = 0) -> list[dict[str, str]]:
    """Return authorizations of the accounts after the first one, each for the setter."""
    found = []
    for account in rpc.node.network.accounts[1 : 1 + count]:
        signed = EthAccount.from_key(account.private_key).sign_authorization(
            {"chainId": 31337, "address": SETTER, "nonce": nonce}
        )
        numbers = {"yParity": signed.y_parity, "r": signed.r, "s": signed.s, "nonce": nonce, "chainId": 31337}
        found.append({"address": SETTER, **{name: hex(number) for name, number in numbers.items()}})
    return found


@pytest.mark.parametrize(
    ("count", "to", "data", "gas"),
    [
        (0, ALICE, "0x", 21_000),
        (1, ALICE, "0x", 46_000),
        (2, ALICE, "0x", 71_000),
        (0, SETTER, CLEAR, 0x669C),
        (1, SETTER, CLEAR, 0xC844),
        (2, SETTER, CLEAR, 0x129EC),
        (0, SETTER, "0x" + "ff" * 2_000, 0x18A88),
    ],
)
def test_an_estimate_suffices_though_gas_is_refunded(
    estimates_rpc: Client, count: int, to: str, data: str, gas: int
) -> None:
    request: dict[str, Any] = {"from": ALICE, "to": to, "data": data}
    if count:
        request["authorizationList"] = authorizations(estimates_rpc, count)
    assert int(estimates_rpc("eth_estimateGas", request), 16) == gas
    sent = estimates_rpc("eth_sendTransaction", {**request, "gas": hex(gas)})
    receipt = estimates_rpc("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= gas


def test_ineffective_authorization_costs_same_gas(estimates_rpc: Client) -> None:
    request = {"from": ALICE, "to": ALICE, "authorizationList": authorizations(estimates_rpc, 1, nonce=7)}
    assert int(estimates_rpc("eth_estimateGas", request), 16) == 46_000


def test_insufficient_gas_is_reported(estimates_rpc: Client) -> None:
    request = {"from": ALICE, "to": ALICE, "authorizationList": authorizations(estimates_rpc, 1), "gas": hex(45_999)}
    with pytest.raises(Failed, match="intrinsic gas too low"):
        estimates_rpc("eth_estimateGas", request)


def test_lotus_gas_estimate_stays_within_transaction_limit(estimates_rpc: Client) -> None:
    owner = estimates_rpc("Filecoin.WalletDefaultAddress")
    assert estimates_rpc("Filecoin.GasEstimateGasLimit", {"To": "f099", "From": owner, "Value": "1"}, None) == 21_000


@pytest.mark.parametrize(
    ("gas", "error"),
    [
        (1_000, "-32000: gas required exceeds allowance (1000)"),
        (1_000_000, "-32003: out of gas: gas required exceeds: 1000000"),
    ],
)
def test_filecoins_estimates_fail_with_lotus_texts(gas: int, error: str) -> None:
    """Texts and codes: lotus#13911, also in Forest 0.39."""
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        request = {"from": rpc("eth_accounts")[0], "to": "0x" + "77" * 20, "gas": hex(gas)}
        with pytest.raises(Failed) as failed:
            rpc("eth_estimateGas", request)
        assert str(failed.value) == error


def test_a_state_call_has_its_own_gas_limit() -> None:
    """Text: Forest 0.39 (`state_call_gas_limit`)."""
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        request = {"To": "f04", "From": "f0100", "Method": 2, "Value": "0", "GasLimit": 10_000}
        assert rpc("Filecoin.StateCall", request, None)["MsgRct"]["ExitCode"] == 7
        with pytest.raises(Failed, match="StateCall gas limit 10000000001 exceeds configured cap 10000000000"):
            rpc("Filecoin.StateCall", {**request, "GasLimit": 10_000_000_001}, None)


POOR = "0x" + "77" * 20


@pytest.mark.parametrize(
    ("price", "value", "error"),
    [
        (10**9, 0, "-32003: out of gas: gas required exceeds: 1000000"),
        (2 * 10**10, 0, "-32000: gas required exceeds allowance (50000)"),
        (10**15 + 1, 0, "-32000: gas required exceeds allowance (0)"),
        (1, 10**15 + 1, "-32003: insufficient funds for gas * price + value"),
        (10**8, 10**15 - 10**14, "-32003: out of gas: gas required exceeds: 1000000"),
    ],
)
def test_a_price_limits_an_estimate_to_what_the_sender_affords(price: int, value: int, error: str) -> None:
    """Codes and texts: lotus#13911, also in Forest 0.39. The sender has 10^15 attoFIL; the transfer needs 5.7 M gas."""
    with Network(clock=Clock()) as network:
        rpc = Client(Node(network))
        rpc("anvil_setBalance", POOR, hex(10**15))
        request = {"from": POOR, "to": "0x" + "78" * 20, "value": hex(value)}
        for name in ("gasPrice", "maxFeePerGas"):
            with pytest.raises(Failed) as failed:
                rpc("eth_estimateGas", {**request, name: hex(price)})
            assert str(failed.value).startswith(error)
        assert int(rpc("eth_estimateGas", {**request, "value": "0x1"}), 16) > 10**6


def test_an_affordable_estimate_is_that_without_a_price(estimates_rpc: Client) -> None:
    """The balance pays for a transfer, but not for the block's gas at this price, as geth and anvil handle it."""
    estimates_rpc("anvil_setBalance", POOR, hex(10**15))
    request = {"from": POOR, "to": ALICE, "value": "0x1", "gasPrice": hex(10**10)}
    assert int(estimates_rpc("eth_estimateGas", request), 16) == 21_000


LATER, BELOW = "0x" + "dd" * 20, "0x" + "ee" * 20
STORES_LATER = "0x5f35421160085700" + "5b60015f5500"
"""Code that writes slot 0 if TIMESTAMP is after the calldata's word."""
FAILS_AT_GENESIS = "0x4315600657005bfe"
"""Code that executes INVALID if NUMBER is 0."""


@pytest.mark.parametrize("at", [(), ("pending",)])
def test_estimate_is_that_of_the_next_block(estimates_rpc: Client, at: tuple[str, ...]) -> None:
    """Its number and time apply by default; figures of anvil 1.7.1."""
    estimates_rpc("anvil_setCode", BELOW, FAILS_AT_GENESIS)
    assert estimates_rpc("eth_estimateGas", {"to": BELOW}, *at) == "0x521a"
    for other in (("latest",), (*(at or (None,)), {}, {"number": "0x0"})):
        with refusal(3, "INVALID"):
            estimates_rpc("eth_estimateGas", {"to": BELOW}, *other)
    estimates_rpc("evm_mine", 0x7B0A2B30)
    estimates_rpc("anvil_setCode", LATER, STORES_LATER)
    stores = {"from": ALICE, "to": LATER, "data": f"0x{0x7B0A2B30:064x}"}
    assert estimates_rpc("eth_estimateGas", stores, *at) == "0xa929"
    assert estimates_rpc("eth_estimateGas", stores, "latest") == "0x53c0"
    sent = estimates_rpc("eth_sendTransaction", stores)
    assert estimates_rpc("eth_getTransactionByHash", sent)["gas"] == "0xa929"
    assert estimates_rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_pool_counts_for_default_and_pending_estimates_only(estimates_rpc: Client) -> None:
    """Figures of anvil 1.7.1: 0x5b9a for a slot that a pending transaction has written, else 0xa8f1."""
    estimates_rpc("anvil_setCode", SETTER, "0x600035600055")
    estimates_rpc("evm_setAutomine", False)
    write = {"from": ALICE, "to": SETTER, "data": f"0x{10:064x}"}
    estimates_rpc("anvil_setStorageAt", SETTER, "0x0", f"0x{0:064x}")
    estimates_rpc("eth_sendTransaction", {**write, "gas": "0x186a0"})
    head = estimates_rpc("eth_getBlockByNumber", "latest", False)
    for sender in (ALICE, BOB):
        request = {**write, "from": sender}
        assert {estimates_rpc("eth_estimateGas", request, *at) for at in ((), (None,), ("pending",))} == {"0x5b9a"}
        for at in ("latest", "safe", head["number"], head["hash"], {"blockNumber": head["number"]}):
            assert estimates_rpc("eth_estimateGas", request, at) == "0xa8f1", at
    overrides = {SETTER: {"stateDiff": {f"0x{0:064x}": f"0x{1:064x}"}}}
    assert estimates_rpc("eth_estimateGas", write, "latest", overrides) == hex(21_140 + 9 + 5_000)
