"""What a transaction may read or change of the state: accounts, and slots of contracts. For geth's prestateTracer.

A listener: it keeps sets, not instructions, so that a long transaction takes no more memory than a short one. Rules:
go-ethereum eth/tracers/native/prestate.go. What native actors read of their own states is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.addresses import EthAddress, from_delegated, to_ethereum, word_to_address
from bridge.evm_steps import EvmStep
from bridge.traces.frames import Directory
from bridge.traces.struct_logs import LogTooLong
from hypervisor.address import Address
from hypervisor.tracing import CallEnded, CallStarted, Dispatched, RuntimeEvent, TraceEvent
from hypervisor.types import ActorID

_SLOTS: Final = (0x54, 0x55)  # SLOAD, SSTORE
_ADDRESSES: Final = {0x31: 1, 0x3B: 1, 0x3C: 1, 0x3F: 1, 0xF1: 2, 0xFA: 2, 0xF4: 2, 0xFF: 1}
"""How far from the top of the stack an address lies: BALANCE, EXTCODE..., the calls, SELFDESTRUCT."""

MOST_STEPS: Final = 1_000_000


@dataclass(slots=True)
class TouchedAccounts:
    """Listens, and has what was touched afterwards. Raises LogTooLong after a million instructions."""

    named: dict[EthAddress, None] = field(default_factory=dict)
    called: dict[Address, None] = field(default_factory=dict)
    slots: dict[ActorID, set[int]] = field(default_factory=dict)
    _running: list[ActorID | None] = field(default_factory=list)
    _steps: int = 0

    def event(self, event: TraceEvent, /) -> None:
        """Keep who calls whom."""
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
        """Keep the slots and addresses that an instruction names."""
        if not isinstance(event, EvmStep):
            return
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise LogTooLong(f"more than {MOST_STEPS} instructions: too many to look at")
        actor, place = self._running[-1], _ADDRESSES.get(event.opcode)
        if place is not None and len(event.stack) >= place:
            self.named[word_to_address(event.stack[-place])] = None
        elif event.opcode in _SLOTS and event.stack and actor is not None:
            self.slots.setdefault(actor, set()).add(event.stack[-1])

    def accounts(self, directory: Directory) -> dict[EthAddress, set[int]]:
        """Every account by its Ethereum address, with its slots."""
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
