"""Traces of transactions and calls in geth's and Parity's forms, over both runtimes.

Shapes follow geth's page on built-in tracers, the execution-apis, and Filecoin's nodes (lotus node/impl/eth/trace.go):
calldata of handle_filecoin_method for a native call, 0xfe for created code.
"""

import json
from typing import Any

import pytest
from eth_account import Account as EthAccount

from bridge.ethereum.addresses import EthAddress, create2_address, create_address, masked_id, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Network
from localnet.contracts.contract import Artifact, Contract
from localnet.rpc.node import Node
from store.keccak import keccak
from tests.localnet.conftest import ARTIFACTS, Clock
from tests.localnet.rpc.asking import BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, client_fixture, refusal
from tests.runtimes.evm.assembler import assemble, deployer

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
CALLS = {"tracer": "callTracer"}
CALLS_AND_LOGS = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
DATACAP, NAME = 7, 48890204
HANDLE = "0x868e10c4"
ethereum = client_fixture(lambda: Network(clock=Clock(), rules="ethereum"))


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def word(number: int) -> str:
    return f"{number:064x}"


def deploy(network: Network, program: str) -> EthAddress:
    """Deploy a program of mnemonics and return its address."""
    init = deployer(assemble(program))
    receipt = network.send(None, 0, init, gas_limit=10**9)
    assert receipt.contract_address is not None
    return receipt.contract_address


def transaction(network: Network, to: EthAddress, data: bytes = b"", value: int = 0) -> str:
    """Send a transaction and return its hash, also if it fails."""
    sender = network.accounts[0]
    nonce = network.pending_nonce(to_filecoin(sender.address))
    call = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to, value, data, 10**9, 10**9, 10**5)
    return hexed(network.submit(sender.sign(call).raw()))


def at(address: bytes) -> str:
    """Return the address as a push operand."""
    return hexed(address)


# --- geth ------------------------------------------------------------------------------------------------------------


def test_a_tree_of_calls_with_its_logs_and_failures(either: Network) -> None:
    """A contract makes each kind of call; failures below drop their logs."""
    rpc = Client(Node(either))
    callee = deploy(either, "0 0 LOG0 CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN")
    failing = deploy(either, f"0 0 LOG0 0 0 0 0 0 {at(callee)} GAS CALL POP 0xdead 0 MSTORE 2 30 REVERT")
    caller = deploy(
        either,
        f"""
        0 0 LOG0
        0xaa 0 MSTORE8
        0 0 1 0 5 {at(callee)} GAS CALL POP
        0 0 LOG0
        0 0 1 0 {at(callee)} GAS DELEGATECALL POP
        0 0 0 0 0 {at(failing)} GAS CALL POP
        0 0 1 0 {at(failing)} GAS STATICCALL POP
        STOP
        """,
    )
    sent = transaction(either, caller, b"\xbb", value=9)
    top = rpc("debug_traceTransaction", sent, CALLS_AND_LOGS)
    receipt = rpc("eth_getTransactionReceipt", sent)
    assert (top["type"], top["from"], top["to"], top["value"], top["input"]) == (
        "CALL", ALICE, hexed(caller), "0x9", "0xbb"
    )  # fmt: skip
    assert (top["gas"], top["gasUsed"]) == (hex(10**9), receipt["gasUsed"])
    assert "error" not in top
    called, delegated, failed, read = top["calls"]
    assert (called["type"], called["from"], called["to"], called["value"]) == (
        "CALL", hexed(caller), hexed(callee), "0x5"
    )  # fmt: skip
    assert (called["input"], called["output"]) == ("0xaa", "0xaa")
    assert (delegated["type"], delegated["from"], delegated["to"], delegated["value"]) == (
        "DELEGATECALL", hexed(caller), hexed(callee), "0x9"
    )  # fmt: skip
    assert (delegated["input"], delegated["output"]) == ("0xaa", "0xaa")
    assert (failed["error"], failed["output"], failed["calls"][0]["to"]) == (
        "execution reverted",
        "0xdead",
        hexed(callee),
    )
    assert "revertReason" not in failed  # the data is none of Solidity's errors
    assert (read["type"], read["error"]) == ("STATICCALL", "write protection")
    assert "value" not in read
    assert [(log["index"], log["position"]) for log in top["logs"]] == [("0x0", "0x0"), ("0x2", "0x1")]
    assert [(log["index"], log["address"]) for log in called["logs"]] == [("0x1", hexed(callee))]
    assert [(log["index"], log["address"]) for log in delegated["logs"]] == [("0x3", hexed(caller))]
    assert not any("logs" in frame for frame in (failed, failed["calls"][0], read))
    assert len(receipt["logs"]) == 4
    only = rpc("debug_traceTransaction", sent, {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}})
    assert only == {name: value for name, value in top.items() if name not in ("calls", "logs")}


