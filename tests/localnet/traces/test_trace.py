"""Call trees and their text."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.abi.abi import ContractInterface
from bridge.bindings import reward
from bridge.ethereum.addresses import create_address, masked_id, to_filecoin
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import CallEnded, CallStarted, call_tree
from hypervisor.types import ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount, encode_bigint
from localnet import Artifact, CallFailed, Network, TransactionFailed, stream_settings
from localnet.accounts import TEST_MNEMONIC, accounts
from localnet.contracts.named_interface import NamedInterface
from localnet.errors import UnknownBlock
from localnet.rpc.server.server import serving
from localnet.traces.trace import Trace, call_json
from localnet.traces.trace_report import describe
from store.cid import RAW, cid_of, show
from store.codec import encode, link
from tests.conftest import data_file
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.runtimes.evm.assembler import assemble, deployer

MINER_FACTS = ARTIFACTS.parent.parent / "miner-facts" / "MinerFacts.json"


def all_calls(trace: Trace) -> list[dict[str, Any]]:
    """Yield every call of a trace, parents before children."""
    found, todo = [], list(trace.calls)
    while todo:
        call = todo.pop(0)
        found.append(call)
        todo = call["calls"] + todo
    return found


def test_contract_call_to_builtin_actor_is_described(official: Network) -> None:
    """Method numbers follow FRC-42; the datacap actor's `Name` returns the token's name."""
    artifact = Artifact.load(ARTIFACTS / "Bridge.json")
    name_method = 48890204
    trace = official.trace(official.deploy(artifact).send("callNative", 7, name_method, b"").hash)
    assert trace.reproduced
    outer, inner = all_calls(trace)
    described = [describe(call, [NamedInterface("Bridge", artifact.interface)]) for call in (outer, inner)]
    assert [(each.callee, each.function, each.arguments) for each in described] == [
        ("Bridge", "callNative", f"(actor=7, method={name_method}, params=)"),
        ("datacap", "Name", "()"),
    ]
    assert described[1].result == '"DataCap"'
    assert (inner["from"], inner["to"]) == (outer["to"], "f07")


def test_both_runtimes_are_named(network: Network) -> None:
    # On our own bundle contracts run in the EVM runtime, the address manager in the native one.
    network.deploy(ARTIFACTS / "Counter.json")
    trace = network.trace(network.head.transactions[0])
    assert trace.reproduced
    steps = [(call["runtime"], call["actor"], describe(call, []).function) for call in all_calls(trace)]
    assert steps == [("wasm", "eam", "CreateExternal"), ("wasm", "init", "Exec4"), ("evm", "evm", "Constructor")]


def test_transaction_deep_in_block_is_traced_on_its_prestate(network: Network) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    network.automine = False
    from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction

    data = counter.interface.encode_call("increment")
    hashes = []
    for nonce in range(3):
        transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, counter.address, 0, data, 10**8, 10**6, 10**5)
        hashes.append(network.submit(network.accounts[4].sign(transaction).raw()))
    network.mine(null_rounds=1)
    for transaction_hash in reversed(hashes):
        assert network.trace(transaction_hash).reproduced
    assert counter.call("number") == 3


def test_trace_state_includes_cron_of_prior_null_rounds(official: Network) -> None:
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
    assert trace.reproduced


def test_failed_transaction_trace_shows_revert_reason(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    data = inbox.interface.encode_call("refuse", "no way")
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 0, data, gas_limit=90_000_000)
    trace = network.trace(failed.value.receipt.hash)
    (call,) = trace.calls
    assert (trace.reproduced, call["exitCode"]) == (True, 33)
    assert describe(call, []).result == "Error(no way)"
    assert describe(call, [NamedInterface("Inbox", inbox.interface)]).result == "no way"
    assert trace.as_json()["exit"] == "EVM_CONTRACT_REVERTED"


def test_failed_creation_has_its_address_and_no_number_under_ethereums_rules() -> None:
    failing = assemble("0 0 LOG0 0 0 0 0 0 ADDRESS GAS CALL 0 0 0 0 0x1234 GAS DELEGATECALL 0 0 REVERT")
    maker = assemble(f"0x{failing.hex()} 0 MSTORE {len(failing)} {32 - len(failing)} 0 CREATE")
    with Network(rules="ethereum") as network:
        made = network.send(None, 0, deployer(maker)).contract_address
        assert made is not None
        (top,) = network.trace(network.send(made, 0, b"", gas_limit=1_000_000).hash).calls
    (creation,) = top["calls"]
    address = create_address(made, 1)
    assert (creation["to"], creation["address"]) == (str(to_filecoin(address)), f"0x{address.hex()}")
    assert [(event["emitter"], event["address"]) for event in creation["events"]] == [
        (creation["to"], creation["address"])
    ]
    assert [(call["from"], call["to"]) for call in creation["calls"]] == [(creation["to"], creation["to"])] * 2
    assert describe(creation, []).arguments == f"(0x{failing.hex()})"


def test_accounts_of_a_fork_have_their_numbers_in_traces() -> None:
    with Network(rules="ethereum") as remote, serving(remote) as url:
        made = remote.send(None, 0, deployer(assemble("0 0 LOG0 0 0 0 0 0 ADDRESS GAS CALL STOP"))).contract_address
        assert made is not None
        with Network.fork(url, rules="ethereum") as network:
            actor = network.machine.state_tree.lookup_id(to_filecoin(made))
            (top,) = network.trace(network.send(made, gas_limit=1_000_000).hash).calls
    assert (top["to"], top["events"][0]["emitter"], top["calls"][0]["from"]) == (f"f0{actor}",) * 3


def test_failure_without_data_shows_only_exit_code(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 0, b"\xde\xad\xbe\xef", gas_limit=90_000_000)
    (call,) = network.trace(failed.value.receipt.hash).calls
    assert (describe(call, []).result, call["plain"]) == ("", True)
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 5, inbox.interface.encode_call("greetings"), gas_limit=90_000_000)
    (call,) = network.trace(failed.value.receipt.hash).calls
    assert (describe(call, [NamedInterface("Inbox", inbox.interface)]).result, call["plain"]) == ("", True)


def test_events_are_decoded_where_the_abi_is_known(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    receipt = inbox.send("greet", "hi", value=2)
    (call,) = network.trace(receipt.hash).calls
    named = [NamedInterface("Inbox", inbox.interface)]
    assert describe(call, named).events == (
        f'Greeted(from=0x{network.accounts[0].address.hex()}, value=2, text="hi", greetings=1)',
    )
    assert describe(call, []).events[0].startswith("t1=0x")


def test_trace_reproduces_transaction_after_manual_state_change(network: Network) -> None:
    account = network.accounts[8]
    network.set_balance(account, 10**18)
    receipt = network.send(network.accounts[1], 5, sender=account)
    assert network.trace(receipt.hash).reproduced


def test_failed_transfer_to_builtin_actor_is_described(official: Network) -> None:
    data_file(BUNDLE)  # the words are the official actor's
    with pytest.raises(CallFailed):
        official.call(masked_id(4), b"", 1)
    with pytest.raises(TransactionFailed) as failed:
        official.send(masked_id(4), 1, gas_limit=9_000_000)
    (call,) = official.trace(failed.value.receipt.hash).calls
    words = describe(call, [])
    assert (words.callee, words.function, call["exitCode"]) == ("storagepower", "3844450837", 22)
    assert words.result == "invalid method: 3844450837"  # the actor's own words


def test_a_call_tree_is_as_deep_as_calls_go(network: Network) -> None:
    sender = Address.id(100)
    call = CallStarted(ActorID(100), sender, MethodNumber(0), TokenAmount(0), b"", 0, False, 0)
    (node,) = call_tree([call] * 1024 + [CallEnded(0, b"", 0, 0)] * 1024)
    found, depth = call_json(network.machine, node), 1
    while found["calls"]:
        (found,), depth = found["calls"], depth + 1
    assert (depth, found["to"]) == (1024, "f0100")


def native_call(actor: str, number: int, params: bytes = b"", answer: bytes = b"") -> dict[str, Any]:
    return {
        "actor": actor, "abi": False, "method": number, "params": f"0x{params.hex()}", "paramsCodec": 0x51,
        "return": f"0x{answer.hex()}", "exitCode": 0, "error": "", "events": [],
    }  # fmt: skip


def test_native_method_values_are_shown_with_schema_names() -> None:
    params = encode([Address.id(7).to_bytes(), encode_bigint(10**18), b"\x01"])
    result = encode([encode_bigint(1), encode_bigint(2), b""])
    words = describe(native_call("datacap", 80475954, params, result), [])
    assert (words.callee, words.function) == ("datacap", "Transfer")
    assert words.arguments == "(to=f07, amount=1000000000000000000, operator_data=0x01)"
    assert words.result == "from_balance=1, to_balance=2, recipient_data=0x"
    owner = describe(native_call("storageminer", 3275365574, b"", encode([Address.id(100).to_bytes(), None])), [])
    assert (owner.function, owner.arguments, owner.result) == ("GetOwner", "()", "owner=f0100, proposed=null")
    addresses = describe(native_call("storageminer", 1332909407, b"", encode([[b"\x01", b"\x02"]])), [])
    assert addresses.result == "multi_addrs=[0x01, 0x02]"
    code = describe(native_call("evm", 3, b"", encode(link(cid_of(b"code", RAW)))), [])
    assert code.result == show(cid_of(b"code", RAW))


@pytest.mark.parametrize("data", [b"\xff", encode(5), encode([1, 2]), encode([b"\x09\x09", 5, b""])])
def test_undecodable_params_are_shown_as_bytes_with_reason(data: bytes) -> None:
    words = describe(native_call("datacap", 80475954, data), []).arguments
    assert words.startswith(f"(0x{data.hex()}, which is not TransferParams: ")


def test_unknown_method_is_shown_by_number() -> None:
    words = describe(native_call("", 12345, b"\x05"), [])
    assert (words.callee, words.function, words.arguments, words.result) == ("?", "12345", "(0x05)", "")


def test_unknown_function_calldata_is_shown_by_selector() -> None:
    call = {
        "actor": "evm", "abi": True, "method": 3844450837, "params": "0x" + encode(bytes.fromhex("deadbeef01")).hex(),
        "paramsCodec": 0x51, "return": "0x40", "exitCode": 0, "error": "", "events": [],
    }  # fmt: skip
    words = describe(call, [NamedInterface("Empty", ContractInterface([]))])
    assert (words.callee, words.function, words.arguments, words.result) == ("contract", "0xdeadbeef", "(0x01)", "")


def test_overloaded_function_result_is_decoded_by_its_own_type() -> None:
    abi: list[dict[str, Any]] = [
        {"type": "function", "name": "get", "inputs": [{"name": "at", "type": kind}], "outputs": [{"type": result}]}
        for kind, result in (("uint8", "uint256"), ("bool", "bool"))
    ]
    interface = ContractInterface(abi)
    calldata = interface.encode_call("get(bool)", True)
    call = {
        "actor": "evm", "abi": True, "method": 3844450837, "params": "0x" + encode(calldata).hex(), "paramsCodec": 0x51,
        "return": "0x" + encode((1).to_bytes(32, "big")).hex(), "exitCode": 0, "error": "", "events": [],
    }  # fmt: skip
    words = describe(call, [NamedInterface("Two", interface)])
    assert (words.function, words.arguments, words.result) == ("get", "(at=True)", "True")


def test_failed_call_reports_trace_and_contract_error(network: Network) -> None:
    facts = network.deploy(MINER_FACTS)
    with pytest.raises(CallFailed, match=r'revert reason=\[Refused\(7, "MinerRawPower", 16\)\]') as failed:
        facts.call("facts", 7)
    trace = failed.value.trace
    assert trace is not None
    assert [call["actor"] for call in trace.calls[0]["calls"]] == ["storagepower"]
    assert "facts(miner=7)" in str(trace)
    assert "exit 16 USR_ILLEGAL_ARGUMENT" in str(trace)
    assert 'Refused(7, "MinerRawPower", 16)' in trace.failure_path[0]


def test_failing_transaction_is_included_only_with_gas_limit(network: Network) -> None:
    facts = network.deploy(MINER_FACTS)
    height = network.block_number
    with pytest.raises(CallFailed, match=r"Refused\(7") as tried:
        facts.send("facts", 7)
    assert tried.value.trace is not None
    assert network.block_number == height
    with pytest.raises(TransactionFailed, match=r"Refused\(7") as failed:
        facts.send("facts", 7, gas_limit=1_000_000_000)
    assert network.block_number == height + 1
    assert str(failed.value.receipt.trace).splitlines()[0].startswith("evm  f0")


ALICE, BOB, CAROL = accounts(TEST_MNEMONIC, 3)
F02 = "f02"
WHOLE = 10**18


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Network]:
    """Create a network: ALICE is the authority (timelock of three epochs), BOB sets the shares of CAROL's stream 2."""
    roles = ALICE.native, BOB.native, CAROL.native
    with Network(network=28, clock=Clock()) as opened:
        opened.set_producer(opened.create_miner().address)
        opened.upgrade(29, streams=stream_settings(*roles, timelock=3))
        yield opened


