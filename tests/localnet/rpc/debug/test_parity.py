"""Re-executions in Parity's form. Expected differences follow from the programs, and from Forest's and alloy's shapes.

Cases of accounts: those of Forest `eth/trace/state_diff.rs` under Filecoin's rules, of OpenEthereum's page on the trace
module and reth under Ethereum's.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.messages.address import Address, Protocol
from hypervisor.types import EAM_ACTOR, INIT_ACTOR
from localnet import Network, TransactionFailed
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, refusal
from tests.localnet.rpc.debug.test_traces import ALICE, at, hexed, word
from tests.runtimes.evm.assembler import assemble, deployer

NEW = EthAddress(b"\x77" * 20)
BURNT, REWARD = "0xff" + "00" * 18 + "63", "0xff" + "00" * 18 + "02"
EAM = Address.id(EAM_ACTOR)
DESTROY = "0x7777 SELFDESTRUCT"


@pytest.fixture(scope="module")
def shanghai() -> Iterator[Network]:
    """Return a network under the last of Ethereum's rules that delete destroyed contracts."""
    with Network(rules="ethereum", hardfork="shanghai", clock=Clock()) as network:
        yield network


def deploy(network: Network, program: str) -> EthAddress:
    """Deploy a program of mnemonics and return its address."""
    created = network.send(None, 0, deployer(assemble(program)), gas_limit=_gas(network)).contract_address
    assert created is not None
    return created


def _gas(network: Network) -> int:
    return 10**9 if network.rules.name == "filecoin" else 10**7


def slots(*changed: tuple[int, int, int]) -> dict[str, Any]:
    """Return the changes of slots from one word to another."""
    return {"0x" + word(slot): {"*": {"from": "0x" + word(old), "to": "0x" + word(new)}} for slot, old, new in changed}


def test_slots_balances_and_fees_of_a_transaction_are_its_differences(network: Network) -> None:
    rpc = Client(Node(network))
    contract = deploy(network, "1 0 SSTORE 7 5 SSTORE 3 9 SSTORE 0 9 SSTORE STOP")
    before = int(rpc("eth_getBalance", ALICE, "latest"), 16)
    receipt = network.send(contract, 9, b"", gas_limit=10**9)
    found = rpc("trace_replayTransaction", hexed(receipt.hash), ["stateDiff"])
    assert (found["trace"], found["output"], found["vmTrace"]) == ([], "0x", None)
    diff = found["stateDiff"]
    assert diff[hexed(contract)] == {
        "balance": {"*": {"from": "0x0", "to": "0x9"}},
        "nonce": "=",
        "code": "=",
        "storage": slots((0, 0, 1), (5, 0, 7)),
    }
    paid = receipt.execution.paid
    assert diff[ALICE] == {
        "balance": {"*": {"from": hex(before), "to": hex(before - 9 - paid)}},
        "nonce": {"*": {"from": "0x1", "to": "0x2"}},
        "code": "=",
        "storage": {},
    }
    gains = [int(diff[owner]["balance"]["*"]["to"], 16) - int(diff[owner]["balance"]["*"]["from"], 16)
             for owner in (BURNT, REWARD)]  # fmt: skip
    assert sum(gains) == paid
    assert set(diff) == {hexed(contract), ALICE, BURNT, REWARD}


def test_a_new_account_is_added_with_code_only_under_ethereums_rules(network: Network, shanghai: Network) -> None:
    for chain, code in ((network, "="), (shanghai, {"+": "0x"})):
        rpc = Client(Node(chain))
        found = rpc("trace_call", {"from": ALICE, "to": hexed(NEW), "value": "0x9"}, ["trace", "stateDiff"])
        assert found["stateDiff"][hexed(NEW)] == {
            "balance": {"+": "0x9"}, "nonce": {"+": "0x0"}, "code": code, "storage": {}
        }  # fmt: skip
        assert [trace["type"] for trace in found["trace"]] == ["call"]
        assert rpc("trace_call", {"from": ALICE, "to": hexed(NEW), "value": "0x0"}, ["trace"])["stateDiff"] is None


@pytest.mark.slow
def test_a_created_contract_is_added_with_its_code_and_slots(network: Network, shanghai: Network) -> None:
    code = assemble("STOP")
    creation = assemble("6 2 SSTORE 0 0 MSTORE8 1 0 RETURN")
    for chain in (network, shanghai):
        receipt = chain.send(None, 4, creation, gas_limit=_gas(chain))
        diff = Client(Node(chain))("trace_replayTransaction", hexed(receipt.hash), ["stateDiff"])["stateDiff"]
        assert receipt.contract_address is not None
        assert diff[hexed(receipt.contract_address)] == {
            "balance": {"+": "0x4"},
            "nonce": {"+": "0x1"},
            "code": {"+": hexed(code)},
            "storage": {"0x" + word(2): {"+": "0x" + word(6)}},
        }


