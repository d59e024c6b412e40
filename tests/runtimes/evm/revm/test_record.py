"""The events that a tracer gets of a transaction whose frames the guest runs.

Expected: those of the same transaction with the plain engine, whose instructions are reported as they run.
"""

from array import array
from contextlib import suppress
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmCost, EvmFrame, EvmStep, Instruction, instructions
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import (
    CallEnded,
    CallNode,
    CallTrees,
    Detail,
    EventEmitted,
    GasCharged,
    Recorder,
    RuntimeEvent,
    StepRecorder,
    TraceEvent,
    Tracer,
    walk,
)
from hypervisor.types import ActorID
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.forks.validation import InvalidTransaction
from runtimes.evm.revm import EthereumExecutor
from runtimes.evm.revm.record import Replay
from runtimes.evm.revm.session import RECORD_SIZE
from tests.differential.grammar import SENDER
from tests.engines.scenes import ETHEREUM, Batch, Call, batch
from tests.engines.worlds import EthereumMachine
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import create, word

FIRST, SECOND, POOR, NOBODY = (EthAddress(bytes([number]) * 20) for number in (0xC1, 0xC2, 0xC3, 0xC4))
WRITES = "5 1 SSTORE 7 0 0 LOG1 0x2a 0 MSTORE 32 0 RETURN"
PROGRAMS = {
    "a call": f"0 0 32 0 9 {word(SECOND)} GAS CALL 32 0 RETURN",
    "a call that fails": f"0 0 0 0 0 {word(POOR)} GAS CALL 0 0 REVERT",
    "a static call": f"0 0 0 0 {word(SECOND)} GAS STATICCALL",
    "a delegate call": f"0 0 0 0 {word(SECOND)} GAS DELEGATECALL",
    "a call with another's code": f"0 0 0 0 3 {word(SECOND)} GAS CALLCODE",
    "an account without code": f"0 0 0 0 1 {word(NOBODY)} GAS CALL 0 0 0 0 0 {word(NOBODY)} GAS CALL",
    "no account": f"0 0 0 0 0 {word(NOBODY)} GAS CALL 0 0 0 0 {word(NOBODY)} GAS DELEGATECALL",
    "too little funds": f"0 0 0 0 100 {word(SECOND)} GAS CALL {create(deployer(assemble('STOP')), 100)}",
    "creations": f"{create(deployer(assemble('STOP')), 1)} {create(assemble('0 0 REVERT'), 0)}",
    "a creation at an occupied address": "0 0 0 0 CREATE2 0 0 0 0 CREATE2 0xfe 0 MSTORE8 1 0 0 CREATE",
    "a destruction": f"0 0 0 0 0 {word(POOR)} GAS CALL {word(NOBODY)} SELFDESTRUCT",
    "precompiles": "7 0 MSTORE 32 0 32 0 0 4 GAS CALL 0 0 32 0 2 GAS DELEGATECALL 0 0 32 0 0 6 GAS CALL",
    "slots": "1 1 SSTORE 0 1 SSTORE 4 2 SSTORE 4 2 SSTORE",
    "no gas": "again: @again JUMP",
    "an invalid jump": "3 JUMP",
}  # fmt: skip


class Counting(CallTrees):
    """Call trees with program counters."""

    detail = Detail.COUNTERS

    def visit(self, counter: int, /) -> None:
        """Note an instruction of an engine in Python."""
        self._open[-1].note(counter)

    def visit_all(self, counters: "array[int]", /) -> None:
        """Note the instructions of a record."""
        self._open[-1].note_all(counters)


