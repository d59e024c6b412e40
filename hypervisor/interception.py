"""Interception of calls between actors, for cheatcodes and mocks.

A machine has at most one interceptor (`Hypervisor.interceptor`, read when a message begins). It sees every call of
every message on every runtime, before depth, gas limit, value and dispatch. A call that it handles itself is not
charged or rolled back by the machine, and is traced only through `CallManager.trace_intercepted`.

The block visible to opcodes and actors is the machine's context: `Hypervisor.advance` may change it within a message,
with immediate effect for contracts, under Ethereum's rules after `EthereumCalls.renew_block`.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from hypervisor.kernel.call import Call, CallResult
from hypervisor.messages.events import StampedEvent

Calls = TypeVar("Calls", contravariant=True)
"""`hypervisor.machine.call_manager.CallManager`, which imports this module."""


class Interceptor(Protocol[Calls]):
    """An object that handles calls between callers and callees."""

    @property
    def is_armed(self) -> bool:
        """True if calls between contracts must be intercepted; otherwise an engine may run them internally.

        Calls to `watched` addresses must always be intercepted. May change with every intercepted call.
        """

    @property
    def watched(self) -> frozenset[bytes]:
        """20-byte addresses that the interceptor responds for."""

    def send(self, calls: Calls, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Handle the call, or let it proceed, unchanged or modified, any number of times.

        Raises the errors of `CallManager.send`.
        """

    def on_event(self, calls: Calls, event: StampedEvent) -> None:
        """Receive an event that an actor emitted; the call that emitted it may still fail."""
