"""Traces of type 4 transactions (lab `accounts`) in geth's and Filecoin nodes' forms."""

import pytest

from localnet.rpc.node import Node
from tests.labs.test_accounts import GAS, NOTES, OTHER, Stage, signed
from tests.localnet.rpc.conftest import Client
from tests.localnet.test_console import printing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "gas", "geth", "lotus", "returned"),
    [
        ("7 0 MSTORE 32 0 REVERT", GAS, "execution reverted", "Reverted", f"0x{7:064x}"),
        ("loop: 1 SLOAD POP @loop JUMP", 10**8, "out of gas", "out of gas", "0x"),
        ("INVALID", GAS, "invalid opcode: INVALID", "invalid instruction", "0x"),
    ],
)
def test_traces_of_a_failed_call_fail_as_the_receipt_does(
    stage: Stage, source: str, gas: int, geth: str, lotus: str, returned: str
) -> None:
    """The error text equals that of a type 2 transaction with the same call."""
    network, rpc = stage.network, Client(Node(stage.network))
    stage.code(OTHER, source)
    network.chain.keep_changes()
    good = stage.authorize(stage.bob, NOTES)
    receipt = network.receipt(network.submit(signed(network, good, to=OTHER, gas_limit=gas)))
    sent = f"0x{receipt.hash.hex()}"
    assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x0"
    struct = rpc("debug_traceTransaction", sent, {})
    assert (struct["failed"], struct["returnValue"]) == (True, returned)
    top = rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})
    (called,) = top["calls"]
    assert (top["error"], called["error"]) == (geth, geth)
    assert top.get("output", "0x") == returned
    assert [one.get("error") for one in rpc("trace_transaction", sent)] == [lotus, lotus]
    plain = rpc("eth_sendTransaction", {"from": top["from"], "to": f"0x{OTHER.hex()}", "gas": hex(gas)})
    assert rpc("debug_traceTransaction", plain, {"tracer": "callTracer"})["error"] == geth


def test_traces_of_a_call_that_succeeds_do(stage: Stage) -> None:
    network, rpc = stage.network, Client(Node(stage.network))
    stage.code(OTHER, "7 0 MSTORE 32 0 RETURN")
    network.chain.keep_changes()
    receipt = network.receipt(network.submit(signed(network, stage.authorize(stage.bob, NOTES), to=OTHER)))
    struct = rpc("debug_traceTransaction", f"0x{receipt.hash.hex()}", {})
    assert (struct["failed"], struct["returnValue"]) == (False, f"0x{7:064x}")


@pytest.mark.parametrize(
    ("source", "end", "advised"),
    [
        ("loop: 1 SLOAD POP @loop JUMP", "failed: its call: out of gas", True),
        ("0 0 REVERT", "failed: its call: ", False),
    ],
)
def test_node_reports_how_delegated_call_failed(
    stage: Stage, capsys: pytest.CaptureFixture[str], source: str, end: str, advised: bool
) -> None:
    """The message itself exits with 0, and its result only states that the call failed."""
    network = stage.network
    stage.code(OTHER, source)
    network.chain.keep_changes()
    with printing(network):
        receipt = network.receipt(network.submit(signed(network, stage.authorize(stage.bob, NOTES), to=OTHER)))
    assert end in str(receipt)
    output = capsys.readouterr().out
    assert end in output
    assert ("its limit of 100,000,000 gas is too low: call eth_estimateGas to get the required" in output) == advised
