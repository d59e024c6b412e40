"""Two engines side by side.

- Two engines side by side: equal runs pass, and every kind of difference is reported with the instructions.
- A tracer of program counters receives those of every instruction, from every engine, at the same gas.
"""

from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bridge.evm_steps import EvmStep
from hypervisor.errors import ActorExit, OutOfGas
from hypervisor.tracing import Detail, StepRecorder
from runtimes.evm.contracts.engine import CallInputs, CreateInputs, Engine, FrameOutcome, Status, Step, SubcallOutcome
from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS
from runtimes.evm.engines import FACTORIES, engine_factory
from runtimes.evm.frames.py_evm import PyEvmTable
from tests.engines.side_by_side import EnginesDiffer, pair_engines
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import OTHER, RULES, TABLE, FakeHost, frame_of

EVERYTHING = f"""
    1 2 MUL 0 MSTORE  64 0 KECCAK256 5 SSTORE  5 SLOAD 6 TSTORE  6 TLOAD POP
    {int.from_bytes(OTHER, "big")} DUP1 BALANCE POP DUP1 EXTCODESIZE POP DUP1 EXTCODEHASH POP
    2 0 64 DUP4 EXTCODECOPY
    GAS POP NUMBER POP ORIGIN POP PREVRANDAO POP 3 BLOCKHASH POP SELFBALANCE POP
    7 8 32 0 LOG2
    32 0 32 0 0 DUP6 GAS CALL
    32 0 0 CREATE
    32 0 RETURN
"""


class Bent:
    """py-evm with a modified table or a modified end."""

    def __init__(self, table: PyEvmTable = TABLE, end: Callable[[Step], Step] = lambda step: step) -> None:
        self._engine: Engine = table.engine()
        self._end = end

    def start(self, frame: Any, host: Any) -> Step:
        return self._end(self._engine.start(frame, host))

    def resume(self, answer: SubcallOutcome) -> Step:
        return self._end(self._engine.resume(answer))


def dearer(name: str, by: int = 1) -> PyEvmTable:
    number = OPCODE_NUMBERS[name]
    opcode = replace(RULES.opcodes[number], gas=RULES.opcodes[number].gas + by)
    return PyEvmTable(RULES._replace(opcodes={**RULES.opcodes, number: opcode}))


def play(program: str, second: Callable[[], Engine] = TABLE.engine, host: FakeHost | None = None) -> list[Step]:
    """Return every step of a frame whose calls succeed."""
    host = host or FakeHost()
    engine = pair_engines(("plain", TABLE.engine), ("other", second))()
    steps = [engine.start(frame_of(assemble(program)), host)]
    while not isinstance(steps[-1], FrameOutcome):
        steps.append(engine.resume(SubcallOutcome(True, b"\x09" * 40)))
    return steps


def test_a_frame_that_both_run_alike_ends_as_with_one() -> None:
    host = FakeHost()
    call, create, end = play(EVERYTHING, host=host)
    assert isinstance(call, CallInputs)
    assert isinstance(create, CreateInputs)
    assert end == FrameOutcome(Status.SUCCESS, b"\x09" * 32)
    assert host.storage.keys() == {5}
    assert len(host.logs) == 1  # the second engine has written nothing


def test_a_frame_pays_once() -> None:
    alone, watched = FakeHost(), FakeHost()
    play(EVERYTHING, host=watched)
    engine = TABLE.engine()
    step = engine.start(frame_of(assemble(EVERYTHING)), alone)
    while not isinstance(step, FrameOutcome):
        step = engine.resume(SubcallOutcome(True, b"\x09" * 40))
    assert alone.gas.left == watched.gas.left


@pytest.mark.parametrize("name", ["MUL", "MSTORE", "LOG2", "CALL", "CREATE", "RETURN", "TLOAD", "POP"])
def test_one_gas_too_much_is_found(name: str) -> None:
    with pytest.raises(EnginesDiffer, match="gas left"):
        play(EVERYTHING, dearer(name).engine)


def test_engine_mismatch_error_shows_both_instruction_traces() -> None:
    with pytest.raises(EnginesDiffer) as found:
        play("1 2 MUL 3 SSTORE 1 1 ADD", dearer("MUL").engine)
    text = str(found.value)
    assert "other calls set_storage(3, 2) with" in text
    plain, other = (
        [line for line in text.splitlines() if line.startswith(f"{name}: ")][-1] for name in ("plain", "other")
    )
    assert '"opName": "MUL"' in plain
    assert '"opName": "MUL"' in other
    assert plain.split("gasCost")[1] != other.split("gasCost")[1]


