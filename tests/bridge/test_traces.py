"""Traces in the formats of Ethereum's nodes.

- Frames built from manual event streams, compared with those of Filecoin nodes (lotus node/impl/eth/trace.go).
- Struct logs compared with geth's for the chain of the execution-apis, instruction by instruction.
"""

import json
from typing import Any

import orjson
import pytest

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, create_address, masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.reverts import LogTooLong
from bridge.ethereum.transactions import SignedTransaction, parse_transaction
from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CreateParams, CreateReturn, DelegateCallParams
from bridge.traces.frames import EthereumFrame, ethereum_frames
from bridge.traces.struct_logs import LogLimitReached, StructLogger, StructLogOptions, struct_log_trace
from bridge.traces.tracers import call_trace, filecoin_failure, flat_trace
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallStarted, CallTrees, Dispatched, EventEmitted, MessageEnded, TraceEvent
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, INIT_ACTOR, ActorID, ChainEpoch, MethodNumber, TokenAmount
from hypervisor_tools.laboratory.vectors.ethereum_json import read_accounts
from hypervisor_tools.laboratory.vectors.statetest import base_machine
from runtimes.evm.blocks.alloc import install_alloc
from runtimes.evm.revm.executor import EthereumExecutor
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link
from tests.conftest import data_file

EVM, NATIVE = cid_of(b"evm", RAW), cid_of(b"native", RAW)
ALICE, ONE, TWO, GONE = ActorID(100), ActorID(101), ActorID(102), ActorID(103)
ADDRESSES = {ALICE: EthAddress(b"\xa1" * 20), ONE: EthAddress(b"\xc1" * 20), TWO: EthAddress(b"\xc2" * 20)}
EAM, INIT = Address.id(EAM_ACTOR), Address.id(INIT_ACTOR)
INIT_CODE = b"\x60\x00"


class Directory:
    """A directory of three actors; no other has an Ethereum address."""

    def lookup(self, address: Address) -> ActorID | None:
        named = (actor for actor in ADDRESSES if self.delegated_address(actor) == address)
        return next(named, address.actor_id())

    def delegated_address(self, actor: ActorID) -> Address | None:
        address = ADDRESSES.get(actor)
        return None if address is None else Address.delegated(EAM_NAMESPACE, address)

    def is_contract(self, code: Cid) -> bool:
        return code == EVM

    def is_precompile(self, address: EthAddress) -> bool:
        return False

    def nonce(self, actor: ActorID) -> int:
        return {ALICE: 7, ONE: 3}.get(actor, 0)


def call(
    from_: ActorID,
    to: Address,
    method: int,
    params: bytes = b"",
    codec: int = 0,
    *,
    value: int = 0,
    static: bool = False,
) -> CallStarted:
    return CallStarted(from_, to, MethodNumber(method), TokenAmount(value), params, codec, static, 5_000_000)


def ended(exit_code: int = 0, data: bytes = b"", codec: int = 0, error: str = "") -> CallEnded:
    return CallEnded(exit_code, data, codec, 1_000_500, error)


def every(*events: TraceEvent) -> list[EthereumFrame]:
    """Return the frames of a message, callers before callees."""
    trees = CallTrees()
    for event in events:
        trees.event(event)
    assert len(trees.roots) == 1
    return ethereum_frames(trees, Directory())


def top(*events: TraceEvent) -> EthereumFrame:
    return every(*events)[0]


def in_contract(*events: TraceEvent, exit_code: int = 0) -> list[EthereumFrame]:
    """Return the frames of an account's call of a contract, with events inside it."""
    return every(call(ALICE, Address.id(ONE), INVOKE_EVM), Dispatched(ONE, EVM, "evm"), *events, ended(exit_code))


def test_calldata_and_return_of_contract_are_unwrapped() -> None:
    for codec, params in ((RAW, b"in"), (CBOR, byte_string(b"in"))):
        frame = top(
            call(ALICE, Address.id(ONE), INVOKE_EVM, params, codec, value=7), Dispatched(ONE, EVM, "evm"),
            ended(33, byte_string(b"out"), CBOR),
        )  # fmt: skip
        assert (frame.kind, frame.sender, frame.to) == ("CALL", ADDRESSES[ALICE], ADDRESSES[ONE])
        assert (frame.input, frame.output, frame.value, frame.exit_code) == (b"in", b"out", 7, 33)
        assert (frame.gas, frame.gas_used, frame.native) == (5000, 1001, False)


