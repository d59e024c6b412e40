"""geth's erc7562Tracer and keccak256PreimageTracer: what ERC-7562 restricts in the validation of user operations.

Each call has its accessed slots, used instructions, code that it inspected, and sizes of called contracts. The message
has the preimages of hashes. Source: go-ethereum eth/tracers/native (erc7562.go, keccak256_preimage.go).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, from_delegated, word_to_address
from bridge.ethereum.reverts import LogTooLong
from bridge.evm_steps import CodeDeployed, EvmFault, EvmStep, runs_no_code
from bridge.traces.frames import EthereumFrame
from bridge.traces.tracers import limit_steps
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallTrees, Detail, RuntimeEvent, TraceEvent
from store.keccak import keccak

_KECCAK, _GAS, _ISZERO, _EXTCODESIZE = 0x20, 0x5A, 0x15, 0x3B
_SLOAD, _SSTORE, _TLOAD, _TSTORE = 0x54, 0x55, 0x5C, 0x5D
_EXTCODES: Final = (_EXTCODESIZE, 0x3C, 0x3F)
_CALLS: Final = (0xF1, 0xF2, 0xF4, 0xFA)
_ENDS: Final = (0xF3, 0xFD)
_MAX_PADDING: Final = 1 << 20
"""Maximum number of bytes of a preimage beyond the memory (go-ethereum internal/util.go, GetMemoryCopyPadded)."""

IGNORED: Final = frozenset((*range(0x5F, 0xA0), 0x50, *range(0x01, 0x05), *range(0x10, 0x18), 0x19, 0x1B, 0x1C))
"""Instructions that geth does not count by default."""


@dataclass(slots=True)
class Accesses:
    """The accesses of a call. Sizes are by address, each with the instruction; None until the message has ended."""

    reads: dict[int, int] = field(default_factory=dict)
    writes: Counter[int] = field(default_factory=Counter)
    transient_reads: Counter[int] = field(default_factory=Counter)
    transient_writes: Counter[int] = field(default_factory=Counter)
    inspected: list[EthAddress] = field(default_factory=list)
    used: Counter[int] = field(default_factory=Counter)
    sizes: dict[EthAddress, tuple[int | None, int]] = field(default_factory=dict)


class AccessTracer(CallTrees):
    """A tracer that collects the accesses of calls by their number, and the preimages of hashes.

    `remaining` is the number of bytes that preimages may still have. Raises LogTooLong if they have more, and after a
    million instructions.
    """

    detail = Detail.STEPS

    def __init__(self, ignored: frozenset[int], remaining: int) -> None:
        super().__init__()
        self.accesses: dict[int, Accesses] = {}
        self.preimages: set[bytes] = set()
        self.deployed: dict[EthAddress, int] = {}
        """Sizes of the code that the message has deployed."""
        self._ignored, self.remaining = ignored, remaining
        self._steps = 0
        self._last: EvmStep | None = None
        self._loading: tuple[Accesses, int] | None = None
        """The slot that the last instruction reads for the first time."""

    def event(self, event: TraceEvent, /) -> None:
        """Add an event; note the size of deployed code."""
        if isinstance(event, CodeDeployed):
            created = from_delegated(self._open[-1].delegated or self._open[-1].start.to)
            if created is not None:
                self.deployed[created] = len(event.code)
        super().event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, also one that fails."""
        if isinstance(event, EvmFault) and self._loading is not None:
            accesses, slot = self._loading
            del accesses.reads[slot]  # geth reads the word from the state also if the gas does not suffice
            self._loading = None
        if not isinstance(event, EvmStep) or runs_no_code(self._open[-1], event):
            return
        if self._loading is not None and event.stack:
            accesses, slot = self._loading
            accesses.reads[slot] = event.stack[-1]
        self._loading = None
        self._steps += 1
        limit_steps(self._steps)
        call = self.accesses.setdefault(self._open[-1].number, Accesses())
        last = None if event.opcode in _ENDS else self._last
        self._inspect(event, last, call)
        if last is not None and last.opcode == _GAS and event.opcode not in _CALLS:
            call.used[_GAS] += 1
        if event.opcode != _GAS and event.opcode not in self._ignored:
            call.used[event.opcode] += 1
        self._access(event, call)
        self._last = event

    def _inspect(self, step: EvmStep, last: EvmStep | None, call: Accesses) -> None:
        """Record the code that the instruction before inspected, and the size of a contract that this one accesses."""
        if last is not None and last.opcode in _EXTCODES and last.stack:
            is_check = last.opcode == _EXTCODESIZE and step.opcode == _ISZERO  # a check for code is allowed
            if not is_check:
                call.inspected.append(word_to_address(last.stack[-1]))
        place = 1 if step.opcode in _EXTCODES else 2 if step.opcode in _CALLS else 0
        if place and len(step.stack) >= place:
            address = word_to_address(step.stack[-place])
            call.sizes.setdefault(address, (self.deployed.get(address), step.opcode))

    def _access(self, step: EvmStep, call: Accesses) -> None:
        opcode, stack = step.opcode, step.stack
        if opcode == _KECCAK and len(stack) > 1:
            start, size = stack[-1], stack[-2]
            if start + size > len(step.memory) + _MAX_PADDING:
                return
            if size > self.remaining:
                left = f"the {self.remaining:,} bytes that the preimages of a trace may still have"
                raise LogTooLong(f"the preimage of {size:,} bytes exceeds {left}: use another tracer")
            self.remaining -= size
            self.preimages.add(step.memory[start : start + size].ljust(size, b"\0"))
        elif opcode == _SLOAD and stack:
            if stack[-1] not in call.reads and stack[-1] not in call.writes:
                call.reads[stack[-1]], self._loading = 0, (call, stack[-1])
        elif opcode in (_SSTORE, _TLOAD, _TSTORE) and stack:
            counted = {_SSTORE: call.writes, _TLOAD: call.transient_reads, _TSTORE: call.transient_writes}
            counted[opcode][stack[-1]] += 1


