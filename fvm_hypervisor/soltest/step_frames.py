"""A frame tracer that also records every instruction with its gas and storage access."""

from __future__ import annotations

from typing import Final

from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from fvm_hypervisor.soltest.trace.frames import FrameTracer, TracedStep
from hypervisor.errors import OutOfGas
from hypervisor.tracing import RuntimeEvent
from localnet.calls.time_limit import TimeLimit

_CLOCK: Final = 4096
"""Number of a frame's instructions between two checks of the time limit."""
_SLOAD, _SSTORE = 0x54, 0x55


class StepFrameTracer(FrameTracer):
    """A frame tracer that also records every instruction. Raises OutOfTime when the time limit is exceeded."""

    def __init__(self, rules: str, limit: TimeLimit) -> None:
        super().__init__(rules)
        self._limit = limit

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, or the cost or fault of the last one."""
        frame = self._open[-1]
        last = frame.steps[-1] if frame.steps else None
        match event:
            case EvmStep():
                if last is not None and last.opcode == _SLOAD and event.stack:
                    last.word = event.stack[-1]
                frame.note(event.pc)
                frame.steps.append(_trace(event, len(frame.items)))
                if len(frame.steps) % _CLOCK == 0:
                    self._limit.check()
            case EvmCost() if last is not None:
                last.cost += event.gas
            case EvmFault() if last is not None and event.reason == OutOfGas.__name__:
                last.cost = last.gas
            case _:
                pass


def _trace(step: EvmStep, index: int) -> TracedStep:
    slot = step.stack[-1] if step.opcode in (_SLOAD, _SSTORE) and step.stack else None
    word = step.stack[-2] if step.opcode == _SSTORE and len(step.stack) > 1 else None
    return TracedStep(step.pc, step.opcode, step.gas, index, slot, word)