def test_creations_have_the_contracts_addresses_and_code(network: Network) -> None:
    rpc = Client(Node(network))
    code = assemble("0x2a 0 MSTORE 32 0 RETURN")
    init = deployer(code)
    push = " ".join(f"{byte} {place} MSTORE8" for place, byte in enumerate(init))
    factory = deploy(
        network, f"{push} {len(init)} 0 3 CREATE POP 7 {len(init)} 0 0 CREATE2 POP 7 {len(init)} 0 0 CREATE2 POP STOP"
    )
    sent = transaction(network, factory, value=3)
    first, second, again = rpc("debug_traceTransaction", sent, CALLS)["calls"]
    assert (first["type"], first["from"], first["to"]) == ("CREATE", hexed(factory), hexed(create_address(factory, 1)))
    salt = (7).to_bytes(32, "big")
    assert (second["type"], second["to"]) == ("CREATE2", hexed(create2_address(factory, salt, init)))
    for frame, value in ((first, 3), (second, 0)):
        assert (frame["input"], frame["output"], frame["value"]) == (hexed(init), hexed(code), hex(value))
    # The contract of the same salt is asked whether it would live again, and forbids it.
    assert (again["type"], again["error"], "to" in again) == ("CREATE2", "contract address collision", False)
    flat = rpc("trace_transaction", sent)
    assert [(trace["type"], trace["traceAddress"], trace["subtraces"], trace.get("error")) for trace in flat] == [
        ("call", [], 3, None),
        ("create", [0], 0, None),
        ("create", [1], 0, None),
        ("create", [2], 0, "actor error: ErrForbidden(18)"),
    ]
    assert flat[1]["action"] == {
        "from": hexed(factory), "gas": first["gas"], "value": "0x3", "init": hexed(init)
    }  # fmt: skip
    assert flat[1]["result"] == {"gasUsed": flat[1]["result"]["gasUsed"], "address": first["to"], "code": "0xfe"}
    (log, *_) = rpc("debug_traceTransaction", sent)["structLogs"]
    assert log == {"pc": 0, "op": "PUSH1", "gas": log["gas"], "gasCost": log["gasCost"], "depth": 1, "stack": []}


def test_reverted_constructor_trace_has_revert_data(network: Network) -> None:
    rpc = Client(Node(network))
    call = {"from": ALICE, "data": hexed(assemble("0xdead 0 MSTORE 2 30 REVERT"))}
    top = rpc("debug_traceCall", call, "latest", CALLS)
    assert (top["type"], top["error"], top["output"]) == ("CREATE", "execution reverted", "0xdead")
    assert "to" not in top
    logs = rpc("debug_traceCall", call, "latest")
    assert (logs["failed"], logs["returnValue"]) == (True, "0xdead")
    assert [log["op"] for log in logs["structLogs"]] == ["PUSH2", "PUSH0", "MSTORE", "PUSH1", "PUSH1", "REVERT"]
    assert {log["depth"] for log in logs["structLogs"]} == {1}


def test_reasons_of_solidity_are_read(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    data = inbox.interface.encode_call("refuse", "no way")
    top = Client(Node(network))("debug_traceCall", {"to": hexed(inbox.address), "data": hexed(data)}, "latest", CALLS)
    assert (top["error"], top["revertReason"]) == ("execution reverted", "no way")


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("again: @again JUMP", "out of gas"),
        ("INVALID", "invalid opcode: INVALID"),
        ("ADD", "stack underflow"),
        ("1 JUMP", "invalid jump destination"),
    ],
)
def test_frame_errors_use_geth_messages(network: Network, program: str, error: str) -> None:
    callee = deploy(network, program)
    caller = deploy(network, f"0 0 0 0 0 {at(callee)} 20000000 CALL STOP")
    (inner,) = Client(Node(network))("debug_traceCall", {"to": hexed(caller)}, "latest", CALLS)["calls"]
    assert inner["error"] == error


def test_prestate_and_poststate_of_transaction_are_traced(network: Network) -> None:
    """One contract has slots read, written and cleared, reads a balance, and pays a new account."""
    rpc = Client(Node(network))
    heir, asked = EthAddress(b"\x55" * 20), network.accounts[4].address
    code = assemble(f"1 SLOAD POP 0 2 SSTORE 9 3 SSTORE {at(asked)} BALANCE POP 0 0 0 0 7 {at(heir)} GAS CALL STOP")
    size = len(code)
    head = assemble(f"5 1 SSTORE 6 2 SSTORE {size} 1 @code ADD 0 CODECOPY {size} 0 RETURN code:")
    init = head + code
    contract = network.send(None, 0, init, gas_limit=10**9).contract_address
    assert contract is not None
    nonce = network.pending_nonce(to_filecoin(network.accounts[0].address))
    sent = transaction(network, contract, value=10)
    before = rpc("debug_traceTransaction", sent, {"tracer": "prestateTracer"})
    slots = {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in ((1, 5), (2, 6), (3, 0))}
    mine = hexed(contract)
    code_hash = hexed(keccak(code))
    shown = {"balance": "0x0", "nonce": 1, "code": hexed(code), "codeHash": code_hash, "storage": slots}
    assert before[mine] == shown
    assert before[hexed(asked)] == {"balance": rpc("eth_getBalance", hexed(asked), "latest")}
    assert before[ALICE]["nonce"] == nonce
    assert set(before) == {mine, hexed(asked), ALICE}, "empty accounts are omitted, as in geth"
    changed = rpc("debug_traceTransaction", sent, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})
    assert set(changed["pre"]) == {mine, ALICE}  # the heir was not there
    assert changed["pre"][mine]["storage"] == {f"0x{2:064x}": f"0x{6:064x}"}
    assert changed["post"][mine] == {"balance": "0x3", "storage": {f"0x{3:064x}": f"0x{9:064x}"}}
    assert changed["post"][hexed(heir)] == {"balance": "0x7"}
    after = {"balance": rpc("eth_getBalance", ALICE, "latest"), "nonce": nonce + 1}
    assert changed["post"][ALICE] == after
    call = {"from": ALICE, "to": mine, "value": "0x1"}
    assert rpc("debug_traceCall", call, "latest", {"tracer": "prestateTracer"})[mine]["balance"] == "0x3"