def test_bare_transfer_is_call_of_native_actor() -> None:
    frame = in_contract(call(ONE, Address.id(GONE), 0, value=3), ended())[1]
    assert (frame.kind, frame.to, frame.value, frame.native) == ("CALL", masked_id(GONE), 3, True)
    assert frame.input[:4].hex() == "868e10c4"


def test_unstarted_call_has_no_frame() -> None:
    top, *inner = in_contract(
        call(ONE, Address.id(TWO), INVOKE_EVM, value=9), ended(error="INSUFFICIENT_FUNDS"),
        call(ONE, Address.delegated(EAM_NAMESPACE, b"\x99" * 20), INVOKE_EVM, static=True), ended(error="NOT_FOUND"),
        call(ONE, Address.id(TWO), INVOKE_EVM), Dispatched(TWO, EVM, "evm"), ended(7, error="OUT_OF_GAS"),
    )  # fmt: skip
    assert top.subframes == 1
    assert [(frame.to, frame.exit_code) for frame in inner] == [(ADDRESSES[TWO], 7)]


def test_delegatecall_frame_targets_contract_of_queried_code() -> None:
    params = DelegateCallParams(EVM, b"in", ADDRESSES[ALICE], TokenAmount(5)).encode()
    asked = call(ONE, Address.id(TWO), 3, static=True), Dispatched(TWO, EVM, "evm"), ended(0, encode(link(EVM)), CBOR)
    _, delegated, inner = in_contract(
        call(ONE, Address.id(TWO), 4, static=True), Dispatched(TWO, EVM, "evm"), ended(),  # GetBytecodeHash
        *asked, *asked,
        call(ONE, Address.id(ONE), 6, params, DAG_CBOR), Dispatched(ONE, EVM, "evm"),
        call(ONE, Address.id(TWO), INVOKE_EVM), Dispatched(TWO, EVM, "evm"), ended(),
        ended(0, byte_string(b"out"), CBOR),
    )  # fmt: skip
    assert (delegated.kind, delegated.sender, delegated.to) == ("DELEGATECALL", ADDRESSES[ONE], ADDRESSES[TWO])
    assert (delegated.input, delegated.output, delegated.value) == (b"in", b"out", 5)
    assert (delegated.position, inner.position, inner.sender) == ((0,), (0, 0), ADDRESSES[ONE])


def creation(nonce: int, *inside: TraceEvent, exit_code: int = 0) -> tuple[TraceEvent, ...]:
    """Return the events of CREATE: address manager, init actor, and a constructor with the events `inside`."""
    address = create_address(ADDRESSES[ONE], nonce)
    result = CreateReturn(GONE, b"\2" + bytes(20), address).encode() if exit_code == 0 else b""
    return (
        call(ONE, EAM, 2, CreateParams(INIT_CODE, nonce).encode(), CBOR, value=4),
        Dispatched(EAM_ACTOR, NATIVE, "wasm"),
        call(EAM_ACTOR, INIT, 3, encode([link(EVM), b"", address]), CBOR), Dispatched(INIT_ACTOR, NATIVE, "wasm"),
        call(INIT_ACTOR, Address.id(GONE), 1), Dispatched(GONE, EVM, "evm"), *inside,
        ended(exit_code, byte_string(b"why") if exit_code else b"", CBOR),
        ended(exit_code), ended(exit_code, result, CBOR),
    )  # fmt: skip


