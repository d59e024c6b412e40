"""The example contracts, compiled by solc: calls between contracts and native actors."""

import hashlib
import re

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.method_numbers import method_number
from bridge.filecoin.parameters import invoke_return
from hypervisor import Address
from store.codec import encode
from store.keccak import keccak
from tests.hypervisor.builtin_actors.world import EXAMPLES, World, answer, artifact, interface

CONTRACTS = ("Bridge", "Counter", "Inbox", "Recursion")
ERROR_NOT_TODAY = (  # Error("not today"), laid out by hand
    "08c379a0" + f"{32:064x}" + f"{9:064x}" + b"not today".hex() + "00" * 23
)


# --- the artifacts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTRACTS)
def test_artifacts_come_from_the_sources_in_the_tree(name: str) -> None:
    sources = {path.name: path.read_bytes() for path in (EXAMPLES / "solidity" / "contracts").glob("*.sol")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}
    assert artifact(name)["sources"] == digests, "run `npm ci && node compile.mjs` in examples/solidity"


def test_the_contracts_know_the_actors_method_numbers() -> None:
    text = (EXAMPLES / "solidity" / "contracts" / "CounterActor.sol").read_text()
    numbers = dict(re.findall(r"constant (\w+) = (\d+);", text))
    assert numbers
    for constant, number in numbers.items():
        name = "".join(word.capitalize() for word in constant.split("_"))
        assert method_number(name) == int(number)


def test_the_actor_knows_the_contracts_selector() -> None:
    text = (EXAMPLES / "counter" / "src" / "recursion.rs").read_text()
    (digits,) = re.findall(r"PONG: \[u8; 4\] = \[(.*?)\]", text)
    assert bytes(int(digit, 16) for digit in digits.split(", ")) == keccak(b"pong(uint64)")[:4]


# --- across the border ------------------------------------------------------------------------------------------------


def test_a_contract_counts(world: World) -> None:
    contract = world.deploy("Counter")
    world.ask(contract, "Counter", "setNumber", 41)
    world.ask(contract, "Counter", "increment")
    assert world.ask(contract, "Counter", "number") == 42