def test_trace_call_from_unknown_sender_leaves_no_tracer(network: Network) -> None:
    rpc = Client(Node(network))
    nobody = "0x" + "77" * 20
    top = rpc("debug_traceCall", {"from": nobody, "to": "0x" + "88" * 20}, "latest", CALLS)
    assert (top["from"], top["to"], top["input"]) == (nobody, "0x" + "88" * 20, "0x")
    assert rpc("debug_traceCall", {"from": nobody, "to": "0x" + "88" * 20}, None, CALLS) == top  # as in anvil and EDR
    assert network.machine.tracer is None
    assert rpc("eth_getTransactionCount", nobody) == "0x0"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"to": "0x" + "88" * 20, "value": "0x5"}, "insufficient balance for transfer"),
        ({"to": "0xff" + "00" * 11 + "000000000fffffff"}, "actor error: SYS_INVALID_RECEIVER"),
        ({"data": "0x"}, "actor error: USR_ILLEGAL_ARGUMENT"),
    ],
    ids=["no money", "nobody there", "no init code"],
)
def test_a_call_that_cannot_be_made_has_a_frame_with_the_reason(
    network: Network, call: dict[str, str], error: str
) -> None:
    rpc, request = Client(Node(network)), {"from": "0x" + "77" * 20, **call}
    assert rpc("debug_traceCall", request, "latest", CALLS)["error"] == error
    (flat,) = rpc("debug_traceCall", request, "latest", {"tracer": "flatCallTracer"})
    assert (flat["error"], "result" in flat) == (error, False)
    assert rpc("debug_traceCall", request, "latest")["failed"] is True


# --- both runtimes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(either: Network) -> tuple[Network, Contract]:
    """Return a contract that calls native actors."""
    return either, either.deploy(Artifact.load(ARTIFACTS / "Bridge.json"))


def test_native_actor_called_by_contract_has_trace_frame(asking: tuple[Network, Contract]) -> None:
    network, bridge = asking
    rpc = Client(Node(network))
    sent = hexed(bridge.send("callNative", DATACAP, NAME, b"").hash)
    (inner,) = rpc("debug_traceTransaction", sent, CALLS)["calls"]
    assert (inner["type"], inner["from"], inner["to"]) == ("CALL", hexed(bridge.address), hexed(masked_id(DATACAP)))
    # handle_filecoin_method(Name, no codec, no parameters) -> (exit 0, CBOR, "DataCap" as CBOR text)
    assert inner["input"] == HANDLE + word(NAME) + word(0) + word(96) + word(0)
    text = b"\x67DataCap"
    assert inner["output"] == "0x" + word(0) + word(0x51) + word(96) + word(len(text)) + text.hex().ljust(64, "0")
    flat = rpc("trace_transaction", sent)
    assert [trace["traceAddress"] for trace in flat] == [[], [0]]
    assert flat[1]["action"] | flat[1]["result"] == {
        "callType": "call", "from": inner["from"], "to": inner["to"], "value": "0x0", "gas": inner["gas"],
        "input": inner["input"], "output": inner["output"], "gasUsed": inner["gasUsed"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "exit_code", "name", "network_name"),
    [(2_000, 18, "USR_FORBIDDEN", "ErrForbidden"), (1 << 24, 22, "USR_UNHANDLED_MESSAGE", "ErrUnhandledMessage")],
    ids=["a private method", "no method"],
)
def test_native_actor_error_is_traced_with_exit_code(
    asking: tuple[Network, Contract], method: int, exit_code: int, name: str, network_name: str
) -> None:
    network, bridge = asking
    rpc = Client(Node(network))
    sent = hexed(bridge.send("callNative", DATACAP, method, b"").hash)
    (inner,) = rpc("debug_traceTransaction", sent, CALLS)["calls"]
    assert inner["error"] == f"actor error: {name}"
    _, flat = rpc("trace_transaction", sent)
    assert flat["error"] == f"actor error: {network_name}({exit_code})"
    assert flat["result"]["output"][2:66] == word(exit_code)


@pytest.mark.slow
def test_a_block_is_traced_whole(network: Network) -> None:
    rpc = Client(Node(network))
    counter = network.deploy(ARTIFACTS / "Counter.json")
    network.automine = False
    data = counter.interface.encode_call("increment")
    sent = [hexed(network.submit(_signed(network, nonce, counter.address, data))) for nonce in range(3)]
    network.mine()
    block = rpc("eth_getBlockByNumber", "latest")
    traced = rpc("debug_traceBlockByNumber", "latest", CALLS)
    assert [entry["txHash"] for entry in traced] == sent
    assert traced == rpc("debug_traceBlockByHash", block["hash"], CALLS)
    assert [entry["result"] for entry in traced] == [rpc("debug_traceTransaction", hash_, CALLS) for hash_ in sent]
    logs = [rpc("debug_traceTransaction", hash_)["structLogs"] for hash_ in sent]
    stored = [[log["storage"] for log in entry if log["op"] == "SSTORE"] for entry in logs]
    assert stored == [[{"0x" + word(0): "0x" + word(number)}] for number in (1, 2, 3)]
    flat = rpc("trace_block", "latest")
    assert [(trace["transactionHash"], trace["transactionPosition"]) for trace in flat] == list(
        zip(sent, range(3), strict=True)
    )
    assert {(trace["blockHash"], trace["blockNumber"]) for trace in flat} == {(block["hash"], int(block["number"], 16))}
    assert [trace for hash_ in sent for trace in rpc("trace_transaction", hash_)] == flat
    assert rpc("debug_traceTransaction", sent[1], {"tracer": "flatCallTracer"})[0]["transactionPosition"] == 1
    replayed = rpc("trace_replayBlockTransactions", "latest", ["trace"])
    assert [entry["transactionHash"] for entry in replayed] == sent
    bare = ("type", "subtraces", "traceAddress", "action", "result")
    assert [trace for entry in replayed for trace in entry["trace"]] == [
        {name: trace[name] for name in bare} for trace in flat
    ]