@pytest.mark.parametrize("exit_code", [0, 33])
def test_create_frame_has_contract_address_even_if_removed(exit_code: int) -> None:
    inside = call(GONE, Address.id(TWO), INVOKE_EVM), Dispatched(TWO, EVM, "evm"), ended()
    _, made, inner = in_contract(*creation(1, *inside, exit_code=exit_code))
    address = create_address(ADDRESSES[ONE], 1)
    assert (made.kind, made.input, made.value, made.exit_code) == ("CREATE", INIT_CODE, 4, exit_code)
    assert (made.to, made.output) == ((None, b"why") if exit_code else (address, b"\xfe"))
    assert (made.position, inner.position, inner.sender, inner.to) == ((0,), (0, 0), address, ADDRESSES[TWO])


def test_a_creation_that_fails_before_any_code_runs_has_no_frame() -> None:
    failed = (
        call(ONE, EAM, 2, CreateParams(INIT_CODE, 1).encode(), CBOR),
        Dispatched(EAM_ACTOR, NATIVE, "wasm"),
        ended(16),
    )
    assert [frame.subframes for frame in in_contract(*failed)] == [0]


def test_native_actor_create_frame_has_0xfe_as_code() -> None:
    made = top(
        call(ALICE, INIT, 2, encode([link(NATIVE), b""]), CBOR), Dispatched(INIT_ACTOR, NATIVE, "wasm"),
        call(INIT_ACTOR, Address.id(GONE), 1), Dispatched(GONE, NATIVE, "wasm"), ended(),
        ended(0, b"\x80", CBOR),
    )  # fmt: skip
    assert (made.kind, made.input, made.output, made.to) == ("CREATE", b"\xfe", b"\xfe", masked_id(GONE))


def test_log_position_counts_preceding_calls() -> None:
    log = EventEmitted(ONE, ((3, "d", RAW, b"x"),))
    hidden = call(ONE, Address.id(TWO), 3, static=True), Dispatched(TWO, EVM, "evm"), ended()
    seen = call(ONE, Address.id(TWO), INVOKE_EVM), Dispatched(TWO, EVM, "evm"), ended()
    assert [entry.position for entry in in_contract(log, *hidden, log, *seen, log)[0].logs] == [0, 0, 1]


def test_failed_call_frame_has_exit_code_of_the_message() -> None:
    frame = top(call(ALICE, Address.id(GONE), INVOKE_EVM), ended(error="NOT_FOUND"), MessageEnded(5, 0))
    assert frame.exit_code == 5


def test_transaction_that_reached_no_actor_has_its_own_calldata_and_no_output() -> None:
    """Source: anvil 1.7.1, and EDR's test of a transaction to a precompile that runs out of gas."""
    frame = top(call(ALICE, Address.delegated(10, bytes(19) + b"\1"), INVOKE_EVM), ended(7, error="OUT_OF_GAS"))
    assert (frame.input, frame.output) == (b"", b"")


def test_deep_frames_are_built_without_recursion() -> None:
    deep = 1024 * (call(ONE, Address.id(ONE), INVOKE_EVM), Dispatched(ONE, EVM, "evm"))
    frames = every(*deep, *1024 * (ended(),))
    assert len(flat_trace(frames[-1])["traceAddress"]) == 1023
    shown, depth = call_trace(frames, lambda _: b"", only_top_call=False, with_log=True), 1
    while "calls" in shown:
        (shown,), depth = shown["calls"], depth + 1
    assert depth == 1024


def test_creation_by_native_account_that_reverts_has_the_revert_data() -> None:
    """The address manager first asks the account for its key address: method 2, as a contract's resurrection."""
    sender = ActorID(104)
    frame = top(
        call(sender, EAM, 4, byte_string(INIT_CODE), CBOR), Dispatched(EAM_ACTOR, NATIVE, "wasm"),
        call(EAM_ACTOR, Address.id(sender), 2, static=True), Dispatched(sender, NATIVE, "wasm"),
        ended(0, byte_string(b"\1" + bytes(20)), CBOR),
        call(EAM_ACTOR, INIT, 3), Dispatched(INIT_ACTOR, NATIVE, "wasm"),
        call(INIT_ACTOR, Address.id(GONE), 1), Dispatched(GONE, EVM, "evm"), ended(33, byte_string(b"why"), CBOR),
        ended(33), ended(33),
    )  # fmt: skip
    assert (frame.kind, frame.input, frame.output) == ("CREATE", INIT_CODE, b"why")
    assert flat_trace(frame)["error"] == "Reverted"


