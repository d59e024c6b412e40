"""geth's struct logs: an object for each instruction of a transaction, in the format of the execution-apis.

A tracer writes each instruction directly to the result, so a long transaction needs no memory for events. It ends the
execution when the result is complete. Gas is the engine's: under Filecoin's rules the budget derived from the message's
gas (`bridge.gas`). Sources: execution-apis opcode-tracer.yaml; go-ethereum eth/tracers/logger/logger.go.

An instruction that fails before it executes, for its stack or its gas, has an error; geth counts write protection
among these for all instructions but LOG and TSTORE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from bridge.ethereum.reverts import TEXTS, UINT64_OVERFLOW, LogTooLong, fault_code, fault_text
from bridge.evm_steps import EvmCost, EvmFault, EvmStep, SlotWritten, runs_no_code
from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallNode, CallTrees, Detail, RuntimeEvent, TraceEvent
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, ActorID

_WORD: Final = 32
_RETURNDATACOPY, _SLOAD, _SSTORE = 0x3E, 0x54, 0x55
_NAMES: Final = {0x44: "DIFFICULTY"}
"""geth's names of instructions, where they are not those of the fork."""
_CHECKED_WHEN_EXECUTED: Final = (0x5D, *range(0xA0, 0xA5))
"""TSTORE and LOG, which check for write protection when they execute."""
_STIPEND: Final = 2_300
_BEFORE_EXECUTION: Final = (
    ExitCode.SYS_OUT_OF_GAS, ExitCode.EVM_CONTRACT_STACK_UNDERFLOW, ExitCode.EVM_CONTRACT_STACK_OVERFLOW,
)  # fmt: skip
_CREATION: Final = (Address.id(EAM_ACTOR), Address.id(INIT_ACTOR))


class LogLimitReached(HypervisorError):
    """Raised to end the execution when the requested size of the log is reached."""


@dataclass(frozen=True, slots=True)
class StructLogOptions:
    """Options with geth's names. `limit` is the size in bytes after which no instruction is logged, 0 for none."""

    enable_memory: bool = False
    disable_stack: bool = False
    disable_storage: bool = False
    enable_return_data: bool = False
    limit: int = 0