@pytest.fixture
def epoch_trace_network(upgraded: Network) -> Iterator[Network]:
    """Return the network as it was after its upgrade."""
    mark = upgraded.snapshot()
    yield upgraded
    upgraded.revert(mark)


def remove_stream_2(network: Network) -> ChainEpoch:
    """Remove stream 2, whose weight becomes available; return the epoch whose award applies that, which is executed."""
    network.invoke(F02, reward.remove_stream(2), sender=ALICE)
    due = ChainEpoch(network.head.height + 3)
    network.mine(3)
    return due


@pytest.mark.slow
def test_award_applying_a_write_shows_it_in_epoch_trace(epoch_trace_network: Network) -> None:
    due = remove_stream_2(epoch_trace_network)
    trace = epoch_trace_network.epoch_trace(due)
    assert trace.reproduced
    award, cron = trace.report()["calls"]
    assert (award["decoded"]["callee"], award["decoded"]["function"]) == ("reward", "AwardBlockReward")
    assert cron["decoded"]["function"] == "EpochTick"
    applied, folded = award["decoded"]["events"]
    assert applied == f"write-applied(op=RemoveStream, effective-epoch={due}, stream-id=2)"
    assert re.fullmatch(
        r'period-folded\(stream-id=2, cause="RemoveStream", accrued=[1-9][0-9]+, dust=0\)', folded
    )  # one recipient of the whole: nothing is left over
    assert f"event {applied}" in str(trace)
    assert [call["decoded"]["function"] for call in award["calls"]] == ["ApplyRewards", "Send"]


