"""Who may stand between the calls of a message: cheatcodes of tests, mocks, whatever changes calls on their way.

A machine has at most one interceptor (`Hypervisor.interceptor`, read when a message begins); without one the call
manager looks at it once for each call and no more. It sees every call of every message on every runtime, before depth,
gas limit, value and dispatch. What it answers itself is no call of the machine's: nothing is charged or taken back for
it, and it is traced only where `CallManager.answered` is asked to.

The block that opcodes and actors see is the machine's context: `Hypervisor.advance` may change it within a message,
and contracts see it at once, under Ethereum's rules after `EthereumCalls.renew_block`.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from hypervisor.call import Call, CallResult
from hypervisor.events import StampedEvent

Calls = TypeVar("Calls", contravariant=True)
"""`hypervisor.call_manager.CallManager`, which imports this module."""


class Interceptor(Protocol[Calls]):
    """What stands between callers and callees."""

    @property
    def is_armed(self) -> bool:
        """Whether calls between contracts need to be seen now; if not, an engine may keep them to itself.

        Calls of the addresses in `watched` must be seen always. Any answer may change it: read it after each.
        """

    @property
    def watched(self) -> frozenset[bytes]:
        """The 20-byte addresses that it answers for."""

    def send(self, calls: Calls, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Answer the call, or let it proceed, as it is or changed, any number of times.

        Raises what `CallManager.send` raises.
        """

    def on_event(self, calls: Calls, event: StampedEvent) -> None:
        """An actor has emitted an event; the call that it did so in may still fail."""
