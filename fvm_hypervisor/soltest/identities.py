"""Contracts by the addresses at which traced calls created them, found by their creation code as forge finds them.

Rules: Foundry's `LocalTraceIdentifier` (forge 1.7.1). Addresses that no traced call created stay unnamed, such as those
of `vm.etch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from bridge.abi import AbiMismatch, decode_values
from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.frames import CallFrame, walk
from fvm_hypervisor.soltest.known_code import KnownCode, KnownContract, Pattern

_LARGEST_SCORE: Final = 0.85
"""Share of differing bytes from which two codes are taken for different contracts."""
_MAX_ADDED: Final = 32
"""Bytes by which codes of one contract may always differ in length; longer ones by a tenth."""
_MAX_CACHED: Final = 1024


class CreationMatcher:
    """Finds the contract of a creation, by the code that ran and the code that was stored."""

    def __init__(self, known: KnownCode) -> None:
        self._known = known
        self._found: dict[tuple[bytes, int], KnownContract | None] = {}

    def find(self, init_code: bytes, deployed: bytes) -> KnownContract | None:
        """Return the contract with this creation code, else the most similar one whose code has about this length."""
        key = init_code, len(deployed)
        if key not in self._found:
            if len(self._found) >= _MAX_CACHED:
                del self._found[next(iter(self._found))]
            self._found[key] = self._search(init_code, deployed)
        return self._found[key]

    @cached_property
    def _by_length(self) -> list[KnownContract]:
        return sorted((found for found in ordered(self._known.all) if found.runtime.code), key=_runtime_length)

    def _search(self, init_code: bytes, deployed: bytes) -> KnownContract | None:
        size = len(deployed)
        near = [found for found in self._by_length if size * 9 // 10 <= _runtime_length(found) <= size * 11 // 10]
        longer_first = [
            *(found for found in near if _runtime_length(found) >= size),
            *(found for found in near if _runtime_length(found) < size),
        ]
        best, least = None, _LARGEST_SCORE
        for contract in longer_first:
            score = _difference(contract.creation, _without_arguments(contract, init_code))
            if not score:
                return contract
            if score < least:
                best, least = contract, score
        if best is not None:
            return best
        for contract in self._by_length:
            score = _difference(contract.runtime, deployed)
            if not score:
                return contract
            if score < least:
                best, least = contract, score
        return best


class Identities:
    """The contracts that traced calls created, by address; the first creation at an address counts."""

    def __init__(self, matcher: CreationMatcher) -> None:
        self._matcher = matcher
        self._contracts: dict[EthAddress, KnownContract] = {}

    def get(self, address: EthAddress) -> KnownContract | None:
        """Return the contract that was created at an address, None if no known one was."""
        return self._contracts.get(address)

    def add(self, frame: CallFrame) -> None:
        """Take a creation; other calls change nothing."""
        if frame.creates and frame.code and frame.address not in self._contracts:
            stored = frame.deployed if frame.deployed is not None else frame.output
            contract = self._matcher.find(frame.code, stored)
            if contract is not None:
                self._contracts[frame.address] = contract

    def add_all(self, roots: Sequence[CallFrame]) -> None:
        """Take the creations of call trees, callers before what they call."""
        for frame in walk(roots):
            self.add(frame)

    def add_code(self, frame: CallFrame, contract: KnownContract | None) -> None:
        """Take the contract whose code a call ran, where no creation at its address is known."""
        if contract is not None and not frame.creates and not frame.is_delegated:
            self._contracts.setdefault(frame.address, contract)

    def copy(self) -> Identities:
        """Return a copy that learns for itself."""
        other = Identities(self._matcher)
        other._contracts.update(self._contracts)
        return other


def ordered(contracts: Iterable[KnownContract]) -> list[KnownContract]:
    """Return contracts in the order of forge's artifacts: by the name of the source's file, then by their own."""
    return sorted(contracts, key=lambda found: (PurePosixPath(found.artifact.file).name, f"{found.name}.json"))


def _runtime_length(contract: KnownContract) -> int:
    return len(contract.runtime.code)


def _without_arguments(contract: KnownContract, init_code: bytes) -> bytes:
    """The init code without the constructor's arguments, if what follows the creation code decodes as them."""
    size = len(contract.creation.code)
    constructor = next((entry for entry in contract.artifact.abi if entry.get("type") == "constructor"), None)
    if constructor is None or len(init_code) <= size:
        return init_code
    try:
        decode_values(constructor["inputs"], init_code[size:], "constructor", strict=False)
    except AbiMismatch:
        return init_code
    return init_code[:size]


def _difference(pattern: Pattern, code: bytes) -> float:
    """The share of bytes in which code differs from a contract's; its linked and immutable places count as equal."""
    mine = bytearray(pattern.code)
    size = min(len(mine), len(code))
    longest, added = max(len(mine), len(code)), abs(len(mine) - len(code))
    if not longest or (added > _MAX_ADDED and added * 10 > longest):
        return 1.0
    if not added and pattern.begins(code):
        return 0.0
    for start, end in pattern.holes:
        mine[start:end] = code[start:end].ljust(end - start, b"\0")
    parted = int.from_bytes(mine[:size], "big") ^ int.from_bytes(code[:size], "big")
    return (added + size - parted.to_bytes(size, "big").count(0)) / longest