class StructLogger(CallTrees):
    """A tracer that collects struct logs. `remaining` is the number of bytes that may still be logged.

    Ends the execution with LogLimitReached or LogTooLong, which propagate to the end of the message.
    """

    detail = Detail.STEPS

    def __init__(self, options: StructLogOptions, remaining: int) -> None:
        super().__init__()
        self.options, self.remaining = options, remaining
        self._text = bytearray()
        """Finished logs as JSON, each with a comma: a tenth of the memory of objects."""
        self._depth = self._size = self._count = 0
        self._storage: dict[ActorID | None, dict[str, str]] = {}
        self._last: tuple[EvmStep, dict[str, Any]] | None = None
        """The last instruction and its log, which are unfinished until the next one or the end of the call."""

    def _begin(self, node: CallNode) -> None:
        self._finish()
        super()._begin(node)
        # a creation through the address manager and the init actor is one call for Ethereum
        self._depth += node.start.to not in _CREATION

    def _end(self, event: CallEnded) -> None:
        self._depth -= self._open[-1].start.to not in _CREATION
        self._finish()
        super()._end(event)

    def event(self, event: TraceEvent, /) -> None:
        """Add an event; the refund of a written slot belongs to its instruction."""
        if isinstance(event, SlotWritten) and self._last is not None and event.refund:
            step, log = self._last
            log["refund"] = step.refund + event.refund
            if not log["refund"]:
                del log["refund"]
        super().event(event)

    @property
    def logs(self) -> bytes:
        """All logs as a JSON array."""
        self._finish()
        return b"[%b]" % bytes(memoryview(self._text)[:-1])

    def step(self, event: RuntimeEvent, /) -> None:
        """Log an instruction, or add its cost or fault to the last log."""
        match event:
            case EvmStep():
                self._finish(event)
                if not runs_no_code(self._open[-1], event):
                    self._last = event, self._write(event)
            case EvmCost() if self._last is not None:
                self._last[1]["gasCost"] += event.gas
            case EvmFault() if self._last is not None:
                step, log = self._last
                text = _early_failure(step, event.reason)
                if text:
                    log["error"] = text
            case _:
                pass

    def _write(self, step: EvmStep) -> dict[str, Any]:
        options = self.options
        if options.limit and self._size > options.limit:
            raise LogLimitReached(f"the log has {self._size} bytes, which exceeds the limit of {options.limit}")
        log: dict[str, Any] = {
            "pc": step.pc,
            "op": _NAMES.get(step.opcode, step.name),
            "gas": step.gas,
            "gasCost": 0,
            "depth": self._depth,
        }
        if step.refund:
            log["refund"] = step.refund
        if not options.disable_stack:
            log["stack"] = [hex(word) for word in step.stack]
        if options.enable_memory and 2 * len(step.memory) > self.remaining:
            raise self._too_long()
        if options.enable_memory and step.memory:
            log["memory"] = [
                "0x" + step.memory[at : at + _WORD].ljust(_WORD, b"\0").hex()
                for at in range(0, len(step.memory), _WORD)
            ]
        if options.enable_return_data and step.return_data:
            log["returnData"] = "0x" + step.return_data.hex()
        return log

    def _finish(self, following: EvmStep | None = None) -> None:
        """Complete the last log with the contract's known storage; a word that was read is on the next stack."""
        if self._last is None:
            return
        (step, log), self._last = self._last, None
        stack = step.stack
        if not (self.options.disable_storage or "error" in log):
            known = self._storage.setdefault(self._open[-1].actor, {})
            if step.opcode == _SSTORE and len(stack) > 1:
                known[_pad(stack[-1])] = _pad(stack[-2])
                log["storage"] = dict(known)
            elif step.opcode == _SLOAD and stack and following is not None:
                known[_pad(stack[-1])] = _pad(following.stack[-1])
                log["storage"] = dict(known)
        text = orjson.dumps(log)
        if len(text) > self.remaining:
            raise self._too_long()
        self._size, self.remaining = self._size + len(text), self.remaining - len(text)
        self._count += 1
        self._text += text
        self._text += b","

    def _too_long(self) -> LogTooLong:
        return LogTooLong(
            f"the instruction log exceeds its maximum size at instruction {self._count}: "
            f"set a limit below {self._size} bytes"
        )


def _early_failure(step: EvmStep, reason: str) -> str:
    """Return geth's text of an instruction that failed before it executed, or an empty string."""
    code = fault_code(reason)
    if code == ExitCode.USR_READ_ONLY and step.opcode not in _CHECKED_WHEN_EXECUTED:
        return f"{TEXTS[ExitCode.SYS_OUT_OF_GAS]}: {TEXTS[code]}"
    if code == ExitCode.EVM_CONTRACT_ILLEGAL_MEMORY_ACCESS and step.opcode != _RETURNDATACOPY:
        return UINT64_OVERFLOW
    if code not in _BEFORE_EXECUTION:
        return ""
    text = fault_text(reason)
    if code == ExitCode.SYS_OUT_OF_GAS and step.opcode == _SSTORE and step.gas <= _STIPEND:
        return f"{text}: not enough gas for reentrancy sentry"
    return text


def _pad(word: int) -> str:
    return "0x" + word.to_bytes(_WORD, "big").hex()


def struct_log_trace(logs: bytes, gas_used: int, exit_code: int, returned: bytes) -> dict[str, Any]:
    """Return the complete result; `logs` is JSON, and `gas_used` is the machine's gas."""
    text = orjson.Fragment(logs)
    return {"gas": gas_used, "failed": exit_code != 0, "returnValue": "0x" + returned.hex(), "structLogs": text}