def test_solidity_calls_native_with_value(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    assert counting.ask(bridge, "Bridge", "deposit", counting.counter, value=11) == 11
    assert counting.ask(bridge, "Bridge", "deposit", counting.counter, value=2**70) == 11 + 2**70
    assert counting.balance_of(Address.id(counting.counter)) == 11 + 2**70
    assert counting.balance_of(to_filecoin(bridge)) == 0


def test_solidity_calls_native_and_reads_the_answer(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    for by, total in ((23, 23), (232, 255), (65_281, 65_536), (2**32, 2**32 + 65_536)):
        assert counting.ask(bridge, "Bridge", "increment", counting.counter, by) == total
    assert counting.ask(bridge, "Bridge", "count", counting.counter) == 2**32 + 65_536


def test_native_calls_solidity_with_value(counting: World) -> None:
    inbox = counting.deploy("Inbox")
    calldata = interface("Inbox").encode_call("greet", "hello")
    result = counting.call_counter("CallContract", inbox, calldata, b"\x00\x07", value=7)
    assert answer(result) == [0, (1).to_bytes(32, "big")]
    assert counting.balance_of(to_filecoin(inbox)) == 7
    (event,) = result.events
    assert event.entries[1].value[12:] == masked_id(counting.counter)  # the contract sees the actor's id as its caller


def test_contract_calls_native_calls_contract(counting: World) -> None:
    bridge, inbox = counting.deploy("Bridge"), counting.deploy("Inbox")
    calldata = interface("Inbox").encode_call("greet", "from afar")
    arguments = (counting.counter, inbox, calldata, 5)
    exit_code, data = counting.ask(bridge, "Bridge", "callThrough", *arguments, value=5)
    assert (exit_code, int.from_bytes(data, "big")) == (0, 1)
    assert counting.balance_of(to_filecoin(inbox)) == 5


def test_a_native_abort_is_caught_by_solidity_and_rolled_back(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    counting.call_counter("Increment", 5)
    state = counting.state_of(counting.counter)
    caught = counting.ask(bridge, "Bridge", "tryFail", counting.counter, 42, "no", value=3)
    assert tuple(caught) == (42, b"", 5, 5)
    assert counting.state_of(counting.counter) == state
    assert counting.balance_of(Address.id(counting.counter)) == 0
    assert counting.balance_of(to_filecoin(bridge)) == 3
    assert counting.ask(bridge, "Bridge", "lastExit") == 42


def test_a_solidity_revert_is_seen_by_the_native_caller(counting: World) -> None:
    inbox = counting.deploy("Inbox")
    calldata = interface("Inbox").encode_call("refuse", "not today")
    assert answer(counting.call_counter("CallContract", inbox, calldata, b"")) == [33, bytes.fromhex(ERROR_NOT_TODAY)]
    assert counting.ask(inbox, "Inbox", "greetings") == 0


def test_solidity_reverts_when_it_does_not_catch_the_abort(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    result = counting.call(bridge, "Bridge", "deposit", counting.counter)  # without value: refused with 16
    assert result.exit_code == 33
    selector = keccak(b"NativeCallFailed(uint64,int256)")[:4]
    expected = selector + method_number("Deposit").to_bytes(32, "big") + (16).to_bytes(32, "big")
    assert invoke_return(result.return_data) == expected


@pytest.mark.parametrize(("method", "exit_code"), [("Trap", 4), ("Fail", 16), ("NoSuchMethod", 22)])
def test_solidity_reads_every_kind_of_exit(counting: World, method: str, exit_code: int) -> None:
    bridge = counting.deploy("Bridge")
    arguments = (counting.counter, method_number(method), b"")
    assert tuple(counting.ask(bridge, "Bridge", "callNative", *arguments)) == (exit_code, b"")


def test_solidity_reads_send_to_missing_actor_as_negative_exit(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    assert tuple(counting.ask(bridge, "Bridge", "callNative", 99_999, 1 << 24, b"")) == (-6, b"")


def test_solidity_is_refused_the_internal_numbers(counting: World) -> None:
    bridge = counting.deploy("Bridge")
    assert counting.call(bridge, "Bridge", "callNative", counting.counter, 2, b"").exit_code == 33


# --- any method number of a contract ----------------------------------------------------------------------------------


def test_a_contract_answers_filecoin_methods(world: World) -> None:
    inbox = world.deploy("Inbox")
    method, params = method_number("Notify"), encode([1, "two"])
    result = world.send(to_filecoin(inbox), method, params)
    assert (result.exit_code, result.return_data) == (0, params)
    assert world.ask(inbox, "Inbox", "lastMethod") == method


def test_contract_exits_with_custom_code_and_reverts(world: World) -> None:
    inbox = world.deploy("Inbox")
    result = world.send(to_filecoin(inbox), method_number("Refuse"), value=4)
    assert (result.exit_code, result.return_data) == (77, b"")
    assert world.balance_of(to_filecoin(inbox)) == 0


# --- deep down --------------------------------------------------------------------------------------------------------


def test_contract_recurses_to_requested_depth(world: World) -> None:
    recursion = world.deploy("Recursion")
    assert tuple(world.ask(recursion, "Recursion", "dive", 0)) == (1, True)
    assert tuple(world.ask(recursion, "Recursion", "dive", 30)) == (31, True)


@pytest.mark.parametrize("depth", [0, 1, 2, 9, 10])
def test_contract_and_actor_call_each_other_to_and_fro(counting: World, depth: int) -> None:
    recursion = counting.deploy("Recursion")
    assert tuple(counting.ask(recursion, "Recursion", "ping", counting.counter, depth)) == (depth + 1, 0)
    assert answer(counting.call_counter("PingPong", recursion, depth)) == [depth + 1, 0]


def test_ping_pong_ends_at_missing_actor(counting: World) -> None:
    recursion = counting.deploy("Recursion")
    assert tuple(counting.ask(recursion, "Recursion", "ping", 99_999, 5)) == (1, -6)
    nobody = EthAddress(masked_id(99_999))
    assert answer(counting.call_counter("PingPong", nobody, 5)) == [1, -6]