def test_pending_block_has_the_traces_that_it_has_when_mined(ethereum: Client) -> None:
    ethereum("evm_setAutomine", False)
    hashes = [ethereum("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": hex(value)}) for value in (1, 2)]
    pending = ethereum("debug_traceBlockByNumber", "pending", CALLS)
    ethereum("evm_mine")
    assert [each["txHash"] for each in pending] == hashes
    assert pending == ethereum("debug_traceBlockByNumber", "latest", CALLS)


def test_a_call_has_the_traces_that_its_transaction_has_then(network: Network) -> None:
    rpc = Client(Node(network))
    inner = deploy(network, "7 0 MSTORE 32 0 RETURN")
    outer = deploy(network, f"32 0 0 0 0 {at(inner)} GAS CALL POP 32 0 RETURN")
    asked = rpc("trace_call", {"from": ALICE, "to": hexed(outer)}, ["trace"])
    done = rpc("trace_replayTransaction", transaction(network, outer), ["trace"])
    assert asked["output"] == done["output"] == "0x" + word(7)
    assert (asked["stateDiff"], asked["vmTrace"]) == (None, None)

    def without_gas(traces: list[Any]) -> list[Any]:
        return [
            {**trace, "action": trace["action"] | {"gas": None}, "result": trace["result"] | {"gasUsed": None}}
            for trace in traces
        ]

    assert without_gas(asked["trace"]) == without_gas(done["trace"])
    assert [trace["traceAddress"] for trace in asked["trace"]] == [[], [0]]
    failing = deploy(network, "0 0 REVERT")
    (trace,) = rpc("trace_call", {"from": ALICE, "to": hexed(failing)}, ["trace"], "latest")["trace"]
    assert trace["error"] == "Reverted"
    with refusal(-32602, "kinds"):
        rpc("trace_call", {"to": hexed(outer)}, ["vmTrace"])


def _signed(network: Network, nonce: int, to: EthAddress, data: bytes) -> bytes:
    call = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to, 0, data, 10**8, 10**9, 10**5)
    return network.accounts[5].sign(call).raw()


@pytest.mark.slow
def test_a_tree_as_deep_as_calls_go_is_written(network: Network) -> None:
    rpc = Client(Node(network))
    diver = deploy(network, "0 0 0 0 0 ADDRESS GAS CALL STOP")
    top = rpc("debug_traceCall", {"to": hexed(diver)}, "latest", CALLS)
    depth = 1
    while "calls" in top:
        (top,), depth = top["calls"], depth + 1
    assert depth > 200
    assert top["error"] == "out of gas" or depth == 1024


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"tracer": "prestateTracer2"},
            "tracer: 'prestateTracer2' is not supported: expected callTracer, flatCallTracer, pre",
        ),
        ({"tracer": 1}, "tracer: 1 is not a string"),
        ({"enableMemory": "yes"}, "enableMemory: 'yes' is neither true nor false"),
        ({"limit": -1}, "limit: -1 is not a quantity"),
        ({"tracerConfig": [], "tracer": "callTracer"}, "tracerConfig: [] is not a valid tracer's configuration"),
        ({"stateOverrides": {"0x": {}}}, "is not a valid address"),
        ([], "[] is not a valid trace configuration"),
    ],
)
def test_a_configuration_that_is_none_is_refused_by_its_field(rpc: Client, config: Any, words: str) -> None:
    with refusal(-32602) as failed:
        rpc("debug_traceCall", {"to": ALICE}, "latest", config)
    assert words in failed.value.message


def test_genesis_and_unknown_transactions_are_not_traceable(rpc: Client) -> None:
    with pytest.raises(Failed, match="-32000: genesis is not traceable"):
        rpc("debug_traceBlockByNumber", "0x0")
    with pytest.raises(Failed, match="-32001"):
        rpc("debug_traceTransaction", "0x" + "99" * 32)
    with pytest.raises(Failed, match=r"-32602.*expected one or more of trace, stateDiff"):
        rpc("trace_replayBlockTransactions", "latest", ["vmTrace"])


OUTER = f"0x5f5f5f5f73{BOB[2:]}5afa00"
"""Calls BOB by STATICCALL."""


@pytest.mark.parametrize(
    ("code", "inner", "gas", "error"),
    [
        ("0xfe", "0x", 100_000, ""), ("0x0c", "0x", 100_000, ""), ("0x600156", "0x", 100_000, ""),
        ("0x60015f5f3e", "0x", 100_000, ""), ("0x60016001", "0x", 21_004, "out of gas"),
        ("0x5f54", "0x", 21_100, "out of gas"),
        ("0x60015f55", "0x", 23_000, "out of gas: not enough gas for reentrancy sentry"),
        (OUTER, "0x5f5f55", 100_000, "out of gas: write protection"), (OUTER, "0x5f5fa0", 100_000, ""),
        (OUTER, "0x5f5f5d", 100_000, ""), (OUTER, "0x5fff", 100_000, "out of gas: write protection"),
    ],
)  # fmt: skip
def test_only_instruction_that_fails_before_execution_has_an_error(
    ethereum: Client, code: str, inner: str, gas: int, error: str
) -> None:
    """Errors of go-ethereum 1.17.10; a failed instruction shows no storage."""
    overrides = {"stateOverrides": {NOBODY: {"code": code}, BOB: {"code": inner}}}
    logs = ethereum("debug_traceCall", {"to": NOBODY, "gas": hex(gas)}, "latest", overrides)["structLogs"]
    failed = [log for log in logs if log["depth"] == 2][-1] if code == OUTER else logs[-1]
    assert (failed.get("error", ""), "storage" in failed) == (error, False)


