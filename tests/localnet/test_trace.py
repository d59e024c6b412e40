"""Call trees, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.abi import ContractInterface
from bridge.addresses import masked_id
from hypervisor.address import Address
from hypervisor.bigint import encode_bigint
from hypervisor.message import Message
from hypervisor.tracing import CallEnded, CallStarted, call_tree
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount
from localnet import CallFailed, Network, TransactionFailed
from localnet.contract import Artifact
from localnet.native_methods import ShapeMismatch, native_method, read_shape
from localnet.trace import Trace, call_json
from localnet.trace_words import NamedInterface, describe
from store.codec import encode
from tests.localnet.conftest import ARTIFACTS

BRIDGE = Artifact.load(ARTIFACTS / "Bridge.json")
BRIDGE_WORDS = [NamedInterface("Bridge", BRIDGE.interface)]
DATACAP, NAME = 7, 48890204


def all_calls(trace: Trace) -> list[dict[str, Any]]:
    """Every call of a trace, each before those under it."""
    found, todo = [], list(trace.calls)
    while todo:
        call = todo.pop(0)
        found.append(call)
        todo = call["calls"] + todo
    return found


def test_a_contract_that_asks_a_native_actor(official: Network) -> None:
    bridge = official.deploy(BRIDGE)
    receipt = bridge.send("callNative", DATACAP, NAME, b"")
    trace = official.trace(receipt.hash)
    assert trace.same
    outer, inner = all_calls(trace)
    words = describe(outer, BRIDGE_WORDS)
    assert (words.callee, words.function) == ("Bridge", "callNative")
    assert words.arguments == f"(actor=7, method={NAME}, params=)"
    words = describe(inner, BRIDGE_WORDS)
    assert (words.callee, words.function, words.arguments, words.result) == ("datacap", "Name", "()", '"DataCap"')
    assert inner["from"] == outer["to"]
    assert inner["to"] == "f07"


def test_both_runtimes_are_named(network: Network) -> None:
    # On our own bundle contracts run in the EVM runtime, the address manager in the native one.
    network.deploy(ARTIFACTS / "Counter.json")
    trace = network.trace(network.head.transactions[0])
    assert trace.same
    steps = [(call["runtime"], call["actor"], describe(call, []).function) for call in all_calls(trace)]
    assert steps == [("wasm", "eam", "CreateExternal"), ("wasm", "init", "Exec4"), ("evm", "evm", "Constructor")]


def test_a_transaction_deep_in_a_block_is_executed_on_the_state_that_it_met(network: Network) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    network.automine = False
    from bridge.transactions import DYNAMIC_FEE, Transaction

    data = counter.interface.encode_call("increment")
    hashes = []
    for nonce in range(3):
        transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, counter.address, 0, data, 10**8, 10**6, 10**5)
        hashes.append(network.submit(network.accounts[4].sign(transaction).raw()))
    network.mine(null_rounds=1)
    for transaction_hash in reversed(hashes):
        assert network.trace(transaction_hash).same
    assert counter.call("number") == 3


def test_the_cron_of_null_rounds_before_it_is_part_of_what_it_met(official: Network) -> None:
    # ThisEpochReward (method 3) of the reward actor answers with what cron wrote in the last epoch.
    official.mine()
    official.automine = False
    sender = official.accounts[0]
    message = Message(
        Address.id(2), sender.native, method=MethodNumber(3), gas_limit=Gas(10**9), gas_fee_cap=official.base_fee
    )
    sent = official.submit_native(sender.sign_native(message))
    official.mine(null_rounds=3)
    trace = official.trace(sent)
    assert trace.receipt.succeeded
    assert trace.receipt.execution.receipt.return_data
    assert trace.same


def test_a_failure_is_told_with_its_reason(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    data = inbox.interface.encode_call("refuse", "no way")
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 0, data, gas_limit=90_000_000)
    trace = network.trace(failed.value.receipt.hash)
    (call,) = trace.calls
    assert (trace.same, call["exitCode"]) == (True, 33)
    assert describe(call, []).result == "Error(no way)"
    assert describe(call, [NamedInterface("Inbox", inbox.interface)]).result == "no way"
    assert trace.as_json()["exit"] == "EVM_CONTRACT_REVERTED"


def test_events_are_decoded_where_the_abi_is_known(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    receipt = inbox.send("greet", "hi", value=2)
    (call,) = network.trace(receipt.hash).calls
    named = [NamedInterface("Inbox", inbox.interface)]
    assert describe(call, named).events == (
        f'Greeted(from=0x{network.accounts[0].address.hex()}, value=2, text="hi", greetings=1)',
    )
    assert describe(call, []).events[0].startswith("t1=0x")


def test_a_state_that_was_changed_by_hand_before_is_met_as_it_was(network: Network) -> None:
    account = network.accounts[8]
    network.set_balance(account, 10**18)
    receipt = network.send(network.accounts[1], 5, sender=account)
    assert network.trace(receipt.hash).same


def test_a_transfer_that_never_reached_anybody(official: Network) -> None:
    with pytest.raises(CallFailed):
        official.call(masked_id(4), b"", 1)
    with pytest.raises(TransactionFailed) as failed:
        official.send(masked_id(4), 1, gas_limit=9_000_000)
    (call,) = official.trace(failed.value.receipt.hash).calls
    words = describe(call, [])
    assert (words.callee, words.function, call["exitCode"]) == ("storagepower", "InvokeEVM", 22) or (
        words.callee == "storagepower" and call["exitCode"] == 22
    )


def test_a_call_tree_is_as_deep_as_calls_go(network: Network) -> None:
    sender = Address.id(100)
    call = CallStarted(ActorID(100), sender, MethodNumber(0), TokenAmount(0), b"", 0, False, 0)
    (node,) = call_tree([call] * 1024 + [CallEnded(0, b"", 0, 0)] * 1024)
    found, depth = call_json(network.machine, node), 1
    while found["calls"]:
        (found,), depth = found["calls"], depth + 1
    assert (depth, found["to"]) == (1024, "f0100")


class TestNativeMethods:
    """Names and shapes; numbers from the list of the exported methods."""

    @pytest.mark.parametrize(
        ("actor", "number", "name"),
        [
            ("datacap", 48890204, "Name"),
            ("datacap", 80475954, "Transfer"),
            ("datacap", 1777121560, "IncreaseAllowance"),
            ("storagepower", 1173380165, "CreateMiner"),
            ("storagepower", 3753401894, "MinerRawPower"),
            ("storageminer", 3275365574, "GetOwner"),
            ("storageminer", 2280458852, "WithdrawBalance"),
            ("storagemarket", 726108461, "GetBalance"),
            ("verifiedregistry", 3916220144, "AddVerifiedClient"),
            ("account", 2643134072, "AuthenticateMessage"),
            ("evm", 3844450837, "InvokeEVM"),
            ("evm", 3, "GetBytecode"),
            ("eam", 4, "CreateExternal"),
            ("init", 3, "Exec4"),
            ("reward", 2, "AwardBlockReward"),
            ("cron", 2, "EpochTick"),
            ("multisig", 3726118371, "Receive"),
            ("anything", 0, "Send"),
            ("anything", 1, "Constructor"),
        ],
    )
    def test_a_number_has_its_name(self, actor: str, number: int, name: str) -> None:
        method = native_method(actor, number)
        assert method is not None
        assert method.name == name

    def test_an_unknown_number_has_none(self) -> None:
        assert native_method("datacap", 5) is None
        assert native_method("nobody", 48890204) is None

    def test_values_are_read_by_their_shape(self) -> None:
        transfer = native_method("datacap", 80475954)
        assert transfer is not None
        params = encode([Address.id(7).to_bytes(), encode_bigint(10**18), b"\x01"])
        assert read_shape(transfer.params, params) == ["f07", 10**18, "0x01"]
        owner = native_method("storageminer", 3275365574)
        assert owner is not None
        assert read_shape(owner.answer, encode([Address.id(100).to_bytes(), None])) == ["f0100", None]
        addresses = native_method("storageminer", 1332909407)
        assert addresses is not None
        assert read_shape(addresses.answer, encode([[b"\x01", b"\x02"]])) == [["0x01", "0x02"]]

    @pytest.mark.parametrize("data", [b"", b"\xff", encode(5), encode([1, 2]), encode([b"\x09\x09", b"", b""])])
    def test_a_value_of_another_shape_is_said_to_be_so(self, data: bytes) -> None:
        transfer = native_method("datacap", 80475954)
        assert transfer is not None
        with pytest.raises(ShapeMismatch):
            read_shape(transfer.params, data)


def test_calldata_of_nobodys_function_is_shown_by_its_selector() -> None:
    call = {
        "actor": "evm", "method": 3844450837, "params": "0x" + encode(bytes.fromhex("deadbeef01")).hex(),
        "paramsCodec": 0x51, "return": "0x40", "exitCode": 0, "error": "", "events": [],
    }  # fmt: skip
    words = describe(call, [NamedInterface("Empty", ContractInterface([]))])
    assert (words.callee, words.function, words.arguments, words.result) == ("contract", "0xdeadbeef", "(0x01)", "")


def test_the_answer_of_an_overloaded_function_is_decoded_by_its_own_type() -> None:
    abi: list[dict[str, Any]] = [
        {"type": "function", "name": "get", "inputs": [{"name": "at", "type": kind}], "outputs": [{"type": answer}]}
        for kind, answer in (("uint8", "uint256"), ("bool", "bool"))
    ]
    interface = ContractInterface(abi)
    calldata = interface.encode_call("get(bool)", True)
    call = {
        "actor": "evm", "method": 3844450837, "params": "0x" + encode(calldata).hex(), "paramsCodec": 0x51,
        "return": "0x" + encode((1).to_bytes(32, "big")).hex(), "exitCode": 0, "error": "", "events": [],
    }  # fmt: skip
    words = describe(call, [NamedInterface("Two", interface)])
    assert (words.function, words.arguments, words.result) == ("get", "(at=True)", "True")