def preimage_trace(tracer: AccessTracer) -> dict[str, str]:
    """Return the preimages by their hash."""
    return {f"0x{keccak(preimage).hex()}": f"0x{preimage.hex()}" for preimage in tracer.preimages}


def access_trace(
    frames: Sequence[EthereumFrame],
    shown: dict[str, Any],
    tracer: AccessTracer,
    code_at: Callable[[EthAddress], bytes],
) -> dict[str, Any]:
    """Add the accesses to `shown`, the tree of the frames in callTracer's form, and return it."""
    by_position = {frame.position: frame for frame in frames}
    todo: list[tuple[tuple[int, ...], dict[str, Any]]] = [((), shown)]
    for position, entry in todo:  # grows during iteration instead of recursion, since calls are up to 1,024 deep
        frame = by_position[position]
        accesses = tracer.accesses.get(frame.call) or Accesses()
        entry |= _accesses_json(accesses, tracer, code_at)
        entry["outOfGas"] = bool(position) and frame.exit_code == ExitCode.SYS_OUT_OF_GAS
        todo += (((*position, index), inner) for index, inner in enumerate(entry.get("calls", ())))
    if tracer.preimages:
        shown["keccak"] = [f"0x{preimage.hex()}" for preimage in sorted(tracer.preimages)]
    return shown


def _accesses_json(accesses: Accesses, tracer: AccessTracer, code_at: Callable[[EthAddress], bytes]) -> dict[str, Any]:
    def size_of(address: EthAddress, size: int | None) -> int:
        if size is not None:
            return size
        return 0 if address in tracer.deployed else len(code_at(address))  # deployed after the access

    return {
        "accessedSlots": {
            "reads": {_word(slot): [_word(word)] for slot, word in accesses.reads.items()},
            "writes": _counts(accesses.writes),
            "transientReads": _counts(accesses.transient_reads),
            "transientWrites": _counts(accesses.transient_writes),
        },
        "extCodeAccessInfo": [f"0x{address.hex()}" for address in accesses.inspected],
        "usedOpcodes": {hex(opcode): count for opcode, count in accesses.used.items()},
        "contractSize": {
            f"0x{address.hex()}": {"contractSize": size_of(address, size), "opcode": opcode}
            for address, (size, opcode) in accesses.sizes.items()
        },
    }


def _counts(slots: Counter[int]) -> dict[str, int]:
    return {_word(slot): count for slot, count in slots.items()}


def _word(value: int) -> str:
    return f"0x{value:064x}"