def test_a_destroyed_contract_is_cleared_or_removed(network: Network, shanghai: Network) -> None:
    """Filecoin keeps the actor; Ethereum until Shanghai removes the account, and from Cancun on it is unchanged."""
    program = f"CALLDATASIZE @end JUMPI 5 3 SSTORE STOP end: {DESTROY}"
    code = hexed(assemble(program))
    word_before = {"0x" + word(3): {"-": "0x" + word(5)}}
    expected: tuple[tuple[Network, dict[str, Any]], ...] = (
        (network, {"balance": {"*": {"from": "0x2", "to": "0x0"}}, "nonce": {"*": {"from": "0x1", "to": "0x0"}},
                   "code": {"-": code}, "storage": slots((3, 5, 0))}),
        (shanghai, {"balance": {"-": "0x2"}, "nonce": {"-": "0x1"}, "code": {"-": code}, "storage": word_before}),
    )  # fmt: skip
    for chain, removed in expected:
        contract = deploy(chain, program)
        assert chain.send(contract, 2, b"", gas_limit=_gas(chain)).succeeded
        receipt = chain.send(contract, 0, b"\x01", gas_limit=_gas(chain))
        diff = Client(Node(chain))("trace_replayTransaction", hexed(receipt.hash), ["stateDiff"])["stateDiff"]
        assert diff[hexed(contract)] == removed
        assert diff["0x" + "00" * 18 + "7777"]["balance"] in ({"+": "0x2"}, {"*": {"from": "0x0", "to": "0x2"}})


def test_a_contract_that_one_transaction_creates_and_destroys_is_not_listed(shanghai: Network) -> None:
    receipt = shanghai.send(None, 0, assemble("5 3 SSTORE 0 SELFDESTRUCT"), gas_limit=10**7)
    diff = Client(Node(shanghai))("trace_replayTransaction", hexed(receipt.hash), ["stateDiff"])["stateDiff"]
    assert receipt.succeeded
    assert receipt.contract_address is not None
    assert hexed(receipt.contract_address) not in diff
    assert diff[ALICE]["nonce"] != "="


def test_a_reverted_call_changes_no_account(network: Network) -> None:
    rpc = Client(Node(network))
    failing = deploy(network, "5 3 SSTORE 0 0 REVERT")
    found = rpc("trace_call", {"from": ALICE, "to": hexed(failing), "value": "0x1"}, ["stateDiff", "trace"])
    assert (found["stateDiff"], found["trace"][0]["error"]) == ({}, "Reverted")


def test_overrides_of_a_call_are_the_state_before_it(network: Network) -> None:
    rpc = Client(Node(network))
    code, owner = hexed(assemble("NUMBER 3 SSTORE STOP")), hexed(NEW)
    overrides = {owner: {"code": code, "balance": "0x10", "stateDiff": {"0x" + word(3): "0x" + word(5)}}}
    request = {"from": ALICE, "to": owner, "value": "0x1"}
    found = rpc("trace_call", request, ["stateDiff"], "latest", overrides, {"number": "0x1234"})
    assert found["stateDiff"][owner] == {
        "balance": {"*": {"from": "0x10", "to": "0x11"}}, "nonce": "=", "code": "=", "storage": slots((3, 5, 0x1234))
    }  # fmt: skip
    assert rpc("eth_getCode", owner, "latest") == "0x"


def test_gas_limit_of_an_overridden_block_does_not_limit_a_call(shanghai: Network) -> None:
    """As that of `debug_traceCall` in geth's answers (tests/judges)."""
    rpc, request = Client(Node(shanghai)), {"from": ALICE, "to": hexed(NEW)}
    gas = [
        rpc("trace_call", request, ["trace"], "latest", {}, override)["trace"][0]["action"]["gas"]
        for override in ({}, {"gasLimit": "0x100000"})
    ]
    assert gas[0] == gas[1]


def test_each_transaction_of_a_block_has_its_own_differences(network: Network) -> None:
    rpc = Client(Node(network))
    counter = deploy(network, "0 SLOAD 1 ADD 0 SSTORE STOP")
    rpc("evm_setAutomine", False)
    sent = [rpc("eth_sendTransaction", {"from": ALICE, "to": hexed(counter), "gas": hex(10**8)}) for _ in range(3)]
    rpc("evm_mine")
    found = rpc("trace_replayBlockTransactions", "latest", ["stateDiff"])
    assert [each["transactionHash"] for each in found] == sent
    assert [each["stateDiff"][hexed(counter)]["storage"] for each in found] == [
        slots((0, 0, 1)), slots((0, 1, 2)), slots((0, 2, 3))
    ]  # fmt: skip


def send_native(network: Network, to: Address, method: int, params: bytes, gas: int = 10**8) -> str:
    """Send a message from an f1 account; return its hash, also if it fails."""
    try:
        receipt = network.send_native(to, method, params, sender=network.accounts[0].native, gas_limit=gas)
    except TransactionFailed as failed:
        receipt = failed.receipt
    return hexed(receipt.hash)