def test_refund_of_an_instruction_is_in_its_log(ethereum: Client) -> None:
    """SSTORE of 1, 0 and 2 to a slot that is 5, with the refunds of go-ethereum 1.17.10."""
    contract = {"code": "0x60015f555f5f5560025f5500", "state": {"0x" + "00" * 32: f"0x{5:064x}"}}
    found = ethereum("debug_traceCall", {"to": NOBODY}, "latest", {"stateOverrides": {NOBODY: contract}})
    assert [log.get("refund", 0) for log in found["structLogs"] if log["op"] == "SSTORE"] == [0, 4_800, 0]


def test_duration_of_the_time_limit_is_checked(ethereum: Client) -> None:
    for duration in ("1s", "1.5h", "-1s", "1m30s", "0"):
        ethereum("debug_traceCall", {"to": NOBODY}, "latest", {"timeout": duration})
    for duration in ("", "1", "x", "1 s"):
        with refusal(-32000, "time: invalid duration"):
            ethereum("debug_traceCall", {"to": NOBODY}, "latest", {"timeout": duration})


LONG = "0 131072 MSTORE again: @again JUMP"
"""An endless program with a large instruction log: 128 KiB of memory per entry."""


@pytest.mark.slow
def test_oversized_instruction_log_is_refused_unless_limited(network: Network) -> None:
    rpc = Client(Node(network))
    endless = deploy(network, LONG)
    with pytest.raises(Failed, match=r"-32000: the instruction log exceeds its maximum size at .* set a limit"):
        rpc("debug_traceCall", {"to": hexed(endless)}, "latest", {"enableMemory": True})
    caller = deploy(network, f"0 0 0 0 0 {at(endless)} 40000000 CALL STOP")
    result = rpc("debug_traceCall", {"to": hexed(caller)}, "latest", {"limit": 2_000})
    logs = result["structLogs"]
    sizes = [len(json.dumps(log, separators=(",", ":"))) for log in logs]
    assert sum(sizes[:-1]) <= 2_000 < sum(sizes)
    assert (logs[-1]["depth"], result["failed"], result["gas"] > 40_000_000) == (2, False, True)


@pytest.mark.slow
def test_instruction_log_ends_in_native_frames_without_effects(network: Network) -> None:
    """A constructor runs below the address manager and the init actor, both of them WASM."""
    rpc, before = Client(Node(network)), network.machine.root
    init = hexed(assemble("1 2 3 4 5 POP POP 0 0 RETURN"))
    logs = rpc("debug_traceCall", {"data": init}, "latest", {"limit": 1})
    assert (logs["failed"], [log["op"] for log in logs["structLogs"]]) == (False, ["PUSH1"])
    with pytest.raises(Failed, match="-32000"):
        rpc("debug_traceCall", {"data": hexed(assemble(LONG))}, "latest", {"enableMemory": True})
    assert (network.machine.root, network.machine.tracer) == (before, None)


# --- under Ethereum's rules, compared with anvil 1.7.1 and go-ethereum ------------------------------------------------

BOB = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
REVERTS, CREATES, DESTROYED, PAYS, LENDS, HEIR = (f"0x{byte * 20}" for byte in ("ee", "dd", "ab", "ac", "ad", "be"))
FEES = {"gas": hex(200_000), "maxFeePerGas": hex(5 * 10**9), "maxPriorityFeePerGas": hex(10**9)}


@pytest.mark.parametrize(
    ("request_", "gas_used"),
    [
        ({"to": BOB, "value": "0x5"}, 21_000),
        ({"to": BOB, "gas": "0x186a0"}, 21_000),
        ({"to": BOB, "data": "0x" + "11" * 1_000}, 61_000),
        ({"data": "0x6001600c60003960016000f300"}, 53_398),
        ({"to": CREATES}, 53_250),
        ({"to": REVERTS}, 23_109),
        ({"to": REVERTS, "gas": hex(22_000)}, 22_000),
    ],
)
def test_trace_of_call_has_gas_of_transaction(ethereum: Client, request_: dict[str, str], gas_used: int) -> None:
    """Intrinsic gas, code deposit and calldata floor count. Gas used is anvil's; the gas of a frame is geth's limit."""
    ethereum("anvil_setCode", REVERTS, "0x60005460006000fd")
    ethereum("anvil_setCode", CREATES, "0x6c6001600c60003960016000f3006000526000600d60136000f000")
    call = {"from": ALICE, **request_}
    limit = int(request_.get("gas", hex(30_000_000)), 16)
    top = ethereum("debug_traceCall", call, "latest", CALLS)
    flat = ethereum("debug_traceCall", call, "latest", {"tracer": "flatCallTracer"})[0]
    assert (int(top["gas"], 16), int(top["gasUsed"], 16)) == (limit, gas_used)
    assert int(flat["action"]["gas"], 16) == limit
    if flat.get("error") in (None, "execution reverted"):
        assert int(flat["result"]["gasUsed"], 16) == gas_used
    assert ethereum("debug_traceCall", call, "latest", {})["gas"] == gas_used
    sent = ethereum("eth_sendTransaction", {"gas": hex(100_000), **call})
    assert ethereum("debug_traceTransaction", sent, {})["gas"] == gas_used