@pytest.mark.slow
def test_governance_events_are_decoded_in_message_trace(epoch_trace_network: Network) -> None:
    remove_stream_2(epoch_trace_network)
    weight = reward.WeightRecord(WHOLE // 20, -7, ChainEpoch(9), 0, WHOLE // 20)
    first = reward.DistributionInit(BOB.native, (reward.RecipientShare(CAROL.native, WHOLE),))
    call = reward.register_stream(3, weight, first, epoch_trace_network.head.height + 10)
    receipt = epoch_trace_network.send_native(F02, call.method, call.params, sender=ALICE)
    (event,) = receipt.trace.report()["calls"][0]["decoded"]["events"]
    bob, carol = (epoch_trace_network.machine.state_tree.lookup_id(account.native) for account in (BOB, CAROL))
    assert event == (
        f"write-queued(op=RegisterStream, effective-epoch={epoch_trace_network.head.height + 9}, stream-id=3, payload="
        f"{{weight={{v_start={WHOLE // 20}, slope=-7, t_start=9, floor=0, cap={WHOLE // 20}}}, "
        f"distribution={{writer=f0{bob}, shares=[{{recipient=f0{carol}, share={WHOLE}}}]}}}})"
    )


def test_an_epoch_without_a_tipset_is_refused(epoch_trace_network: Network) -> None:
    epoch_trace_network.mine(1, null_rounds=1)
    for epoch in (-1, 0, epoch_trace_network.head.height - 1, epoch_trace_network.head.height + 1):
        with pytest.raises(UnknownBlock, match=f"no tipset was executed at epoch {epoch}"):
            epoch_trace_network.epoch_trace(epoch)
