"""Overhead of tracers in Solidity tests: a contract's loop with instructions counted for coverage, and in a trace.

Rows compare the processor time of the same call with and without a tracer, on the plain engine; a loop of 20,000
subtractions and jumps is the worst case for a tracer of instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

from bench.bench_evm import LOOP
from bench.rows import Row, seconds
from hypervisor.tracing import Tracer
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.report.collecting import VisitTracer
from hypervisor_tools.soltest.trace.frames import CounterFrameTracer, FrameTracer

INIT = bytes([0x60, len(LOOP), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + LOOP
"""Init code that returns the loop."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    settings = ExecutorSettings()
    executor = TestExecutor(settings, Cheatcodes())
    try:
        address, _ = executor.deploy(INIT, settings.sender)
        if address is None:
            raise RuntimeError("the loop was not deployed")
        made = address

        def call(tracer: Tracer | None) -> float:
            executor.machine.tracer = tracer
            try:
                return seconds(lambda: executor.call(settings.sender, made, b""), clock=process_time)
            finally:
                executor.machine.tracer = None

        alone = call(None)
        watched = {
            "a loop, counted for coverage": call(VisitTracer()),
            "a loop, with its places for a stack": call(CounterFrameTracer(settings.rules)),
            "a loop, in a trace": call(FrameTracer(settings.rules)),
        }
        for name, time in watched.items():
            yield Row(name, time / alone, f"{time * 1e3:.1f} ms, alone {alone * 1e3:.1f} ms")
    finally:
        executor.close()
