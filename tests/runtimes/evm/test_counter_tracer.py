"""A tracer of program counters receives those of every instruction, from every engine, at the same gas."""

import pytest

from bridge.evm_steps import EvmStep
from hypervisor.tracing import CounterTracer, StepRecorder
from runtimes.evm.engine import FrameOutcome, SubcallOutcome
from runtimes.evm.engines import ENGINES, engine_factory
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.fake_host import RULES, FakeHost, frame_of
from tests.runtimes.evm.test_both import EVERYTHING


class Places(StepRecorder):
    """Records program counters from either tracer method."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: list[int] = []

    def visit(self, counter: int, /) -> None:
        self.counters.append(counter)


def run(engine: str, host: FakeHost, program: str) -> None:
    made = engine_factory(engine, RULES)()
    step = made.start(frame_of(assemble(program)), host)
    while not isinstance(step, FrameOutcome):
        step = made.resume(SubcallOutcome(True, b"\x09" * 40))


@pytest.mark.parametrize("engine", ENGINES)
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


def test_a_recorder_of_steps_wants_more_than_places() -> None:
    assert not isinstance(StepRecorder(), CounterTracer)
    assert isinstance(Places(), CounterTracer)
