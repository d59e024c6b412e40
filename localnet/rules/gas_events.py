"""Gas in the events of a message under Ethereum's rules, in one unit: thousandths of Ethereum gas.

Under Filecoin's rules listeners get milligas, so call trees and traces can treat both alike. Under Ethereum's rules
the calls that the kernel sends, for a native actor or a Filecoin precompile, are measured in milligas of Filecoin;
every other call is measured in whole gas (`runtimes.evm.ethereum`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bridge.gas import CHARGE_NAME, DEFAULT_RATE
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.registry import NATIVE
from hypervisor.tracing import (
    CallEnded,
    CallStarted,
    Dispatched,
    GasCharged,
    KernelSend,
    PausingTracer,
    RuntimeEvent,
    StepTracer,
    TraceEvent,
    Tracer,
)

_OF_ETHEREUM: Final = frozenset(
    ("OnIntrinsicGas", "OnCodeDeposit", "OnFailure", "OnNativeCall", "OnPrecompile", CHARGE_NAME)
)
"""Names of charges in Ethereum gas while a contract runs."""


class ThousandthsTracer:
    """A tracer that forwards events to another one, with gas in thousandths of Ethereum gas."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._sent = False
        self._open: list[tuple[bool, bool]] = []
        """For each open call: True if the kernel sent it, and True if a native actor runs."""

    def event(self, event: TraceEvent, /) -> None:
        """Forward an event."""
        match event:
            case KernelSend():
                self._sent = True
            case CallStarted():
                self._open.append((self._sent, False))
                event = replace(event, gas_available=_thousandths(event.gas_available, self._sent))
                self._sent = False
            case Dispatched() if self._open:
                self._open[-1] = self._open[-1][0], event.runtime == NATIVE
            case CallEnded() if self._open:
                sent, _ = self._open.pop()
                event = replace(event, gas_used=_thousandths(event.gas_used, sent))
            case GasCharged():
                native = bool(self._open) and (self._open[-1][1] or event.name not in _OF_ETHEREUM)
                amounts = (_thousandths(amount, native) for amount in (event.milligas, event.other))
                event = GasCharged(event.name, *amounts)
            case _:
                pass
        self._tracer.event(event)


class ThousandthsStepTracer(ThousandthsTracer):
    """A `GasTracer` that also forwards instructions, whose gas is already Ethereum's."""

    def __init__(self, tracer: StepTracer) -> None:
        super().__init__(tracer)
        self._steps = tracer

    def step(self, event: RuntimeEvent, /) -> None:
        """Forward an instruction."""
        self._steps.step(event)


class ThousandthsPausingTracer(ThousandthsStepTracer):
    """A forwarding tracer for one that pauses at instructions."""

    def __init__(self, tracer: PausingTracer) -> None:
        super().__init__(tracer)
        self._pausing = tracer

    def pause(self, number: int, counter: int, read_step: Callable[[], RuntimeEvent], /) -> int:
        """Forward an instruction and return the response."""
        return self._pausing.pause(number, counter, read_step)

    def frame_stopped(self, number: int, counter: int, /) -> None:
        """Forward the end of a frame."""
        self._pausing.frame_stopped(number, counter)


def _thousandths(gas: int, is_milligas: bool) -> int:
    return gas * MILLIGAS_PER_GAS // DEFAULT_RATE if is_milligas else gas * MILLIGAS_PER_GAS
