"""geth's struct logs: an object for each instruction of a transaction, in the format of the execution-apis.

A tracer writes each instruction directly to the result, so a long transaction needs no memory for events. It ends the
execution when the result is complete. Gas is the engine's: under Filecoin's rules the budget derived from the message's
gas (`bridge.gas`). Source: execution-apis opcode-tracer.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from bridge.traces.failure_texts import LogTooLong, fault_text
from hypervisor.errors import HypervisorError
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallNode, CallTrees, RuntimeEvent
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, ActorID

_WORD: Final = 32
_SLOAD, _SSTORE = 0x54, 0x55
_CREATION: Final = (Address.id(EAM_ACTOR), Address.id(INIT_ACTOR))


class LogLimitReached(HypervisorError):
    """Raised to end the execution when the requested number of instructions is logged."""


@dataclass(frozen=True, slots=True)
class StructLogOptions:
    """Options with geth's names. `limit` is the maximum number of instructions, 0 for all."""

    enable_memory: bool = False
    disable_stack: bool = False
    disable_storage: bool = False
    enable_return_data: bool = False
    limit: int = 0


class StructLogger(CallTrees):
    """A tracer that collects struct logs. `remaining` is the number of characters that may still be logged.

    Ends the execution with LogLimitReached or LogTooLong, which propagate to the end of the message.
    """

    def __init__(self, options: StructLogOptions, remaining: int) -> None:
        super().__init__()
        self.options, self.remaining = options, remaining
        self.logs: list[dict[str, Any]] = []
        self._depth = 0
        self._loading: dict[int, tuple[dict[str, Any], int]] = {}
        """Unfinished SLOADs by the number of their call."""
        self._storage: dict[ActorID | None, dict[str, str]] = {}
        self._last: dict[str, Any] | None = None

    def _begin(self, node: CallNode) -> None:
        super()._begin(node)
        # a creation through the address manager and the init actor is one call for Ethereum
        self._depth += node.start.to not in _CREATION
        self._last = None

    def _end(self, event: CallEnded) -> None:
        self._depth -= self._open[-1].start.to not in _CREATION
        self._last = None
        super()._end(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Log an instruction, or add its cost or fault to the last log."""
        match event:
            case EvmStep():
                self._finish_load(event)
                self._last = self._write(event)
            case EvmCost() if self._last is not None:
                self._last["gasCost"] += event.gas
            case EvmFault() if self._last is not None and "error" not in self._last:
                self._last["error"] = fault_text(event.reason)
            case _:
                pass

    def _write(self, step: EvmStep) -> dict[str, Any]:
        options = self.options
        if options.limit and len(self.logs) >= options.limit:
            raise LogLimitReached(f"the limit of {options.limit} logged instructions is reached")
        log: dict[str, Any] = {"pc": step.pc, "op": step.name, "gas": step.gas, "gasCost": 0, "depth": self._depth}
        size = 100
        if step.refund:
            log["refund"] = step.refund
        if not options.disable_stack:
            log["stack"] = [hex(word) for word in step.stack]
            size += sum(map(len, log["stack"]))
        if options.enable_memory and step.memory:
            log["memory"] = [
                "0x" + step.memory[at : at + _WORD].ljust(_WORD, b"\0").hex()
                for at in range(0, len(step.memory), _WORD)
            ]
            size += 2 * len(step.memory)
        if options.enable_return_data and step.return_data:
            log["returnData"] = "0x" + step.return_data.hex()
            size += 2 * len(step.return_data)
        if not options.disable_storage:
            size += self._write_storage(log, step)
        self.remaining -= size
        if self.remaining < 0:
            raise LogTooLong(
                f"the instruction log exceeds its maximum size at instruction {len(self.logs)}: "
                f"set a limit of at most {len(self.logs)}"
            )
        self.logs.append(log)
        return log

    def _write_storage(self, log: dict[str, Any], step: EvmStep) -> int:
        """Log the storage that the contract has accessed; a word being read is known one step later."""
        call = self._open[-1]
        known = self._storage.setdefault(call.actor, {})
        if step.opcode == _SSTORE and len(step.stack) > 1:
            known[_pad(step.stack[-1])] = _pad(step.stack[-2])
            log["storage"] = dict(known)
        elif step.opcode == _SLOAD and step.stack:
            self._loading[call.number] = log, step.stack[-1]
        else:
            return 0
        return 4 * _WORD * (len(known) + 1)

    def _finish_load(self, step: EvmStep) -> None:
        call = self._open[-1]
        loading = self._loading.pop(call.number, None)
        if loading is None:
            return
        log, slot = loading
        known = self._storage.setdefault(call.actor, {})
        known[_pad(slot)] = _pad(step.stack[-1])
        log["storage"] = dict(known)


def _pad(word: int) -> str:
    return "0x" + word.to_bytes(_WORD, "big").hex()


def struct_log_trace(logs: list[dict[str, Any]], gas_used: int, exit_code: int, returned: bytes) -> dict[str, Any]:
    """Return the complete result; `gas_used` is the machine's gas."""
    return {"gas": gas_used, "failed": exit_code != 0, "returnValue": "0x" + returned.hex(), "structLogs": logs}
