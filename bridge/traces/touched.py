"""Accounts and contract slots that a transaction may access, for geth's prestateTracer.

Implemented as a tracer that keeps sets instead of instructions, so that memory use does not depend on the length of a
transaction. State accesses of native actors are not included. Source: go-ethereum eth/tracers/native/prestate.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.ethereum.addresses import EthAddress, from_delegated, to_ethereum, word_to_address
from bridge.evm_steps import EvmStep
from bridge.traces.failure_texts import LogTooLong
from bridge.traces.frames import Directory
from hypervisor.messages.address import Address
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, RuntimeEvent, TraceEvent
from hypervisor.types import ActorID

_SLOTS: Final = (0x54, 0x55)  # SLOAD, SSTORE
_CALLS: Final = (0xF1, 0xF2, 0xF4, 0xFA)
_ADDRESSES: Final = {0x31: 1, 0x3B: 1, 0x3C: 1, 0x3F: 1, 0xFF: 1, **dict.fromkeys(_CALLS, 2)}
"""Position of an address argument from the top of the stack: BALANCE, EXTCODE..., SELFDESTRUCT, calls."""

MAX_STEPS: Final = 1_000_000


@dataclass(slots=True)
class TouchedAccounts:
    """A tracer that collects accessed accounts and slots. Raises LogTooLong after a million instructions."""

    named: dict[EthAddress, None] = field(default_factory=dict)
    called: dict[Address, None] = field(default_factory=dict)
    targets: dict[EthAddress, None] = field(default_factory=dict)
    """Addresses that were called, with the code of themselves or of their EIP-7702 delegates."""
    slots: dict[ActorID, set[int]] = field(default_factory=dict)
    _names: dict[ActorID, Address] = field(default_factory=dict)
    """Delegated addresses of the actors that ran, which the final state lacks for destroyed ones."""
    _running: list[ActorID | None] = field(default_factory=list)
    _steps: int = 0

    def event(self, event: TraceEvent, /) -> None:
        """Record callers and callees."""
        match event:
            case CallStarted():
                self.called |= {Address.id(event.from_): None, event.to: None}
                self._running.append(None)
                target = from_delegated(event.to)
                if target is not None:
                    self.targets[target] = None
            case Dispatched() if self._running:
                self._running[-1] = event.actor
                if event.delegated is not None:
                    self._names[event.actor] = event.delegated
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
            address = word_to_address(event.stack[-operand])
            self.named[address] = None
            if event.opcode in _CALLS:
                self.targets[address] = None
        elif event.opcode in _SLOTS and event.stack and actor is not None:
            self.slots.setdefault(actor, set()).add(event.stack[-1])

    def accounts(self, directory: Directory) -> dict[EthAddress, set[int]]:
        """Return the accessed accounts with their accessed slots; the directory is that of the final state."""
        found: dict[EthAddress, set[int]] = {}
        for address in self.called:
            actor = directory.lookup(address)
            ethereum = from_delegated(address)
            if actor is not None:
                ethereum = to_ethereum(actor, directory.delegated_address(actor) or self._names.get(actor))
            if ethereum is not None:
                found.setdefault(ethereum, set()).update(self.slots.get(actor, ()) if actor is not None else ())
        for named in self.named:
            found.setdefault(named, set())
        return found
