"""Data that contracts hash before a symbolic test starts, so that slots of mappings can be related to their keys."""

from __future__ import annotations

from typing import Final

from bridge.evm_steps import EvmStep
from hypervisor.tracing import RuntimeEvent, TraceEvent
from store.keccak import keccak

MAX_HASHES: Final = 1024
"""Maximum number of hashes that are recorded."""
MAX_BYTES: Final = 128
"""Maximum size of recorded data; keys of mappings and addresses of creations are shorter."""
_KECCAK256: Final = 0x20


class HashTracer:
    """A tracer that records the input of each KECCAK256 by its hash, up to the limits of this module."""

    def __init__(self) -> None:
        self.found: dict[int, bytes] = {}

    def event(self, _: TraceEvent, /) -> None:
        """Ignore all other events."""

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the input of a hash."""
        if not isinstance(event, EvmStep) or event.opcode != _KECCAK256 or len(event.stack) < 2:
            return
        at, size = event.stack[-1], event.stack[-2]
        if size <= MAX_BYTES and at < 1 << 32 and len(self.found) < MAX_HASHES:
            data = bytes(event.memory[at : at + size]).ljust(size, b"\0")
            self.found[int.from_bytes(keccak(data), "big")] = data