class Stepping(CallTrees):
    """Call trees with all events."""

    detail = Detail.STEPS

    def __init__(self) -> None:
        super().__init__()
        self.events: list[TraceEvent] = []

    def event(self, event: TraceEvent, /) -> None:
        """Note an event of a call."""
        self.events.append(event)
        super().event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Note an event of an instruction."""
        self.events.append(event)


def instructions_of(tracer: Stepping) -> list[Instruction]:
    """Return the instructions with their costs, unless they have failed, and without those of empty code."""
    events, has_code = [], True
    for event in tracer.events:
        if isinstance(event, EvmFrame | CallEnded):
            has_code = not isinstance(event, EvmFrame) or event.code != b""
        if has_code or not isinstance(event, EvmStep | EvmCost):  # the engines of frames count a STOP
            events.append(event)
    return [each._replace(cost=0) if each.fault else each for each in instructions(events)]


def calls_of(trees: CallTrees) -> list[Any]:
    """Return the calls; without what depends on the numbers of actors, or on the reason why gas has run out."""
    return [_comparable(node) for node in walk(trees.roots)]


def _comparable(node: CallNode) -> Any:
    start, end = node.start._replace(from_=ActorID(0)), node.end
    assert end is not None
    if node.start.to.actor_id() is not None:
        start = start._replace(to=node.start.to.id(ActorID(0)))
    is_halted = end.exit_code not in (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
    out_of_gas = end.exit_code == ExitCode.SYS_OUT_OF_GAS and "gas" in end.message
    charges = {} if is_halted else {name: gas for name, gas in node.charges.items() if gas}
    items = [
        item.number if isinstance(item, CallNode) else item.entries if isinstance(item, EventEmitted) else item
        for item in node.items
    ]
    has_code = any(isinstance(item, EvmFrame) and item.code for item in items)  # the plain engine counts a STOP else
    return (
        start, node.code, node.runtime, node.delegated, node.found, charges, items,
        list(node.counters) if has_code else [], node.called_at, end._replace(message="") if out_of_gas else end,
    )  # fmt: skip


def started(engine: str, drawn: Batch) -> EthereumMachine:
    machine = EthereumMachine(engine, drawn.rules)
    machine.begin(drawn)
    return machine


def apply(machine: EthereumMachine, call: Call, tracer: Tracer) -> None:
    machine.machine.tracer = tracer
    EthereumExecutor(machine.machine).apply_transaction(machine.transaction(call, call.gas_limit), SENDER)


def traced(engine: str, drawn: Batch, call: Call, tracer: CallTrees) -> list[Any]:
    apply(started(engine, drawn), call, tracer)
    return calls_of(tracer)


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the records that are given to tracers."""
    sizes: list[int] = []
    run = Replay.run

    def counting(replay: Replay, record: bytes, at: int) -> None:
        sizes.append(len(record))
        run(replay, record, at)

    monkeypatch.setattr(Replay, "run", counting)
    return sizes


