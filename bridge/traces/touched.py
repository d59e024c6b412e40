"""Accounts and contract slots that a transaction may access, for geth's prestateTracer.

Implemented as a tracer that keeps sets instead of instructions, so that memory use does not depend on the length of a
transaction. State accesses of native actors are not included. Source: go-ethereum eth/tracers/native/prestate.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.addresses import EthAddress, from_delegated, to_ethereum, word_to_address
from bridge.evm_steps import EvmStep
from bridge.traces.failure_texts import LogTooLong
from bridge.traces.frames import Directory
from hypervisor.address import Address
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, RuntimeEvent, TraceEvent
from hypervisor.types import ActorID

_SLOTS: Final = (0x54, 0x55)  # SLOAD, SSTORE
_ADDRESSES: Final = {0x31: 1, 0x3B: 1, 0x3C: 1, 0x3F: 1, 0xF1: 2, 0xFA: 2, 0xF4: 2, 0xFF: 1}
"""Position of an address argument from the top of the stack: BALANCE, EXTCODE..., calls, SELFDESTRUCT."""

MAX_STEPS: Final = 1_000_000


@dataclass(slots=True)
class TouchedAccounts:
    """A tracer that collects accessed accounts and slots. Raises LogTooLong after a million instructions."""

    named: dict[EthAddress, None] = field(default_factory=dict)
    called: dict[Address, None] = field(default_factory=dict)
    slots: dict[ActorID, set[int]] = field(default_factory=dict)
    _running: list[ActorID | None] = field(default_factory=list)
    _steps: int = 0

    def event(self, event: TraceEvent, /) -> None:
        """Record callers and callees."""
        match event:
            case CallStarted():
                self.called |= {Address.id(event.from_): None, event.to: None}
                self._running.append(None)
            case Dispatched() if self._running:
                self._running[-1] = event.actor
            case CallEnded() if self._running:
                self._running.pop()
            case _:
                pass

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the slots and addresses that an instruction accesses."""
        if not isinstance(event, EvmStep):
            return
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise LogTooLong(f"the transaction has more than {MAX_STEPS} instructions, the maximum for this tracer")
        actor, operand = self._running[-1], _ADDRESSES.get(event.opcode)
        if operand is not None and len(event.stack) >= operand:
            self.named[word_to_address(event.stack[-operand])] = None
        elif event.opcode in _SLOTS and event.stack and actor is not None:
            self.slots.setdefault(actor, set()).add(event.stack[-1])

    def accounts(self, directory: Directory) -> dict[EthAddress, set[int]]:
        found: dict[EthAddress, set[int]] = {}
        for address in self.called:
            actor = directory.lookup(address)
            ethereum = from_delegated(address)
            if actor is not None:
                ethereum = to_ethereum(actor, directory.delegated_address(actor))
            if ethereum is not None:
                found.setdefault(ethereum, set()).update(self.slots.get(actor, ()) if actor is not None else ())
        for named in self.named:
            found.setdefault(named, set())
        return found