@pytest.mark.parametrize(
    "events",
    [
        (call(ALICE, Address.id(GONE), 0, value=1), ended(error="NOT_FOUND")),
        (call(ALICE, Address.delegated(32, b"abc"), 0), ended(7, error="OUT_OF_GAS")),
        (call(ALICE, EAM, 4, byte_string(INIT_CODE), CBOR), Dispatched(EAM_ACTOR, NATIVE, "wasm"), ended(16)),
        (call(ALICE, INIT, 2), Dispatched(INIT_ACTOR, NATIVE, "wasm"), ended(21)),
    ],
    ids=["unknown receiver", "out of gas", "contract", "native actor"],
)
def test_message_that_reached_no_actor_or_constructor_has_not_begun(events: tuple[TraceEvent, ...]) -> None:
    assert not top(*events).began


def test_calls_that_reached_their_receiver_have_begun() -> None:
    assert in_contract(exit_code=33)[0].began
    assert top(*creation(1, exit_code=33)).began


@pytest.mark.parametrize(
    ("receiver", "code", "words", "geth"),
    [
        (TWO, EVM, "Reverted", "execution reverted"),
        (EAM_ACTOR, NATIVE, "Reverted", "execution reverted"),
        (GONE, NATIVE, "actor error: 33", "actor error: 33"),
    ],
    ids=["contract", "address manager", "native actor"],
)
def test_exit_codes_of_contracts_are_named_by_the_code_of_the_actor(
    receiver: ActorID, code: Cid, words: str, geth: str
) -> None:
    """Source: lotus node/impl/eth/trace.go `traceIsEVMOrEAM` (lotus#13613)."""
    frame = top(call(ALICE, Address.id(receiver), 2000), Dispatched(receiver, code, "wasm"), ended(33))
    assert flat_trace(frame)["error"] == words
    assert call_trace([frame], lambda _: b"", only_top_call=True, with_log=False)["error"] == geth


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (1, "vm error: SysErrSenderInvalid(1)"),
        (7, "out of gas"),
        (9, "vm error: SysErrIllegalExitCode(9)"),
        (10, "vm error: SysFatal(10)"),
        (16, "actor error: ErrIllegalArgument(16)"),
        (26, "actor error: ErrNotPayable(26)"),
        (33, "Reverted"),
        (39, "invalid jump destination"),
        (77, "actor error: 77"),
    ],
)
def test_failure_texts_are_those_of_filecoin_nodes(exit_code: int, words: str) -> None:
    assert filecoin_failure(exit_code) == words


def construction(by: ActorID, address: EthAddress, exit_code: int = 0, data: bytes = b"") -> list[TraceEvent]:
    """Return the events of a creation under Ethereum's rules."""
    to = Address.delegated(EAM_NAMESPACE, address)
    result = (byte_string(data), CBOR) if data else (b"", 0)
    return [call(by, to, 1, INIT_CODE, RAW), Dispatched(TWO, EVM, "evm"), ended(exit_code, *result)]


def test_ethereum_rules_create_frame_is_the_constructor_call() -> None:
    address = create_address(ADDRESSES[ALICE], 6)  # the account's nonce was 6, and is 7
    frame = top(*construction(ALICE, address))
    assert (frame.kind, frame.sender, frame.to, frame.input) == ("CREATE", ADDRESSES[ALICE], address, INIT_CODE)
    trace = flat_trace(frame)
    assert (trace["type"], trace["result"]["address"]) == ("create", f"0x{address.hex()}")


def test_address_without_matching_nonce_means_create2() -> None:
    first, second, salted = (
        create_address(ADDRESSES[ONE], 1),
        create_address(ADDRESSES[ONE], 2),
        EthAddress(b"\x5a" * 20),
    )
    _, *inner = in_contract(*construction(ONE, first), *construction(ONE, salted), *construction(ONE, second))
    assert [(frame.kind, frame.to) for frame in inner] == [
        ("CREATE", first), ("CREATE2", salted), ("CREATE", second)
    ]  # fmt: skip


