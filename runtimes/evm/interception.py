"""Who may stand between a contract's frame and what it asks for, under Ethereum's rules.

The machine's interceptor sees calls between actors. There whose code a delegate call runs, whose nonce names a new
contract and whether a value can be paid has been settled; one that is a `FrameInterceptor` as well is asked before.
"""

from functools import cache
from typing import Any, Protocol, TypeGuard, TypeVar

from bridge.events import Log
from hypervisor.types import ActorID
from runtimes.evm.engine import Answer, Ask

Calls = TypeVar("Calls", contravariant=True)
"""`runtimes.evm.ethereum.calls.EthereumCalls`, which imports this module."""
FrameHost = TypeVar("FrameHost", contravariant=True)
"""`runtimes.evm.ethereum.host.EthereumHost`, which imports that one."""


class FrameInterceptor(Protocol[Calls, FrameHost]):
    """What stands between frames and their asks, and sees what they log and the slots that they look at."""

    @property
    def is_armed(self) -> bool:
        """As the interceptor's."""

    @property
    def watched(self) -> frozenset[bytes]:
        """As the interceptor's."""

    @property
    def watches(self) -> bool:
        """Whether all that frames do has to be seen now: slots, logs, and calls at every depth."""

    def sees(self, depth: int) -> bool:
        """Whether calls that frames at this depth or below it make have to be seen now."""

    def ask(self, host: FrameHost, ask: Ask) -> Answer:
        """Answer what the frame of `host` asks for, with or without `runtimes.evm.ethereum.answers.answer`."""

    def on_log(self, calls: Calls, emitter: ActorID, log: Log) -> None:
        """A contract has logged something; the call that it did so in may still fail."""

    def on_hash(self, host: FrameHost, data: bytes, digest: bytes) -> None:
        """The frame of `host` has hashed 64 bytes, as it does for a mapping's slot; called while `is_armed` only."""

    def on_storage_access(self, host: FrameHost, slot: int, word: int | None) -> None:
        """The frame of `host` reads a slot, or is about to write a word to it; called while `is_armed` only."""


def stands_between_frames(interceptor: object) -> TypeGuard[FrameInterceptor[Any, Any]]:
    """Whether it is a `FrameInterceptor`, by its class: a protocol's `isinstance` takes a twentieth of a small call."""
    return _is_one(type(interceptor))  # type: ignore[arg-type]  # classes can be hashed


@cache
def _is_one(kind: type) -> bool:
    return all(hasattr(kind, name) for name in ("watches", "sees", "ask", "on_log", "on_hash", "on_storage_access"))
