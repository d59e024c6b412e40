"""Struct logs compared with geth's for the chain of the execution-apis, instruction by instruction."""

import json
from typing import Any

import pytest

from bridge.ethereum import rlp
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import SignedTransaction, parse_transaction
from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from bridge.traces.failure_texts import LogTooLong
from bridge.traces.struct_logs import LogLimitReached, StructLogger, StructLogOptions, struct_log_trace
from fvm_hypervisor.laboratory.vectors.ethereum_json import read_accounts
from fvm_hypervisor.laboratory.vectors.statetest import base_machine
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, TraceEvent
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount
from runtimes.evm.ethereum.alloc import install_alloc
from runtimes.evm.ethereum.executor import EthereumExecutor
from store.cid import Cid
from tests.conftest import data_file

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
    """Return geth's result for each request."""
    lines = data_file(f"{CHAIN}/debug_traceBlockByNumber/{name}.io").read_text().splitlines()
    return [json.loads(line[3:])["result"] for line in lines if line.startswith("<< ")]


def apply(machine: Hypervisor, signed: SignedTransaction, options: StructLogOptions) -> list[dict[str, Any]]:
    logger = StructLogger(options, ROOM)
    machine.tracer = logger
    EthereumExecutor(machine).apply_transaction(signed.transaction, signed.sender())
    machine.tracer = None
    return logger.logs


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
    assert [log.get("storage") for log in logger.logs] == [
        {words[1]: words[7]},
        {words[1]: words[9]},
        None,
        {words[1]: words[7], words[2]: words[0]},
        None,
    ]
    assert [log["depth"] for log in logger.logs] == [1, 2, 2, 1, 1]


def test_creation_by_address_manager_has_depth_one() -> None:
    logger = listen(
        StructLogOptions(), enter(USER, ActorID(10)), enter(ActorID(10), ActorID(1)), enter(ActorID(1), SECOND),
        step(0, 0x00, "STOP"),
    )  # fmt: skip
    assert [log["depth"] for log in logger.logs] == [1]


def test_failing_instruction_has_geth_error_text() -> None:
    logger = listen(
        StructLogOptions(), enter(USER, FIRST), step(0, 0x01, "ADD", 1), EvmCost(3), EvmFault("InsufficientStack")
    )
    assert logger.logs == [
        {"pc": 0, "op": "ADD", "gas": 1000, "gasCost": 3, "depth": 1, "stack": ["0x1"], "error": "stack underflow"}
    ]


def test_disabled_struct_log_fields_are_omitted() -> None:
    options = StructLogOptions(disable_stack=True, disable_storage=True)
    stream = (enter(USER, FIRST), step(0, 0x55, "SSTORE", 7, 1, memory=bytes(32), returned=b"\1"))
    (log,) = listen(options, *stream).logs
    assert set(log) == {"pc", "op", "gas", "gasCost", "depth"}
    (log,) = listen(StructLogOptions(enable_memory=True, enable_return_data=True), *stream).logs
    assert (log["memory"], log["returnData"]) == (["0x" + "00" * 32], "0x01")


def test_limits_of_log_end_the_execution() -> None:
    steps = [step(0, 0x5B, "JUMPDEST")] * 10
    with pytest.raises(LogLimitReached, match="3 logged instructions"):
        listen(StructLogOptions(limit=3), enter(USER, FIRST), *steps)
    with pytest.raises(LogTooLong, match="at instruction 5"):
        listen(StructLogOptions(), enter(USER, FIRST), *steps, room=550)


def test_struct_log_result_has_gas_failure_and_return_value() -> None:
    assert struct_log_trace([], 1234, 33, b"\xab") == {
        "gas": 1234, "failed": True, "returnValue": "0xab", "structLogs": []
    }  # fmt: skip