def test_reverted_ethereum_rules_create_frame_has_no_address() -> None:
    frame = top(*construction(ALICE, create_address(ADDRESSES[ALICE], 7), 33, b"why"))  # the revert restored its nonce
    assert (frame.kind, frame.to, frame.exit_code, frame.output) == ("CREATE", None, 33, b"why")


CHAIN = "vectors/execution-apis/tests"
ROOM = 1 << 24


def blocks() -> list[list[SignedTransaction]]:
    """Return the transactions of the chain's first two blocks, from a file of concatenated RLP lists."""
    data, found, at = data_file(f"{CHAIN}/chain.rlp").read_bytes(), [], 0
    for _ in range(2):
        size = int.from_bytes(data[at + 1 : at + 1 + data[at] - 0xF7], "big") + 1 + data[at] - 0xF7
        transactions = rlp.read_list(rlp.read_list(rlp.decode(data[at : at + size]))[1])
        found.append([parse_transaction(rlp.encode(rlp.read_list(item))) for item in transactions])
        at += size
    return found


def answers(name: str) -> list[Any]:
    lines = data_file(f"{CHAIN}/debug_traceBlockByNumber/{name}.io").read_text().splitlines()
    return [json.loads(line[3:])["result"] for line in lines if line.startswith("<< ")]


def apply(machine: Hypervisor, signed: SignedTransaction, options: StructLogOptions) -> list[dict[str, Any]]:
    logger = StructLogger(options, ROOM)
    machine.tracer = logger
    EthereumExecutor(machine).apply_transaction(signed.transaction, signed.sender())
    machine.tracer = None
    logs: list[dict[str, Any]] = json.loads(logger.logs)
    return logs


@pytest.fixture
def machine() -> Hypervisor:
    """Create the chain's genesis under the oldest available rules, which are newer than the chain's first blocks."""
    genesis = json.loads(data_file(f"{CHAIN}/genesis.json").read_text())
    machine = base_machine("py-evm").fork()
    block = EthereumBlock(fork="Cancun", gas_limit=10**9, filecoin_addresses=False)
    machine.context = MachineContext(
        epoch=ChainEpoch(1), timestamp=1, base_fee=TokenAmount(0), chain_id=1, rules="ethereum", block=block
    )
    alloc = {
        address: {"nonce": "0x0", "code": "0x", "storage": {}, **item} for address, item in genesis["alloc"].items()
    }
    install_alloc(machine, read_accounts(alloc, "alloc"))
    return machine


