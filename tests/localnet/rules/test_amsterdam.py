"""A local network under Amsterdam, a draft; expected gas by hand from the numbers of the proposals."""

import pytest

from localnet import Network
from localnet.rpc.node import Node
from localnet.traces.decoded_calls import describe
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed, client_fixture
from tests.runtimes.evm.assembler import assemble

RECEIVER = "0x" + "d5" * 20
SYSTEM = "0xfffffffffffffffffffffffffffffffffffffffe"
AMSTERDAM_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
STATE_OF_AN_ACCOUNT = 120 * 1530
EXECUTION = 12_000 + 3000 + 6000
"""Gas of a transaction with a value for another account: sender, receiver, value."""


rpc = client_fixture(lambda: Network(clock=Clock(), rules="ethereum", hardfork="amsterdam"))


def sender(rpc: Client) -> str:
    return str(rpc("eth_accounts")[0])


def pay(rpc: Client) -> str:
    return str(rpc("eth_sendTransaction", {"from": sender(rpc), "to": RECEIVER, "value": "0x5"}))


def test_a_new_account_pays_state_gas_as_gas_of_the_block(rpc: Client) -> None:
    receipt = rpc("eth_getTransactionReceipt", pay(rpc))
    assert int(receipt["gasUsed"], 16) == int(receipt["cumulativeGasUsed"], 16) == EXECUTION + STATE_OF_AN_ACCOUNT
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == STATE_OF_AN_ACCOUNT
    assert int(rpc("eth_getTransactionReceipt", pay(rpc))["gasUsed"], 16) == EXECUTION
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == EXECUTION


def test_a_transfer_to_the_sender_pays_for_the_sender_only(rpc: Client) -> None:
    me = sender(rpc)
    sent = rpc("eth_sendTransaction", {"from": me, "to": me, "value": "0x5", "gas": hex(12_000)})
    receipt = rpc("eth_getTransactionReceipt", sent)
    assert (receipt["gasUsed"], receipt["logs"]) == (hex(12_000), [])


def test_a_transfer_is_a_log_of_the_system_address(rpc: Client) -> None:
    (log,) = rpc("eth_getTransactionReceipt", pay(rpc))["logs"]
    ends = [f"0x{'00' * 12}{address[2:].lower()}" for address in (sender(rpc), RECEIVER)]
    assert (log["address"], log["topics"]) == (SYSTEM, [AMSTERDAM_TRANSFER, *ends])
    assert int(log["data"], 16) == 5
    assert rpc("eth_getLogs", {"address": SYSTEM, "fromBlock": "0x0"}) == [log]
    traced = rpc("debug_traceCall", {"from": sender(rpc), "to": RECEIVER, "value": "0x5"}, "latest", {
        "tracer": "callTracer", "tracerConfig": {"withLog": True},
    })  # fmt: skip
    assert [(each["address"], each["topics"]) for each in traced["logs"]] == [(SYSTEM, log["topics"])]


def test_an_estimate_covers_the_state_gas_of_code(rpc: Client) -> None:
    """14,000 bytes of code take more than 2^24 gas, of which execution uses little."""
    call = {"from": sender(rpc), "data": "0x" + assemble("14000 0 RETURN").hex()}
    estimate = rpc("eth_estimateGas", call)
    state = STATE_OF_AN_ACCOUNT + 14_000 * 1530
    assert 1 << 24 < state < int(estimate, 16) < state + 100_000
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**call, "gas": estimate}))
    assert receipt["status"] == "0x1"
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == state


def test_an_estimate_above_the_execution_gas_cap_fails(rpc: Client) -> None:
    """95,201 words of memory cost 3 * words + words^2 / 512 gas (yellow paper), which is more than 2^24."""
    call = {"from": sender(rpc), "data": "0x" + assemble(f"1 {95_200 * 32} MSTORE").hex()}
    assert 1 << 24 < 3 * 95_201 + 95_201**2 // 512 < 20_000_000
    with pytest.raises(Failed, match=r"gas required exceeds allowance: 30000000$"):
        rpc("eth_estimateGas", call)
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**call, "gas": hex(20_000_000)}))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(1 << 24))
    assert rpc("eth_call", {**call, "gas": hex(20_000_000)}, "latest") == "0x"


def test_the_fork_is_shown_as_a_draft(rpc: Client) -> None:
    assert rpc("eth_config")["current"]["draft"] == "2026-10-23"
    with Network(rules="ethereum") as network:
        assert "draft" not in Client(Node(network))("eth_config")["current"]


def test_the_deployment_factory_is_there(rpc: Client) -> None:
    """The code of EIP-7997, as in go-ethereum's params.DeterministicFactoryCode."""
    code = (
        "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182"
        "fd5b8082525050506014600cf3"
    )
    assert rpc("eth_getCode", "0x4e59b44847b379578588920cA78FbF26c0B4956C", "latest") == code


def test_a_trace_decodes_the_log_of_a_transfer(rpc: Client) -> None:
    (event,) = describe(rpc("hypervisor_trace", pay(rpc))["calls"][0], ()).events
    assert event.lower() == f"transfer(from={sender(rpc)}, to={RECEIVER}, amount=5)".lower()
