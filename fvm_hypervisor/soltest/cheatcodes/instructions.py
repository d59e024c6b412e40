"""Cheatcodes for single instructions: safe memory ranges, and debug recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.safe_memory import SCRATCH
from fvm_hypervisor.soltest.cheatcodes.state import MAX_STEP_MEMORY, MAX_STEPS, DebugRecording
from fvm_hypervisor.soltest.cheatcodes.step_watch import unwatch, watch
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

# --- memory ---------------------------------------------------------------------------------------------------------


def _expect_safe(context: Context, start: int, end: int, depth: int) -> None:
    context.ethereum("tracing of instructions")
    if start >= end:
        raise CheatcodeFailure(f"memory range start ({start}) is greater than end ({end})")
    watch(context.cheats, context.calls, context.caller, context.depth)
    context.state.safe_memory.setdefault(depth, [SCRATCH]).append((start, end))


@cheatcode("expectSafeMemory(uint64,uint64)")
def _safe_memory(context: Context, start: int, end: int) -> None:
    _expect_safe(context, start, end, context.depth)


@cheatcode("expectSafeMemoryCall(uint64,uint64)")
def _safe_memory_call(context: Context, start: int, end: int) -> None:
    _expect_safe(context, start, end, context.depth + 1)


@cheatcode("stopExpectSafeMemory()")
def _stop_safe_memory(context: Context) -> None:
    context.state.safe_memory.pop(context.depth, None)
    unwatch(context.cheats, context.calls)


# --- debug recordings -----------------------------------------------------------------------------------------------


@cheatcode("startDebugTraceRecording()")
def _start_steps(context: Context) -> None:
    context.ethereum("recording of instructions")
    if context.state.steps is not None:
        raise CheatcodeFailure("debug trace recording was already started")
    watch(context.cheats, context.calls, context.caller, context.depth)
    context.state.steps = DebugRecording()


@cheatcode("stopAndReturnDebugTraceRecording()", returns="(uint256[],bytes,uint8,uint64,bool,address)[]")
def _stop_steps(context: Context) -> Sequence[Any]:
    recording, context.state.steps = context.state.steps, None
    unwatch(context.cheats, context.calls)
    if recording is None:
        raise CheatcodeFailure("nothing recorded")
    if recording.is_cut:
        raise CheatcodeFailure(
            f"the recording exceeds {MAX_STEPS} instructions or {MAX_STEP_MEMORY >> 20} MiB of memory: "
            "record a shorter part of the test"
        )
    return [
        (list(step.stack), step.memory, step.opcode, step.depth, step.out_of_gas, step.contract)
        for step in recording.steps
    ]