def relative(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace the remaining gas by the gas used so far, since intrinsic gas has changed since those blocks."""
    return [log | {"gas": logs[0]["gas"] - log["gas"]} for log in logs]


def test_struct_logs_match_geth(machine: Hypervisor) -> None:
    first, second = blocks()
    options = StructLogOptions(enable_memory=True, enable_return_data=True)
    (expected,) = answers("trace-block-memory-encoding")
    assert len(expected) == len(first) == 4
    for signed, result in zip(first, expected, strict=True):
        assert relative(apply(machine, signed, options)) == relative(result["result"]["structLogs"])
    # In the second block SLOAD and SSTORE have their costs of 2015, and two loops run until their gas is low.
    machine.advance(epoch=ChainEpoch(2))
    (expected,) = answers("trace-block-storage-encoding")
    found = [apply(machine, signed, StructLogOptions(enable_return_data=True)) for signed in second[:4]]
    free = [{name: log[name] for name in log if not name.startswith("gas") and name != "refund"} for log in found[2]]
    assert free == [
        {name: log[name] for name in log if not name.startswith("gas")} for log in expected[2]["result"]["structLogs"]
    ]
    assert sum("storage" in log for log in free) == 3
    assert relative(found[3]) == relative(expected[3]["result"]["structLogs"])


# --- manual event streams --------------------------------------------------------------------------

CODE = Cid(b"")
USER, FIRST, SECOND = ActorID(100), ActorID(101), ActorID(102)


def step(pc: int, opcode: int, name: str, *stack: int, memory: bytes = b"", returned: bytes = b"") -> EvmStep:
    return EvmStep(pc, opcode, name, 1000, stack, memory, returned, 0)


def enter(from_: ActorID, to: ActorID) -> CallStarted:
    return CallStarted(from_, Address.id(to), MethodNumber(5), TokenAmount(0), b"", 0, False, 10**6)


def listen(options: StructLogOptions, *events: TraceEvent | EvmStep, room: int = ROOM) -> StructLogger:
    logger = StructLogger(options, room)
    for event in events:
        if isinstance(event, EvmStep | EvmCost | EvmFault):
            logger.step(event)
        else:
            logger.event(event)
    return logger


def test_sload_word_belongs_to_the_reading_contract() -> None:
    logger = listen(
        StructLogOptions(),
        enter(USER, FIRST), Dispatched(FIRST, CODE, "evm"),
        step(0, 0x55, "SSTORE", 7, 1), EvmCost(20),
        enter(FIRST, SECOND), Dispatched(SECOND, CODE, "evm"),
        step(0, 0x54, "SLOAD", 1), EvmCost(8), step(1, 0x00, "STOP", 9),
        CallEnded(0, b"", 0, 0),
        step(1, 0x54, "SLOAD", 2), EvmCost(8), step(2, 0x00, "STOP", 0),
        CallEnded(0, b"", 0, 0),
    )  # fmt: skip
    words = {word: f"0x{word:064x}" for word in (0, 1, 2, 7, 9)}
    assert [log.get("storage") for log in json.loads(logger.logs)] == [
        {words[1]: words[7]},
        {words[1]: words[9]},
        None,
        {words[1]: words[7], words[2]: words[0]},
        None,
    ]
    assert [log["depth"] for log in json.loads(logger.logs)] == [1, 2, 2, 1, 1]


def test_creation_by_address_manager_has_depth_one() -> None:
    logger = listen(
        StructLogOptions(), enter(USER, ActorID(10)), enter(ActorID(10), ActorID(1)), enter(ActorID(1), SECOND),
        step(0, 0x00, "STOP"),
    )  # fmt: skip
    assert [log["depth"] for log in json.loads(logger.logs)] == [1]


def test_failing_instruction_has_geth_error_text() -> None:
    logger = listen(
        StructLogOptions(), enter(USER, FIRST), step(0, 0x01, "ADD", 1), EvmCost(3), EvmFault("InsufficientStack")
    )
    assert json.loads(logger.logs) == [
        {"pc": 0, "op": "ADD", "gas": 1000, "gasCost": 3, "depth": 1, "stack": ["0x1"], "error": "stack underflow"}
    ]


def test_disabled_struct_log_fields_are_omitted() -> None:
    options = StructLogOptions(disable_stack=True, disable_storage=True)
    stream = (enter(USER, FIRST), step(0, 0x55, "SSTORE", 7, 1, memory=bytes(32), returned=b"\1"))
    (log,) = json.loads(listen(options, *stream).logs)
    assert set(log) == {"pc", "op", "gas", "gasCost", "depth"}
    (log,) = json.loads(listen(StructLogOptions(enable_memory=True, enable_return_data=True), *stream).logs)
    assert (log["memory"], log["returnData"]) == (["0x" + "00" * 32], "0x01")


def test_limits_of_log_end_the_execution() -> None:
    """An entry has 68 bytes: {"pc":0,"op":"JUMPDEST","gas":1000,"gasCost":0,"depth":1,"stack":[]}."""
    steps = [step(0, 0x5B, "JUMPDEST")] * 10
    with pytest.raises(LogLimitReached, match="136 bytes, which exceeds the limit of 100"):
        listen(StructLogOptions(limit=100), enter(USER, FIRST), *steps)
    with pytest.raises(LogTooLong, match="at instruction 8"):
        listen(StructLogOptions(), enter(USER, FIRST), *steps, room=550)


def test_struct_log_result_has_gas_failure_and_return_value() -> None:
    assert json.loads(orjson.dumps(struct_log_trace(b"[]", 1234, 33, b"\xab"))) == {
        "gas": 1234, "failed": True, "returnValue": "0xab", "structLogs": []
    }  # fmt: skip
