"""geth's struct logs: an object for each instruction of a transaction, in the shape of the execution-apis' schema.

A listener, not a function of the recorded stream: what an instruction needs is written at once, so that a long
transaction takes no more than its answer. Where that is long enough, the listener ends the execution. Source:
execution-apis opcode-tracer.yaml. Gas is the engine's: under Filecoin's rules the budget that is derived from the
message's gas (`bridge.gas`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from bridge.traces.failure_words import fault_words
from hypervisor.address import Address
from hypervisor.errors import HypervisorError
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, RuntimeEvent, TraceEvent
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, ActorID

_WORD: Final = 32
_SLOAD, _SSTORE = 0x54, 0x55
_CREATION: Final = (Address.id(EAM_ACTOR), Address.id(INIT_ACTOR))


class LogLimitReached(HypervisorError):
    """The log has as many instructions as it was to have: what is executed is not to go on."""


class LogTooLong(HypervisorError):
    """The log takes more room than it may."""


@dataclass(frozen=True, slots=True)
class StructLogOptions:
    """What to write; the names are geth's. `limit` is the most instructions to write, 0 for all."""

    enable_memory: bool = False
    disable_stack: bool = False
    disable_storage: bool = False
    enable_return_data: bool = False
    limit: int = 0


@dataclass(slots=True)
class _Frame:
    """An open call: its depth as Ethereum counts, whose storage it has, and a SLOAD whose word is not known yet."""

    depth: int
    actor: ActorID | None = None
    loading: tuple[dict[str, Any], int] | None = None


@dataclass(slots=True)
class StructLogger:
    """Listens, and has the logs afterwards. `room` is how many characters they may take.

    Ends the execution by LogLimitReached or LogTooLong, which nothing between here and the message's end takes for its
    own.
    """

    options: StructLogOptions
    room: int
    logs: list[dict[str, Any]] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _storage: dict[ActorID | None, dict[str, str]] = field(default_factory=dict)
    _last: dict[str, Any] | None = None

    def event(self, event: TraceEvent, /) -> None:
        """Keep track of the calls."""
        match event:
            case CallStarted():
                # a creation goes through the address manager and the init actor: one call for Ethereum
                depth = self._frames[-1].depth if self._frames else 0
                self._frames.append(_Frame(depth + (event.to not in _CREATION)))
                self._last = None
            case Dispatched() if self._frames:
                self._frames[-1].actor = event.actor
            case CallEnded() if self._frames:
                self._frames.pop()
                self._last = None
            case _:
                pass

    def step(self, event: RuntimeEvent, /) -> None:
        """Write an instruction, or what became of the last one."""
        match event:
            case EvmStep():
                self._loaded(event)
                self._last = self._write(event)
            case EvmCost() if self._last is not None:
                self._last["gasCost"] += event.gas
            case EvmFault() if self._last is not None and "error" not in self._last:
                self._last["error"] = fault_words(event.reason)
            case _:
                pass

    def _write(self, step: EvmStep) -> dict[str, Any]:
        options, frame = self.options, self._frames[-1]
        if options.limit and len(self.logs) >= options.limit:
            raise LogLimitReached(f"{options.limit} instructions are logged")
        log: dict[str, Any] = {"pc": step.pc, "op": step.name, "gas": step.gas, "gasCost": 0, "depth": frame.depth}
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
            size += self._write_storage(log, step, frame)
        self.room -= size
        if self.room < 0:
            raise LogTooLong(f"the log of instructions is too long at instruction {len(self.logs)}: set a limit")
        self.logs.append(log)
        return log

    def _write_storage(self, log: dict[str, Any], step: EvmStep, frame: _Frame) -> int:
        """What the contract read and wrote so far; a word that is being read is known at the next instruction."""
        known = self._storage.setdefault(frame.actor, {})
        if step.opcode == _SSTORE and len(step.stack) > 1:
            known[_padded(step.stack[-1])] = _padded(step.stack[-2])
            log["storage"] = dict(known)
        elif step.opcode == _SLOAD and step.stack:
            frame.loading = log, step.stack[-1]
        else:
            return 0
        return 4 * _WORD * (len(known) + 1)

    def _loaded(self, step: EvmStep) -> None:
        frame = self._frames[-1]
        if frame.loading is None:
            return
        (log, slot), frame.loading = frame.loading, None
        known = self._storage.setdefault(frame.actor, {})
        known[_padded(slot)] = _padded(step.stack[-1])
        log["storage"] = dict(known)


def _padded(word: int) -> str:
    return "0x" + word.to_bytes(_WORD, "big").hex()


def struct_log_trace(logs: list[dict[str, Any]], gas_used: int, exit_code: int, returned: bytes) -> dict[str, Any]:
    """The whole answer. Gas used in the machine's gas."""
    return {"gas": gas_used, "failed": exit_code != 0, "returnValue": "0x" + returned.hex(), "structLogs": logs}