@pytest.mark.parametrize("size", [RECORD_SIZE, 0], ids=["whole", "parts"])
@pytest.mark.parametrize("kind", [CallTrees, Counting])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_recorded_calls_are_those_of_the_plain_engine(
    program: str, kind: type[CallTrees], size: int, replays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimes.evm.revm.session.RECORD_SIZE", size)
    accounts = {
        SENDER: AllocAccount(10**24),
        FIRST: AllocAccount(10, 1, assemble(program), {2: 3}),
        SECOND: AllocAccount(0, 1, assemble(WRITES)),
        POOR: AllocAccount(0, 1, assemble("5 1 SSTORE 0x33 0 MSTORE 32 0 REVERT")),
    }
    call = Call(FIRST, b"\1\2", 7, 900_000)
    drawn = Batch("one", "Osaka", False, accounts, (call,))
    expected = traced("py-evm", drawn, call, kind())
    replays.clear()
    assert traced("fast", drawn, call, kind()) == expected
    assert len(replays) == 1 or not size


@pytest.mark.parametrize("size", [RECORD_SIZE, 0], ids=["whole", "parts"])
@pytest.mark.parametrize("program", [text for name, text in PROGRAMS.items() if name != "no gas"])
def test_recorded_instructions_are_those_of_the_plain_engine(
    program: str, size: int, monkeypatch: pytest.MonkeyPatch, replays: list[int]
) -> None:
    monkeypatch.setattr("runtimes.evm.revm.session.RECORD_SIZE", size)
    accounts = {
        SENDER: AllocAccount(10**24),
        FIRST: AllocAccount(10, 1, assemble(program), {2: 3}),
        SECOND: AllocAccount(0, 1, assemble(WRITES)),
        POOR: AllocAccount(0, 1, assemble("5 1 SSTORE 0x33 0 MSTORE 32 0 REVERT")),
    }
    call = Call(FIRST, b"\1\2", 7, 900_000)
    drawn, found = Batch("one", "Osaka", False, accounts, (call,)), list[tuple[TraceEvent, list[Instruction]]]()
    for engine in ("py-evm", "fast"):
        tracer = Stepping()
        traced(engine, drawn, call, tracer)
        found.append((tracer.events[0], instructions_of(tracer)))
    assert found[0][0] == GasCharged("OnIntrinsicGas", 21_032)
    assert found[1] == found[0]
    assert replays


@pytest.mark.slow
def test_recorded_instructions_of_generated_programs(replays: list[int]) -> None:
    for number in range(24):
        drawn = batch(78, number)
        if drawn.rules not in ETHEREUM or drawn.framed or drawn.intercepted:
            continue  # Python runs their frames, or the kernel makes their calls
        machines = [EthereumMachine(engine, drawn.rules) for engine in ("py-evm", "fast")]
        for machine in machines:
            machine.begin(drawn)
        for call in drawn.calls:
            expected, found = (_steps(machine, drawn.rules, call) for machine in machines)
            assert found == expected, f"{drawn.name}: {call}"
    assert len(replays) > 20


def _steps(machine: EthereumMachine, rules: str, call: Call) -> list[Instruction]:
    """Return the instructions, without the reasons of faults, of which several may apply.

    Costs include new accounts (EIP-8037) only in a session.
    """
    tracer = machine.machine.tracer = Stepping()
    with machine.machine.trial(), suppress(InvalidTransaction):
        transaction = machine.transaction(call, call.gas_limit)
        EthereumExecutor(machine.machine).apply_transaction(transaction, SENDER)
    found = [each._replace(fault=each.fault and "failed") for each in instructions_of(tracer)]
    return [each._replace(cost=0) for each in found] if rules == "Amsterdam" else found


@pytest.mark.slow
def test_recorded_calls_of_generated_programs(replays: list[int]) -> None:
    for number in range(36):
        drawn = batch(77, number)
        if drawn.rules not in ETHEREUM or drawn.framed or drawn.intercepted:
            continue  # Python runs their frames, or the kernel makes their calls
        machines = [EthereumMachine(engine, drawn.rules) for engine in ("py-evm", "fast")]
        for machine in machines:
            machine.begin(drawn)
        for call in drawn.calls:
            expected, found = (_trees(machine, call) for machine in machines)
            assert _starts(found) == _starts(expected), f"{drawn.name}: {call}"
    assert len(replays) > 20


def _trees(machine: EthereumMachine, call: Call) -> CallTrees:
    machine.machine.tracer = trees = CallTrees()
    with machine.machine.trial(), suppress(InvalidTransaction):
        transaction = machine.transaction(call, call.gas_limit)
        EthereumExecutor(machine.machine).apply_transaction(transaction, SENDER)
    return trees


def _starts(trees: CallTrees) -> list[Any]:
    """Return the beginnings and ends of calls."""
    return [(node[0], node[5], node[-1].gas_used) for node in calls_of(trees)]


def test_tracer_of_other_events_does_not_take_the_record() -> None:
    assert CallTrees().takes_record
    assert StepRecorder().takes_record
    assert not CallTrees(details=(EventEmitted,)).takes_record
    assert not Recorder().takes_record


def test_tracer_that_takes_no_record_gets_each_event_when_it_happens() -> None:
    """An instruction's effects are reported before its cost, and the next instruction has not run."""
    seen: list[str] = []

    class Listening(Tracer):
        detail = Detail.STEPS

        def event(self, event: TraceEvent, /) -> None:
            if not isinstance(event, GasCharged):
                seen.append(type(event).__name__)

        def step(self, event: RuntimeEvent, /) -> None:
            seen.append(event.name if isinstance(event, EvmStep) else type(event).__name__)
            if seen[-1] == "MSTORE":
                raise KeyboardInterrupt

    accounts = {SENDER: AllocAccount(10**24), FIRST: AllocAccount(0, 1, assemble(WRITES))}
    call, drawn = Call(FIRST, b"", 0, 100_000), Batch("one", "Osaka", False, accounts, ())
    with pytest.raises(KeyboardInterrupt):
        apply(started("fast", drawn), call, Listening())
    started_at = seen.index("EvmFrame")
    assert seen[:started_at] == ["CallStarted", "ActorFound", "Dispatched"]
    pushes = ["PUSH1", "EvmCost", "PUSH1", "EvmCost"]
    assert seen[started_at + 1 :] == [
        *pushes, "SSTORE", "SlotWritten", "EvmCost", "PUSH1", "EvmCost", "PUSH0", "EvmCost", "PUSH0", "EvmCost",
        "LOG1", "EventEmitted", "EvmCost", "PUSH1", "EvmCost", "PUSH0", "EvmCost", "MSTORE",
    ]  # fmt: skip


def test_large_record_is_replayed_in_parts(replays: list[int]) -> None:
    """67 calls with 1 MiB of calldata, of which the guest keeps copies."""
    code = assemble(f"67 again: 0 0 0x100000 0 0 {word(NOBODY)} GAS CALL POP 1 SWAP1 SUB DUP1 @again JUMPI STOP")
    drawn = Batch("large", "Osaka", False, {SENDER: AllocAccount(10**24), FIRST: AllocAccount(0, 1, code)}, ())
    tree = CallTrees()
    traced("fast", drawn, Call(FIRST, b"", 0, 10_000_000), tree)
    assert sum(len(node.start.params) for node in walk(tree.roots)) > 64 << 20
    assert len(replays) > 30


def test_counters_of_a_long_loop_are_replayed_before_its_end(replays: list[int]) -> None:
    class Stopping(Counting):
        def visit_all(self, counters: "array[int]", /) -> None:
            super().visit_all(counters)
            if len(self._open[-1].counters) > 600_000:
                raise KeyboardInterrupt

    accounts = {SENDER: AllocAccount(10**24), FIRST: AllocAccount(0, 1, assemble("again: @again JUMP"))}
    tracer, drawn = Stopping(), Batch("endless", "Osaka", False, accounts, ())
    with pytest.raises(KeyboardInterrupt):
        traced("fast", drawn, Call(FIRST, b"", 0, 16_000_000), tracer)
    assert len(replays) == 3
    assert tracer.roots[0].counters[:7].tolist() == [0, 1, 4, 0, 1, 4, 0]


@pytest.mark.parametrize("engine", ["py-evm", "fast"])
def test_a_transaction_whose_tracer_raises_has_no_effect(engine: str) -> None:
    class Raising(CallTrees):
        def event(self, event: TraceEvent, /) -> None:
            super().event(event)
            if isinstance(event, CallEnded):
                raise KeyboardInterrupt

    drawn = Batch(
        "one", "Osaka", False, {SENDER: AllocAccount(10**24), FIRST: AllocAccount(0, 1, assemble(WRITES))}, ()
    )
    machine = EthereumMachine(engine, drawn.rules)
    machine.begin(drawn)
    machine.machine.flush()
    before, call = machine.machine.root, Call(FIRST, b"", 0, 100_000)
    machine.machine.tracer = Raising()
    with pytest.raises(KeyboardInterrupt):
        EthereumExecutor(machine.machine).apply_transaction(machine.transaction(call, call.gas_limit), SENDER)
    machine.machine.flush()
    assert machine.machine.root == before
