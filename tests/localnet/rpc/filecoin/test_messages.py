"""Execution traces: the reference's traces of golden vectors, in Lotus's form.

`reference_traces.jsonl.gz` contains the output of `tests/oracle run --trace` (ref-fvm 4.8.4) for the named vectors.
"""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import CallEnded, CallStarted, CallTrees
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from hypervisor_tools.laboratory.vectors.conformance import read_vectors, run_variant, variants_of
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet.calls import pace
from localnet.calls.pace import Ended, Pace, Turns
from localnet.rpc.filecoin.messages import DETAILS, NO_CALL, execution_trace, state_call
from localnet.rpc.lotus_values import address_json
from tests.conftest import bundle_folder, with_data
from tests.golden_cases import BUILT_IN_ACTORS_RUN, MESSAGE_FILES
from tests.localnet.rpc.asking import ALICE, INBOX, calldata, deploy
from tests.localnet.rpc.conftest import Client

TRACES = Path(__file__).with_name("reference_traces.jsonl.gz")
EXITS_OF_ERRORS = {5: 6, 6: 5}
"""Exit codes of filecoin-ffi: insufficient funds, not found; every other error number is exit code 10."""


@cache
def reference() -> dict[str, Any]:
    with gzip.open(TRACES, "rt", encoding="utf-8") as lines:
        return {trace["id"].partition(":")[0]: trace["trace"] for trace in map(json.loads, lines)}


def lotus_of(events: list[Any]) -> dict[str, Any]:
    """Return a trace in Lotus's form, built like filecoin-ffi from the machine's events, without zero charges."""
    start = next(place for place, event in enumerate(events) if isinstance(event, dict))
    stream = iter([*events[start:start + 1], *events[:start], *events[start + 1:]])  # fmt: skip
    return _call(next(stream), stream)


def _call(begun: dict[str, Any], stream: Iterator[Any]) -> dict[str, Any]:
    params = begun["params"] or [0, ""]
    found: dict[str, Any] = {
        "Msg": {
            "From": f"t0{begun['from']}", "To": "t" + begun["call"][1:], "Value": begun["value"],
            "Method": begun["method"], "Params": params[1] or None, "ParamsCodec": params[0],
            "GasLimit": begun["gas_limit"], "ReadOnly": begun["read_only"],
        }
    }  # fmt: skip
    charges: list[dict[str, Any]] = []
    calls, blocks = [], []
    for event in stream:
        match event:
            case ["wasm_memory_grow", total, 0]:  # this machine has it in the instructions before it
                grown = charges[-1]
                assert grown["Name"] == "wasm_exec"
                charges[-1] = grown | {"tg": grown["tg"] + total, "cg": grown["cg"] + total}
            case [name, total, other]:
                parts = {"tg": total, "cg": total - other, "sg": other}
                charges.append({"Name": name, **parts})
            case {"call": _}:
                calls.append(_call(event, stream))
            case {"invoke": actor}:
                links = {"Code": {"/": event["code"]}, "Head": {"/": event["head"]}}
                found["InvokedActor"] = {
                    "Id": actor, "State": {**links, "Nonce": event["nonce"], "Balance": event["balance"]},
                }  # fmt: skip
            case {"op": operation}:
                blocks.append({"Op": operation, "Cid": event["block"], "Size": event["size"]})
            case {"return": code, "block": block}:
                block = block or [0, ""]
                found["MsgRct"] = {"ExitCode": code, "Return": block[1] or None, "ReturnCodec": block[0]}
                break
            case {"error": number}:
                found["MsgRct"] = {"ExitCode": EXITS_OF_ERRORS.get(number, 10), "Return": None, "ReturnCodec": 0}
                break
    charges = [
        {"Name": charge["Name"], **{part: -(-charge[part] // 1000) for part in ("tg", "cg", "sg")}, "tt": 0}
        for charge in charges
        if charge["tg"]
    ]
    found |= {"GasCharges": charges or None, "Subcalls": calls or None}
    return found | ({"IpldOps": blocks} if blocks else {})


def without_delegated(trace: dict[str, Any]) -> dict[str, Any]:
    """Remove delegated addresses, which the reference's events do not contain."""
    for call in flat(trace):
        call.get("InvokedActor", {"State": {}})["State"].pop("DelegatedAddress", None)
    return trace


def flat(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield trace
    for call in trace["Subcalls"] or ():
        yield from flat(call)


def traced(name: str) -> list[dict[str, Any]]:
    """Return the traces of a golden vector's messages on this machine."""
    path = next(path for path in MESSAGE_FILES if path.name.startswith(name.partition("/")[0]))
    vector = next(vector for vector in read_vectors(path) if vector["_meta"]["id"] == name)
    traces = CallTrees(DETAILS)
    (variant,) = variants_of(vector, path, BundleFolder(bundle_folder()), traces)
    assert not run_variant(variant).differences
    return [execution_trace(root) for root in traces.roots]


def names() -> list[str]:
    """Return the executable vectors: those that run built-in actors need the official ones."""
    plain = [name for name in reference() if not name.startswith(BUILT_IN_ACTORS_RUN)]
    return [*plain, *with_data(*(name for name in reference() if name not in plain))]


@pytest.mark.parametrize("name", names())
def test_a_trace_is_the_references(name: str) -> None:
    found = [without_delegated(trace) for trace in traced(name)]
    assert found == [lotus_of(events) for events in reference()[name] if any(isinstance(each, dict) for each in events)]


def replayed(rpc: Client, transaction: str) -> dict[str, Any]:
    cid = rpc("Filecoin.EthGetMessageCidByTransactionHash", transaction)
    found: dict[str, Any] = rpc("Filecoin.StateReplay", None, cid)
    assert found["MsgCid"] == cid
    return found


def test_trace_charges_are_ordered_and_sum_to_gas_used(rpc: Client) -> None:
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


def test_unpaid_call_has_zero_costs_and_no_message(rpc: Client) -> None:
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


def test_a_call_with_its_trace_goes_at_the_pace_of_its_thread(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a traced call yields to short requests, and ends with its client, like every traced query."""
    own = Pace(Turns(lambda: False))
    own.end()
    monkeypatch.setattr(pace._local, "pace", own)
    sender = rpc.node.network.accounts[0].native
    with pytest.raises(Ended):
        state_call(rpc.node, Message(Address.id(ActorID(1)), sender))


def test_failed_send_trace_has_exit_code_of_its_error() -> None:
    start = CallStarted(ActorID(100), Address.id(ActorID(101)), MethodNumber(0), TokenAmount(5), b"", 0, False, 1_500)
    for error, code in (
        ("INSUFFICIENT_FUNDS", 6),
        ("NOT_FOUND", 5),
        ("READ_ONLY", 10),
        ("OUT_OF_GAS", 7),
        ("FATAL", 10),
    ):
        traces = CallTrees(DETAILS)
        traces.event(start)
        traces.event(CallEnded({"OUT_OF_GAS": 7, "FATAL": 10}.get(error, 0), b"", 0, 0, error))
        (trace,) = map(execution_trace, traces.roots)
        assert (trace["MsgRct"]["ExitCode"], trace["Msg"]["GasLimit"]) == (code, 2)
        assert {*NO_CALL} == {*trace}