@pytest.mark.parametrize("program", ["1 3 SSTORE", "3 SLOAD", "1 3 TSTORE", "0 0 LOG0", "3 BALANCE", "3 SELFDESTRUCT"])
def test_missing_host_call_of_other_engine_is_found(program: str) -> None:
    silent = PyEvmTable(
        RULES._replace(opcodes={number: op for number, op in RULES.opcodes.items() if op.name in ("PUSH1", "PUSH0")})
    )
    with pytest.raises(EnginesDiffer):
        play(f"{program} STOP", lambda: Bent(silent, lambda _: FrameOutcome(Status.SUCCESS)))


@pytest.mark.parametrize(
    "end",
    [FrameOutcome(Status.REVERT), FrameOutcome(Status.SUCCESS, b"\x01"), CreateInputs(0, b"", None)],
)
def test_another_end_is_found(end: Step) -> None:
    with pytest.raises(EnginesDiffer, match="ends with"):
        play("1 2 ADD", lambda: Bent(end=lambda _: end))


def test_running_out_of_gas_and_being_refused_pass_where_both_do() -> None:
    with pytest.raises(OutOfGas):
        play("again: @again JUMP", host=FakeHost(gas=10**9))
    with pytest.raises(ActorExit, match="no more memory"):
        play("1 0x200000 MSTORE")


def test_a_tracer_hears_the_first_engine_and_both_tell_the_same() -> None:
    host = FakeHost()
    recorder = host.steps = StepRecorder()
    play(EVERYTHING, host=host)
    alone = FakeHost()
    other = alone.steps = StepRecorder()
    engine = TABLE.engine()
    step = engine.start(frame_of(assemble(EVERYTHING)), alone)
    while not isinstance(step, FrameOutcome):
        step = engine.resume(SubcallOutcome(True, b"\x09" * 40))
    assert recorder.events == other.events


@pytest.mark.slow
def test_an_interrupt_meanwhile_ends_the_second_engine_too() -> None:
    """The first engine has completed a loop of 65,536 iterations with 11 gas each."""
    host, ended = FakeHost(), list[OutOfGas]()

    class Interrupted(Bent):
        def start(self, frame: Any, host_: Any) -> Step:
            host.tracker.exhaust()
            with pytest.raises(OutOfGas) as stopped:
                super().start(frame, host_)
            ended.append(stopped.value)
            raise stopped.value

    with pytest.raises(OutOfGas, match="interrupted"):
        play("65536 loop: 1 SWAP1 SUB DUP1 @loop JUMPI STOP", Interrupted, host)
    assert [str(error) for error in ended] == ["interrupted"]


class Places(StepRecorder):
    """Records program counters, and the instructions of both engines at once."""

    detail = Detail.COUNTERS

    def __init__(self) -> None:
        super().__init__()
        self.counters: list[int] = []

    def visit(self, counter: int, /) -> None:
        self.counters.append(counter)

    def visit_all(self, counters: "array[int]", /) -> None:
        self.counters.extend(counters)


def run(engine: str, host: FakeHost, program: str) -> None:
    made = engine_factory(engine, RULES)()
    step = made.start(frame_of(assemble(program)), host)
    while not isinstance(step, FrameOutcome):
        step = made.resume(SubcallOutcome(True, b"\x09" * 40))


@pytest.mark.parametrize("engine", list(FACTORIES))
@pytest.mark.parametrize(
    "program", [EVERYTHING, "1 2 ADD 0 DIV POP 0 0 REVERT", "1 POP POP"], ids=["all", "revert", "underflow"]
)
def test_the_places_are_those_of_the_steps(engine: str, program: str) -> None:
    placed, stepped = FakeHost(), FakeHost()
    places, steps = Places(), StepRecorder()
    placed.steps, stepped.steps = places, steps
    run(engine, placed, program)
    run("py-evm", stepped, program)
    told = [event.pc for event in steps.events if isinstance(event, EvmStep)]
    heard = places.counters or [event.pc for event in places.events if isinstance(event, EvmStep)]
    assert heard == told
    assert placed.gas.left == stepped.gas.left
    assert placed.storage == stepped.storage
