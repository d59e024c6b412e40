"""Tracer of a symbolic test's constructor and `setUp`: hashed data, and calls of halmos' cheatcodes."""

from __future__ import annotations

from typing import Final

from bridge.evm_steps import EvmStep
from fvm_hypervisor.soltest.created_values import SVM
from hypervisor.tracing import RuntimeEvent, StepTracer, TraceEvent, Tracer
from store.keccak import keccak

MAX_HASHES: Final = 1024
"""Maximum number of hashes that are recorded."""
MAX_BYTES: Final = 128
"""Maximum size of recorded data; keys of mappings and addresses of creations are shorter."""
_KECCAK256: Final = 0x20
_ADDRESS_AT: Final = {0x3B: -1, 0xF1: -2, 0xF2: -2, 0xF4: -2, 0xFA: -2}
"""Position of the address on the stack, by opcode: calls, and EXTCODESIZE, which Solidity executes before some."""
_SVM: Final = int.from_bytes(SVM, "big")


class SetUpTracer:
    """Records the input of each KECCAK256 by its hash, so that slots of mappings can be related to their keys.

    Events are forwarded to `inner`.
    """

    def __init__(self, inner: Tracer | None) -> None:
        self._inner = inner
        self.hashed: dict[int, bytes] = {}
        self.calls_svm = False
        """True if a contract has called halmos' cheatcodes, or checked that their account has code."""

    def event(self, event: TraceEvent, /) -> None:
        """Forward an event."""
        if self._inner is not None:
            self._inner.event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, and forward it."""
        if isinstance(self._inner, StepTracer):
            self._inner.step(event)
        if not isinstance(event, EvmStep) or len(event.stack) < 2:
            return
        address_at = _ADDRESS_AT.get(event.opcode)
        if address_at is not None:
            self.calls_svm = self.calls_svm or event.stack[address_at] & ((1 << 160) - 1) == _SVM
        elif event.opcode == _KECCAK256:
            at, size = event.stack[-1], event.stack[-2]
            if size <= MAX_BYTES and at < 1 << 32 and len(self.hashed) < MAX_HASHES:
                data = bytes(event.memory[at : at + size]).ljust(size, b"\0")
                self.hashed[int.from_bytes(keccak(data), "big")] = data
