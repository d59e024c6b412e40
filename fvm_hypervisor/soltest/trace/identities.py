"""Contracts by address, identified by the creation code of traced creations, as in forge.

Rules: Foundry's `LocalTraceIdentifier` (forge 1.7.1). Addresses that no traced call created stay unnamed, such as those
of `vm.etch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from bridge.abi.abi import AbiMismatch, decode_values
from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.trace.frames import CallFrame, walk
from fvm_hypervisor.soltest.trace.known_code import KnownCode, KnownContract, Pattern

_MAX_SCORE: Final = 0.85
"""Share of differing bytes at which two codes are considered different contracts."""
_MAX_ADDED: Final = 32
"""Difference in length, in bytes, that is always allowed; longer codes may differ by a tenth."""
_MAX_CACHED: Final = 1024


class CreationMatcher:
    """Finds the contract of a creation from the executed init code and the stored code."""

    def __init__(self, known: KnownCode) -> None:
        self._known = known
        self._found: dict[tuple[bytes, int], KnownContract | None] = {}

    def find(self, init_code: bytes, deployed: bytes) -> KnownContract | None:
        """Return the contract with this creation code, else the most similar one with code of about this length."""
        key = init_code, len(deployed)
        if key not in self._found:
            if len(self._found) >= _MAX_CACHED:
                del self._found[next(iter(self._found))]
            self._found[key] = self._search(init_code, deployed)
        return self._found[key]

    @cached_property
    def _by_length(self) -> list[KnownContract]:
        return sorted((found for found in sort_contracts(self._known.all) if found.runtime.code), key=_runtime_length)

    def _search(self, init_code: bytes, deployed: bytes) -> KnownContract | None:
        size = len(deployed)
        near = [found for found in self._by_length if size * 9 // 10 <= _runtime_length(found) <= size * 11 // 10]
        longer_first = [
            *(found for found in near if _runtime_length(found) >= size),
            *(found for found in near if _runtime_length(found) < size),
        ]
        best, least = None, _MAX_SCORE
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
    """Contracts that traced calls created, by address; only the first creation at an address counts."""

    def __init__(self, matcher: CreationMatcher) -> None:
        self._matcher = matcher
        self._contracts: dict[EthAddress, KnownContract] = {}

    def get(self, address: EthAddress) -> KnownContract | None:
        """Return the contract created at an address, or None if it is unknown."""
        return self._contracts.get(address)

    def add(self, frame: CallFrame) -> None:
        """Record a creation; other calls are ignored."""
        if frame.creates and frame.code and frame.address not in self._contracts:
            stored = frame.deployed if frame.deployed is not None else frame.output
            contract = self._matcher.find(frame.code, stored)
            if contract is not None:
                self._contracts[frame.address] = contract

    def add_all(self, roots: Sequence[CallFrame]) -> None:
        """Record the creations in call trees, callers before callees."""
        for frame in walk(roots):
            self.add(frame)

    def add_code(self, frame: CallFrame, contract: KnownContract | None) -> None:
        """Record the contract whose code a call ran, unless a creation at its address is known."""
        if contract is not None and not frame.creates and not frame.is_delegated:
            self._contracts.setdefault(frame.address, contract)

    def copy(self) -> Identities:
        """Return an independent copy."""
        other = Identities(self._matcher)
        other._contracts.update(self._contracts)
        return other


def sort_contracts(contracts: Iterable[KnownContract]) -> list[KnownContract]:
    """Return contracts in the order of forge's artifacts: by the source's file name, then by contract name."""
    return sorted(contracts, key=lambda found: (PurePosixPath(found.artifact.file).name, f"{found.name}.json"))


def _runtime_length(contract: KnownContract) -> int:
    return len(contract.runtime.code)


def _without_arguments(contract: KnownContract, init_code: bytes) -> bytes:
    """Return the init code without constructor arguments, if the bytes after the creation code decode as such."""
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
    """Return the fraction of bytes in which `code` differs from a contract's code.

    Linked library addresses are ignored. Immutables and a library's own address are compared with the zero bytes that
    the compiler emits for them.
    """
    mine = bytearray(pattern.code)
    size = min(len(mine), len(code))
    longest, added = max(len(mine), len(code)), abs(len(mine) - len(code))
    if not longest or (added > _MAX_ADDED and added * 10 > longest):
        return 1.0
    for start, end in pattern.links:
        mine[start:end] = code[start:end].ljust(end - start, b"\0")
    parted = int.from_bytes(mine[:size], "big") ^ int.from_bytes(code[:size], "big")
    return (added + size - parted.to_bytes(size, "big").count(0)) / longest
