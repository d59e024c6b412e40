"""Conversion of trace events into EVM instructions and EIP-3155 trace lines.

A line has pc, op, gas and gasCost (hex), memSize (bytes), stack (hex, top last), depth (1 for the first frame), refund
and opName; a failing instruction also has `error`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from hypervisor.tracing import CallEnded, CallStarted, TraceEvent


@dataclass(frozen=True, slots=True)
class Instruction:
    """An executed instruction: call depth from 1, total gas charged, and the failure's reason (empty on success)."""

    step: EvmStep
    depth: int
    cost: int = 0
    fault: str = ""


def instructions(events: Iterable[TraceEvent]) -> Iterator[Instruction]:
    """Yield the executed instructions of a trace event stream, in order."""
    depth = 0
    last: Instruction | None = None
    for event in events:
        match event:
            case EvmCost() if last is not None:
                last = replace(last, cost=last.cost + event.gas)
            case EvmFault() if last is not None:
                last = replace(last, fault=last.fault or event.reason)
            case EvmStep() | CallStarted() | CallEnded():
                if last is not None:
                    yield last
                last = Instruction(event, depth) if isinstance(event, EvmStep) else None
                depth += isinstance(event, CallStarted) - isinstance(event, CallEnded)
            case _:
                pass
    if last is not None:
        yield last


def line(instruction: Instruction) -> dict[str, Any]:
    """Return an instruction in EIP-3155 format."""
    step = instruction.step
    fields = {
        "pc": step.pc,
        "op": step.opcode,
        "gas": hex(step.gas),
        "gasCost": hex(instruction.cost),
        "memSize": len(step.memory),
        "stack": [hex(word) for word in step.stack],
        "depth": instruction.depth,
        "returnData": "0x" + step.return_data.hex(),
        "refund": step.refund,
        "opName": step.name,
    }
    return {**fields, "error": instruction.fault} if instruction.fault else fields


def summary(state_root: bytes, output: bytes, gas_used: int, passed: bool, fork: str, error: str) -> dict[str, Any]:
    """Build the EIP-3155 summary, which is the last line of a trace."""
    fields = {
        "stateRoot": "0x" + state_root.hex(),
        "output": "0x" + output.hex(),
        "gasUsed": hex(gas_used),
        "pass": passed,
        "fork": fork,
    }
    return {**fields, "error": error} if error else fields
