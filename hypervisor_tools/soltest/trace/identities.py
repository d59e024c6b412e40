"""Contracts by address, identified by their creation code, and signatures of functions, events and errors.

Rules: Foundry's `LocalTraceIdentifier` and `CallTraceDecoder` (forge 1.7.1). Addresses that no traced call created stay
unnamed, such as those of `vm.etch`. A selector may belong to several functions. Those of the console and the cheatcodes
come first, then those of the project's artifacts. The first one whose parameters match the calldata is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface, decode_values, selector_of, signature
from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from hypervisor.tracing import CallNode, walk
from hypervisor_tools.soltest.cheatcodes.console import log_interface
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.known_code import KnownCode, KnownContract, Pattern
from localnet.traces.console_log import log_signatures

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

    def add(self, frame: CallNode) -> None:
        """Record a creation; other calls are ignored."""
        if frames.creates(frame) and frames.code_of(frame) and frames.address_of(frame) not in self._contracts:
            stored = frames.deployed_code(frame)
            contract = self._matcher.find(frames.code_of(frame), frames.output_of(frame) if stored is None else stored)
            if contract is not None:
                self._contracts[frames.address_of(frame)] = contract

    def add_all(self, roots: Sequence[CallNode]) -> None:
        """Record the creations in call trees, callers before callees."""
        for frame in walk(roots):
            self.add(frame)

    def add_code(self, frame: CallNode, contract: KnownContract | None) -> None:
        """Record the contract whose code a call ran, unless a creation at its address is known."""
        if contract is not None and not frames.creates(frame) and not frames.is_delegated(frame):
            self._contracts.setdefault(frames.address_of(frame), contract)

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
    differing = int.from_bytes(mine[:size], "big") ^ int.from_bytes(code[:size], "big")
    return (added + size - differing.to_bytes(size, "big").count(0)) / longest


Entry = Mapping[str, Any]
"""An entry of an ABI."""
_SELECTOR: Final = 4
_WORD: Final = 32


class Signatures:
    """Functions, events and errors of a project and of forge, by selector and topic."""

    def __init__(self, known: KnownCode, cheatcodes: ContractInterface) -> None:
        self._known = known
        self._cheatcodes = cheatcodes

    @cached_property
    def _interfaces(self) -> list[ContractInterface]:
        return [contract.interface for contract in sort_contracts(self._known.all)]

    @cached_property
    def _functions(self) -> dict[bytes, list[Entry]]:
        logs = [
            {"type": "function", "name": "log", "inputs": [{"name": "", "type": kind} for kind in types], "outputs": []}
            for types in log_signatures().values()
        ]
        return _by_selector("function", [ContractInterface(logs), self._cheatcodes, *self._interfaces])

    @cached_property
    def _errors(self) -> dict[bytes, list[Entry]]:
        return _by_selector("error", self._interfaces)

    @cached_property
    def _events(self) -> dict[tuple[bytes, int], list[ContractInterface]]:
        found: dict[tuple[bytes, int], list[ContractInterface]] = {}
        for contract in sort_contracts(self._known.all):
            for key in contract.events:
                found.setdefault(key, []).append(contract.interface)
        return found

    def functions(self, calldata: bytes) -> Sequence[Entry]:
        """Return the functions that calldata may call, best match first; empty for data that is not ABI-encoded."""
        if not is_encoded_call(calldata):
            return ()
        found = self._functions.get(calldata[:_SELECTOR], [])
        if len(found) > 1:
            for entry in found:
                if read(entry["inputs"], calldata[_SELECTOR:]) is not None:
                    return [entry]
        return found

    def error(self, data: bytes) -> tuple[Entry, tuple[Any, ...]] | None:
        """Return the custom error of revert data and its arguments; None if no interface declares it."""
        for entry in self._errors.get(data[:_SELECTOR], ()):
            values = read(entry["inputs"], data[_SELECTOR:])
            if values is not None:
                return entry, values
        return None

    def event(self, log: Log) -> tuple[Entry, list[Any]] | None:
        """Return the event of a log and its arguments; None if no interface declares it."""
        if not log.topics:
            return None
        interfaces = [log_interface(), *self._events.get((log.topics[0], len(log.topics)), ())]
        return next((found for interface in interfaces if (found := interface.read_log(log)) is not None), None)


class CallSignature:
    """The function that a frame calls; `contract` is None if the contract at the address is unknown. Rules: forge's."""

    def __init__(self, signatures: Signatures, frame: CallNode, contract: KnownContract | None) -> None:
        data = frames.input_of(frame)
        self.functions = signatures.functions(data)
        self.is_unsupported = contract is not None and is_encoded_call(data) and not _takes(contract, data)
        """True if the contract has neither this function nor a fallback function."""
        self.entry = self.functions[0] if self.functions else None
        own = None if contract is None else _special(contract, data)
        has_own = contract is None or data[:_SELECTOR] in contract.functions
        self.special = own if self.entry is None or not (has_own or self.is_unsupported) else None
        """`receive` or `fallback`, if that handles the call."""

    @property
    def name(self) -> str | None:
        """The function's name; None if it is unknown."""
        return self.special or (None if self.entry is None else str(self.entry["name"]))

    @property
    def text(self) -> str | None:
        """The function's signature; None if it is unknown."""
        if self.special is not None:
            return f"{self.special}()"
        return None if self.entry is None else signature(self.entry)


def is_encoded_call(data: bytes) -> bool:
    """Return True if data may be calldata with a selector: whole words follow, or zeros after the last one."""
    rest = (len(data) - _SELECTOR) % _WORD
    return len(data) >= _SELECTOR and (not rest or not any(data[-rest:]))


def read(items: Sequence[Entry], data: bytes) -> tuple[Any, ...] | None:
    """Return the values for the types of ABI items; None if the data does not encode them."""
    try:
        return decode_values(items, data, "values", strict=False)
    except AbiMismatch:
        return None


def unknown_selector(address: str, data: bytes) -> str:
    """Return forge's message for a call of a contract that has neither this function nor a fallback function."""
    return (
        f"unrecognized function selector 0x{data[:_SELECTOR].hex()} for contract {address}, "
        "which has no fallback function."
    )


def _takes(contract: KnownContract, data: bytes) -> bool:
    return contract.has_fallback or data[:_SELECTOR] in contract.functions


def _special(contract: KnownContract, data: bytes) -> str | None:
    if not data and contract.has_receive:
        return "receive"
    return "fallback" if contract.has_fallback else None


def _by_selector(kind: str, interfaces: Iterable[ContractInterface]) -> dict[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = {}
    for interface in interfaces:
        for entry in interface.abi:
            if entry["type"] == kind:
                entries = found.setdefault(selector_of(entry), [])
                if entry not in entries:
                    entries.append(entry)
    return found
