"""Execution traces in the shapes of Lotus (chain/types/execresult.go), with the machine's charges in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypervisor.address import Address
from hypervisor.tracing import CallEnded, CallStarted
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from localnet.rpc.lotus_shapes import address_json
from localnet.rpc.lotus_traces import NO_CALL, ExecutionTraces
from tests.localnet.rpc.asking import ALICE, INBOX, calldata, deploy
from tests.localnet.rpc.conftest import Client


def flat(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield trace
    for call in trace["Subcalls"] or ():
        yield from flat(call)


def replayed(rpc: Client, transaction: str) -> dict[str, Any]:
    cid = rpc("Filecoin.EthGetMessageCidByTransactionHash", transaction)
    found: dict[str, Any] = rpc("Filecoin.StateReplay", None, cid)
    assert found["MsgCid"] == cid
    return found


def test_charges_are_in_order_from_the_message_on_and_sum_to_the_gas(rpc: Client) -> None:
    address = deploy(rpc, INBOX)
    sent = rpc("eth_sendTransaction", {"from": ALICE, "to": address, "data": calldata(INBOX, "greet", "hello")})
    found = replayed(rpc, sent)
    trace = found["ExecutionTrace"]
    assert trace["GasCharges"][0]["Name"] == "OnChainMessage"
    charges = [charge for call in flat(trace) for charge in call["GasCharges"] or ()]
    used = found["MsgRct"]["GasUsed"]
    assert used <= sum(charge["tg"] for charge in charges) < used + len(charges)  # each amount is rounded up
    assert all(charge["tg"] <= charge["cg"] + charge["sg"] <= charge["tg"] + 1 for charge in charges)
    assert {operation["Op"] for operation in trace["IpldOps"]} == {"Get", "Put"}
    assert len({charge["Name"] for charge in trace["GasCharges"]}) < len(trace["GasCharges"])


def test_a_bare_send_has_an_invoked_actor_as_it_was(rpc: Client) -> None:
    to = rpc.node.network.accounts[1]
    before = rpc("Filecoin.StateGetActor", address_json(to.native), None)
    message = {"To": address_json(to.native), "From": address_json(rpc.node.network.accounts[0].native), "Value": "7"}
    pushed = rpc("Filecoin.MpoolPushMessage", message, None)
    trace = rpc("Filecoin.StateReplay", None, pushed["CID"])["ExecutionTrace"]
    assert trace["InvokedActor"]["State"] == before
    assert trace["Subcalls"] is None
    assert "IpldOps" not in trace
    assert "Logs" not in trace
    # by hand from ref-fvm's gas/price_list.rs: the sender is preloaded, the receiver of a message was looked up
    message_gas = trace["GasCharges"][0]
    assert (message_gas["Name"], message_gas["cg"]) == ("OnChainMessage", 38_863)
    assert (message_gas["sg"] - 475_000 - 36 * 1_300) % 1_300 == 0
    rest = [(charge["Name"], charge["tg"], charge["cg"], charge["sg"]) for charge in trace["GasCharges"][1:]]
    assert rest == [("OnValueTransfer", 6_000, 6_000, 0), ("OnActorUpdate", 475_000, 0, 475_000)]


def test_what_pays_nothing_has_costs_of_zero_and_no_message(rpc: Client) -> None:
    message = {"To": "f01", "From": address_json(rpc.node.network.accounts[0].native)}
    called = rpc("Filecoin.StateCall", message, None)
    rpc("evm_mine")
    head = rpc("Filecoin.ChainHead")
    *_, reward, cron = rpc("Filecoin.StateCompute", head["Height"], None, head["Cids"])["Trace"]
    for found in (called, reward, cron):
        assert found["GasCost"]["Message"] is None
        assert {cost for name, cost in found["GasCost"].items() if name != "Message"} == {"0"}
        assert found["MsgCid"] == found["Msg"]["CID"]
    assert [found["ExecutionTrace"]["Msg"]["To"] for found in (reward, cron)] == ["t02", "t03"]


def test_a_send_that_could_not_be_made_has_the_exit_code_of_its_refusal() -> None:
    start = CallStarted(ActorID(100), Address.id(ActorID(101)), MethodNumber(0), TokenAmount(5), b"", 0, False, 1_500)
    for error, code in (
        ("INSUFFICIENT_FUNDS", 6),
        ("NOT_FOUND", 5),
        ("READ_ONLY", 10),
        ("OUT_OF_GAS", 7),
        ("FATAL", 10),
    ):
        traces = ExecutionTraces()
        traces.event(start)
        traces.event(CallEnded({"OUT_OF_GAS": 7, "FATAL": 10}.get(error, 0), b"", 0, 0, error))
        (trace,) = traces.roots
        assert (trace["MsgRct"]["ExitCode"], trace["Msg"]["GasLimit"]) == (code, 2)
        assert {*NO_CALL} == {*trace}
