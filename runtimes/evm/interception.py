"""Interception between a contract's frame and its calls, under Ethereum's rules.

The machine's interceptor sees calls between actors. By then, the code of a delegate call, the nonce of a creation and
the availability of value are resolved; a `FrameInterceptor` is called before that.
"""

from functools import cache
from typing import Any, Protocol, TypeGuard, TypeVar

from bridge.events import Log
from hypervisor.types import ActorID
from runtimes.evm.engine import SubcallInputs, SubcallOutcome

Calls = TypeVar("Calls", contravariant=True)
"""`runtimes.evm.ethereum.calls.EthereumCalls`, which imports this module."""
FrameHost = TypeVar("FrameHost", contravariant=True)
"""`runtimes.evm.ethereum.host.EthereumHost`, which imports that one."""


class FrameInterceptor(Protocol[Calls, FrameHost]):
    """An interceptor of frames' calls that also sees their logs and storage accesses."""

    @property
    def is_armed(self) -> bool:
        """True if the interceptor is active, as `is_armed` of the machine's interceptor."""

    @property
    def watched(self) -> frozenset[bytes]:
        """Addresses that the interceptor handles, as `watched` of the machine's interceptor."""

    @property
    def watches(self) -> bool:
        """True if all actions of frames must be visible: slots, logs, and calls at every depth."""

    def sees(self, depth: int) -> bool:
        """Return True if calls made by frames at this depth or deeper must be visible."""

    def execute_subcall(self, host: FrameHost, inputs: SubcallInputs) -> SubcallOutcome:
        """Execute a call of the frame of `host`, with or without `runtimes.evm.ethereum.subcalls.execute_subcall`."""

    def on_log(self, calls: Calls, emitter: ActorID, log: Log) -> None:
        """Handle a contract's log; the call that emitted it may still fail."""

    def on_hash(self, host: FrameHost, data: bytes, digest: bytes) -> None:
        """Handle a hash of 64 bytes, as used for a mapping's slot; called only while `is_armed`."""

    def on_storage_access(self, host: FrameHost, slot: int, word: int | None) -> None:
        """Handle a read of a slot, or a write of `word` before it happens; called only while `is_armed`."""


def stands_between_frames(interceptor: object) -> TypeGuard[FrameInterceptor[Any, Any]]:
    """Check for a `FrameInterceptor` by class: `isinstance` with a protocol costs a twentieth of a small call."""
    return _is_one(type(interceptor))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _is_one(kind: type) -> bool:
    return all(
        hasattr(kind, name) for name in ("watches", "sees", "execute_subcall", "on_log", "on_hash", "on_storage_access")
    )