def test_trace_of_call_has_gas_of_message_under_filecoins_rules(network: Network) -> None:
    """The gas of inclusion counts, as in an estimate, which adds a quarter."""
    rpc, call = Client(Node(network)), {"from": ALICE, "to": BOB, "value": "0x5", "data": "0x1234"}
    used = rpc("debug_traceCall", call, "latest", {})["gas"]
    assert rpc("eth_estimateGas", call, "latest") == hex(used * 5 // 4)
    top = rpc("debug_traceCall", call, "latest", CALLS)
    assert (top["gas"], top["gasUsed"]) == (hex(10_000_000_000), hex(used))


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_self_destruction_has_a_frame(evm: str) -> None:
    """A contract that destroys itself, also by a delegate call that is reverted; frames are anvil's."""
    with Network(clock=Clock(), rules="ethereum", evm=evm) as network:
        rpc = Client(Node(network))
        rpc("anvil_setCode", DESTROYED, f"0x73{HEIR[2:]}ff")
        rpc("anvil_setCode", PAYS, f"0x6000600060006000600173{DESTROYED[2:]}5af100")
        rpc("anvil_setCode", LENDS, f"0x600060006000600073{DESTROYED[2:]}5af460006000fd")
        for contract in (PAYS, LENDS):
            rpc("anvil_setBalance", contract, "0x7")
        for contract, owner, value in ((PAYS, DESTROYED, "0x1"), (LENDS, LENDS, "0x7")):
            sent = rpc("eth_sendTransaction", {"from": ALICE, "to": contract, "gas": hex(100_000)})
            inner = rpc("debug_traceTransaction", sent, CALLS)["calls"][0]
            assert inner["calls"] == [
                {"type": "SELFDESTRUCT", "from": owner, "to": HEIR, "value": value, "gas": "0x0", "gasUsed": "0x0", "input": "0x"}  # noqa: E501
            ]  # fmt: skip
            traces = rpc("trace_transaction", sent)
            assert [(trace["type"], trace["subtraces"], trace["traceAddress"]) for trace in traces] == [
                ("call", 1, []), ("call", 1, [0]), ("suicide", 0, [0, 0])
            ]  # fmt: skip
            action = {"address": owner, "refundAddress": HEIR, "balance": value}
            assert (traces[2]["action"], traces[2]["result"]) == (action, None)
            flat = rpc("debug_traceTransaction", sent, {"tracer": "flatCallTracer"})
            assert [trace["type"] for trace in flat] == ["call", "call", "suicide"]
            found = rpc("trace_filter", {"fromBlock": "latest", "toAddress": [HEIR]})
            assert [trace["type"] for trace in found] == ["suicide"]
            operations = rpc("ots_getInternalOperations", sent)
            assert {"type": 1, "from": owner, "to": HEIR, "value": value} in operations


class TestFramesUnderEthereumRules:
    """Frames of go-ethereum 1.17.10's tracers."""

    @staticmethod
    def trace(rpc: Client, code: str, tracer: str, **config: bool) -> Any:
        overrides = {PAYS: {"code": code, "nonce": "0x1"}}
        options = {"tracer": tracer, "tracerConfig": config, "stateOverrides": overrides}
        return rpc("debug_traceCall", {"from": ALICE, "to": PAYS, "gas": hex(500_000)}, "latest", options)

    def test_creation_at_a_taken_address(self, ethereum: Client) -> None:
        """CREATE2 twice with the same salt and init code, which is STOP."""
        first, second = self.trace(ethereum, "0x5f60015f5ff5505f60015f5ff500", "callTracer")["calls"]
        assert (first["type"], first["gasUsed"]) == ("CREATE2", "0x0")
        assert (second["type"], second["error"], second["input"]) == ("CREATE2", "contract address collision", "0x00")
        assert (second["gas"], "to" in second, "output" in second) == (second["gasUsed"], False, False)

    def test_output_of_a_creation_that_is_destroyed(self, ethereum: Client) -> None:
        """The created code 33ff destroys itself when it is called."""
        code = "0x696133ff5f526002601ef35f52600a60165ff05f5f5f5f5f855af100"
        created, *_ = self.trace(ethereum, code, "callTracer")["calls"]
        assert created["output"] == "0x33ff"
        _, flat, *_ = self.trace(ethereum, code, "flatCallTracer")
        assert (flat["result"]["code"], flat["action"]["creationMethod"]) == ("0x33ff", "create")

    def test_calls_without_funds_or_code(self, ethereum: Client) -> None:
        """CREATE with 5 wei, CALL of NOBODY with 1 wei and without value, and of the precompile at 2."""
        calls = f"5f5f5f5f600173{NOBODY[2:]}5af15f5f5f5f5f73{NOBODY[2:]}5af15f5f5f5f5f60025af1"
        code = f"0x5f5f6005f0{calls}00"
        shown = self.trace(ethereum, code, "callTracer")["calls"]
        poor = "insufficient balance for transfer"
        hashed = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert [(call["type"], call.get("to"), call["value"], call.get("error")) for call in shown] == [
            ("CREATE", None, "0x5", poor),
            ("CALL", NOBODY, "0x1", poor),
            ("CALL", NOBODY, "0x0", None),
            ("CALL", f"0x{2:040x}", "0x0", None),
        ]
        assert (shown[3]["output"], shown[3]["gasUsed"]) == (hashed, hex(60))
        flat = self.trace(ethereum, code, "flatCallTracer")
        assert [(trace["traceAddress"], trace["subtraces"]) for trace in flat] == [
            ([], 3),
            ([0], 0),
            ([1], 0),
            ([2], 0),
        ]
        assert ["result" in trace for trace in flat] == [True, False, False, True]
        assert len(self.trace(ethereum, code, "flatCallTracer", includePrecompiles=True)) == 5


def test_accesses_of_a_user_operation(ethereum: Client) -> None:
    """The values are go-ethereum 1.17.10's: a call, checks of code, a slot read and one written, and a hash."""
    code = f"0x5a505f5f5f5f5f73{BOB[2:]}5af173{BOB[2:]}3b1573{NOBODY[2:]}3f5060015460025560205f2000"
    state = {f"0x{1:064x}": f"0x{7:064x}"}
    overrides = {"stateOverrides": {PAYS: {"code": code, "state": state}, BOB: {"code": "0x5f5c00"}}}
    call = {"from": ALICE, "to": PAYS, "gas": hex(100_000)}
    found = ethereum("debug_traceCall", call, "latest", {"tracer": "erc7562Tracer", **overrides})
    zero = f"0x{0:064x}"
    assert found["accessedSlots"] == {
        "reads": {f"0x{1:064x}": [f"0x{7:064x}"]},
        "writes": {f"0x{2:064x}": 1},
        "transientReads": {},
        "transientWrites": {},
    }
    assert found["extCodeAccessInfo"] == [NOBODY]
    assert found["usedOpcodes"] == {
        "0x0": 1, "0x20": 1, "0x3b": 1, "0x3f": 1, "0x54": 1, "0x55": 1, "0x5a": 1, "0xf1": 1
    }  # fmt: skip
    assert found["contractSize"] == {
        BOB: {"contractSize": 3, "opcode": 0xF1}, NOBODY: {"contractSize": 0, "opcode": 0x3F}
    }  # fmt: skip
    assert (found["outOfGas"], found["keccak"]) == (False, [zero])
    (inner,) = found["calls"]
    assert (inner["usedOpcodes"], inner["accessedSlots"]["transientReads"]) == ({"0x0": 1, "0x5c": 1}, {zero: 1})
    hashes = ethereum("debug_traceCall", call, "latest", {"tracer": "keccak256PreimageTracer", **overrides})
    assert hashes == {hexed(keccak(bytes(32))): zero}
    assert ethereum("debug_traceCall", call, "latest", {"tracer": "noopTracer", **overrides}) == {}


def test_hash_beyond_memory_has_no_preimage(ethereum: Client) -> None:
    code = f"0x7f{'ff' * 32}5f2000"  # KECCAK256 of 2^256-1 bytes
    options = {"tracer": "erc7562Tracer", "stateOverrides": {PAYS: {"code": code}}}
    found = ethereum("debug_traceCall", {"from": ALICE, "to": PAYS, "gas": hex(21_060)}, "latest", options)
    assert (found["usedOpcodes"], "keccak" in found) == ({"0x20": 1}, False)


def test_preimages_of_a_block_are_bounded(ethereum: Client) -> None:
    ethereum("anvil_setCode", PAYS, "0x" + "621000005f2050" * 9)  # nine hashes of 1 MiB
    ethereum("evm_setAutomine", False)
    transaction = {"from": ALICE, "to": PAYS, "gas": hex(10_000_000)}
    hashes = [ethereum("eth_sendTransaction", transaction) for _ in range(2)]
    ethereum("evm_mine")
    options = {"tracer": "keccak256PreimageTracer"}
    assert [len(ethereum("debug_traceTransaction", each, options)) for each in hashes] == [1, 1]
    with refusal(-32000, "preimage of 1,048,576 bytes exceeds the 0 bytes"):
        ethereum("debug_traceBlockByNumber", "latest", options)


def test_access_tracer_refuses_more_than_a_million_instructions(ethereum: Client) -> None:
    overrides = {"stateOverrides": {PAYS: {"code": "0x5b5f56"}}}  # a loop
    with refusal(-32000, "more than 1000000 instructions"):
        ethereum("debug_traceCall", {"to": PAYS}, "latest", {"tracer": "erc7562Tracer", **overrides})


class TestPrestate:
    """geth's prestateTracer: accounts as in anvil, without those that were empty, as in geth."""

    CODE = "0x6001545060006002556009600355739999999999999999999999999999999999999999315000"
    """Reads slot 1, clears slot 2, sets slot 3, and reads a balance."""

    @pytest.fixture
    def rpc(self, ethereum: Client) -> Client:
        ethereum("anvil_setCoinbase", HEIR)
        ethereum("anvil_setBalance", HEIR, "0x1")
        ethereum("anvil_setCode", PAYS, self.CODE)
        for slot in (1, 2):
            ethereum("anvil_setStorageAt", PAYS, hex(slot), f"0x{slot:064x}")
        return ethereum

    @staticmethod
    def trace(rpc: Client, request: dict[str, Any], **config: bool) -> Any:
        sent = rpc("eth_sendTransaction", {"from": ALICE, **FEES, **request})
        options = {"tracer": "prestateTracer", "tracerConfig": config}
        found = rpc("debug_traceTransaction", sent, options)
        rpc("anvil_rollback", 1)
        if not config.get("diffMode"):
            called = rpc("debug_traceCall", {"from": ALICE, **request}, "latest", options)
            assert called.keys() == found.keys()
        return found

    def test_code_has_its_hash(self, rpc: Client) -> None:
        found = self.trace(rpc, {"to": PAYS}, disableCode=True)
        assert found[PAYS]["codeHash"] == hexed(keccak(bytes.fromhex(self.CODE[2:])))
        assert "codeHash" not in found[ALICE]
        created = self.trace(rpc, {"data": "0x602a5f526001601ff3"}, diffMode=True)["post"]
        assert [each["codeHash"] for each in created.values() if "code" in each] == [hexed(keccak(b"\x2a"))]

    def test_missing_account_has_zero_code_hash_after(self, rpc: Client) -> None:
        """The contract calls the precompile at 2, and NOBODY with more value than it has."""
        rpc("anvil_setCode", PAYS, f"0x5f5f5f5f5f60025af15f5f5f5f600173{NOBODY[2:]}5af100")
        found = self.trace(rpc, {"to": PAYS}, diffMode=True)
        missing = {"codeHash": f"0x{0:064x}"}
        assert (found["post"][f"0x{2:040x}"], found["post"][NOBODY]) == (missing, missing)
        assert found["pre"].keys() == {ALICE, HEIR}

    def test_destroyed_new_contract_has_no_state_after(self, rpc: Client) -> None:
        found = self.trace(rpc, {"data": "0x33ff", "value": "0x4"}, diffMode=True)
        assert found["post"].keys() == {ALICE, HEIR}

    def test_account_of_a_failed_creation_is_included(self, rpc: Client) -> None:
        """A creation with more value than the creator has."""
        rpc("anvil_setCode", PAYS, "0x5f5f6005f000")
        found = self.trace(rpc, {"to": PAYS}, includeEmpty=True)
        assert hexed(create_address(EthAddress(bytes.fromhex(PAYS[2:])), 0)) in found

    def test_accounts_of_failed_instructions_are_omitted(self, rpc: Client) -> None:
        rpc("anvil_setCode", PAYS, f"0x73{NOBODY[2:]}31")
        assert NOBODY not in self.trace(rpc, {"to": PAYS, "gas": hex(23_000)}, includeEmpty=True)

    def test_fee_recipient_is_included(self, rpc: Client) -> None:
        assert self.trace(rpc, {"to": BOB}).keys() == {ALICE, BOB, HEIR}
        changed = self.trace(rpc, {"to": BOB}, diffMode=True)
        assert changed["pre"].keys() == changed["post"].keys() == {ALICE, HEIR}
        assert changed["post"][HEIR] == {"balance": hex(1 + 21_000 * 10**9)}

    @pytest.mark.slow
    def test_options_select_code_storage_and_empty_accounts(self, rpc: Client) -> None:
        whole = self.trace(rpc, {"to": PAYS})
        assert whole.keys() == {ALICE, PAYS, HEIR}
        slots = {f"0x{slot:064x}": f"0x{word:064x}" for slot, word in ((1, 1), (2, 2), (3, 0))}
        assert (whole[PAYS]["code"], whole[PAYS]["storage"]) == (self.CODE, slots)
        for option, field in (("disableCode", "code"), ("disableStorage", "storage")):
            without = {name: value for name, value in whole[PAYS].items() if name != field}
            assert self.trace(rpc, {"to": PAYS}, **{option: True}) == {**whole, PAYS: without}
        empty = {f"0x{'99' * 20}": {"balance": "0x0"}}
        assert self.trace(rpc, {"to": PAYS}, includeEmpty=True) == {**whole, **empty}
        assert PAYS not in self.trace(rpc, {"to": PAYS}, diffMode=True, disableStorage=True)["pre"]
        with refusal(-32602, "diffMode excludes includeEmpty"):
            self.trace(rpc, {"to": PAYS}, diffMode=True, includeEmpty=True)

    def test_delegates_and_authorities_are_included(self, rpc: Client) -> None:
        signed = EthAccount.from_key(rpc.node.network.accounts[1].private_key).sign_authorization(
            {"chainId": 31337, "address": PAYS, "nonce": 0}
        )
        numbers = {name: hex(getattr(signed, name)) for name in ("nonce", "r", "s")}
        listed = [{"chainId": hex(31337), "address": PAYS, "yParity": hex(signed.y_parity), **numbers}]
        assert self.trace(rpc, {"to": ALICE, "authorizationList": listed}).keys() == {ALICE, BOB, HEIR}
        rpc("eth_sendTransaction", {"from": ALICE, "to": ALICE, "authorizationList": listed})
        assert self.trace(rpc, {"to": BOB}).keys() == {ALICE, BOB, PAYS, HEIR}
        rpc("anvil_setCode", LENDS, f"0x60006000600060006000{'73' + BOB[2:]}5af100")
        assert self.trace(rpc, {"to": LENDS}).keys() == {ALICE, LENDS, BOB, PAYS, HEIR}

    def test_code_of_callcode_is_included(self, rpc: Client) -> None:
        rpc("anvil_setCode", LENDS, f"0x60006000600060006000{'73' + PAYS[2:]}5af200")
        assert self.trace(rpc, {"to": LENDS}).keys() == {ALICE, LENDS, PAYS, HEIR}

    def test_creation_that_destroys_itself_is_not_listed(self, rpc: Client) -> None:
        assert self.trace(rpc, {"data": "0x30ff"}).keys() == {ALICE, HEIR}
        created = hexed(create_address(EthAddress(bytes.fromhex(ALICE[2:])), 0))
        found = self.trace(rpc, {"data": "0x30ff"}, includeEmpty=True)
        assert (found.keys(), found[created]) == ({ALICE, HEIR, created}, {"balance": "0x0"})

    def test_destroyed_contract_is_in_pre_only(self) -> None:
        with Network(clock=Clock(), rules="ethereum", hardfork="shanghai") as network:
            rpc = Client(Node(network))
            rpc("anvil_setCode", DESTROYED, f"0x73{BOB[2:]}ff")
            changed = self.trace(rpc, {"to": DESTROYED, "value": "0x1"}, diffMode=True)
            assert DESTROYED in changed["pre"]
            assert DESTROYED not in changed["post"]