@pytest.mark.parametrize(
    ("init", "output"),
    [(assemble("0xdead 0 MSTORE 2 30 REVERT"), "0xdead"), (deployer(assemble("STOP")), "0xfe"), (b"\xfe", "0x")],
    ids=["reverted", "created", "halted"],
)
def test_output_of_a_replayed_creation_is_the_code_of_its_trace(network: Network, init: bytes, output: str) -> None:
    """Source: lotus node/impl/eth/trace.go `EthTraceReplayBlockTransactions`."""
    rpc = Client(Node(network))
    sent = send_native(network, EAM, CREATE_EXTERNAL_METHOD, byte_string(init))
    found = rpc("trace_replayTransaction", sent, ["trace"])
    assert (found["output"], found["trace"][0]["result"]["code"]) == (output, output)
    assert rpc("trace_replayBlockTransactions", "latest", ["trace"]) == [{"transactionHash": sent, **found}]


def test_calls_of_a_constructor_are_below_the_creation_of_a_native_account(either: Network) -> None:
    """An f1 account's creation asks the account for its key, which is no call that Ethereum knows."""
    rpc, callee = Client(Node(either)), deploy(either, "STOP")
    init = assemble(f"0 0 0 0 0 {at(callee)} GAS CALL POP 0xbeef 0 MSTORE 2 30 REVERT")
    sent = send_native(either, EAM, CREATE_EXTERNAL_METHOD, byte_string(init), 10**9)
    created, called = rpc("trace_transaction", sent)
    assert (created["type"], created["subtraces"], created["result"]["code"]) == ("create", 1, "0xbeef")
    assert (called["traceAddress"], called["action"]["to"]) == ([0], hexed(callee))
    top = rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})
    assert (top["type"], top["output"], [call["to"] for call in top["calls"]]) == ("CREATE", "0xbeef", [hexed(callee)])


def test_contract_called_by_its_id_has_named_exit_codes(network: Network) -> None:
    contract = network.machine.state_tree.lookup_id(to_filecoin(deploy(network, "0 0 REVERT")))
    assert contract is not None
    with pytest.raises(TransactionFailed, match=r"exit=\[EVM_CONTRACT_REVERTED\(33\)\]"):
        network.send_native(Address.id(contract), INVOKE_EVM, gas_limit=10**8)


@pytest.mark.parametrize(
    ("to", "method", "params", "gas"),
    [
        (Address(Protocol.ACTOR, b"\x11" * 20), 0, b"", 10**8),
        (Address.delegated(32, b"abc"), 0, b"", 10**8),
        (Address.id(999_999), 0, b"", 10**8),
        (EAM, CREATE_EXTERNAL_METHOD, byte_string(b"\0"), 3 * 10**6),
        (Address.id(INIT_ACTOR), 2, b"", 10**8),
    ],
    ids=["unknown f2", "unknown f4", "unknown f0", "out of gas before the creation", "no constructor"],
)
def test_message_that_invoked_no_actor_has_no_traces(
    network: Network, to: Address, method: int, params: bytes, gas: int
) -> None:
    """Source: lotus node/impl/eth/trace.go `buildTrace`, `traceNativeCreate` and `traceEthCreate`."""
    rpc = Client(Node(network))
    sent = send_native(network, to, method, params, gas)
    assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x0"
    assert rpc("trace_transaction", sent) == rpc("trace_block", "latest") == []
    assert rpc("trace_filter", {"fromBlock": "latest"}) == []
    assert rpc("trace_get", sent, []) is None
    found = rpc("trace_replayTransaction", sent, ["trace"])
    assert (found["output"], found["trace"]) == ("0x", [])
    assert rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})["error"]


def test_call_that_reaches_no_actor_has_no_traces(network: Network) -> None:
    request = {"from": ALICE, "to": "0xff" + "00" * 11 + "000000000fffffff"}
    found = Client(Node(network))("trace_call", request, ["trace", "stateDiff"])
    assert (found["output"], found["trace"], found["stateDiff"]) == ("0x", [], {})


@pytest.mark.parametrize("kinds", [["vmTrace"], [], ["trace", "stateDiff", "vmTrace"], ["statediff"]])
def test_other_kinds_of_traces_are_refused(rpc: Client, kinds: list[str]) -> None:
    with refusal(-32602, r"kinds: .*: expected one or more of trace, stateDiff"):
        rpc("trace_call", {"to": ALICE}, kinds)


def test_calls_change_the_slots_of_the_contract_that_owns_the_storage(network: Network) -> None:
    """A call changes the storage of the callee, a delegate call that of the caller."""
    rpc = Client(Node(network))
    inner = deploy(network, "8 1 SSTORE STOP")
    outer = deploy(network, f"0 0 0 0 0 {at(inner)} GAS CALL POP 0 0 0 0 {at(inner)} GAS DELEGATECALL POP STOP")
    diff = rpc("trace_call", {"from": ALICE, "to": hexed(outer)}, ["stateDiff"])["stateDiff"]
    assert {owner: account["storage"] for owner, account in diff.items()} == {
        hexed(inner): slots((1, 0, 8)), hexed(outer): slots((1, 0, 8))
    }  # fmt: skip
