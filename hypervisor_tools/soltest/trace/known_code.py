"""Identification of contracts by their code, rather than by deployer or address.

Deployed code equals the compiler's output except for library addresses and immutables, whose positions the artifact
lists; init code is a contract's creation code followed by the constructor arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from bridge.abi.abi import ContractInterface, selector_of, signature
from hypervisor.errors import InvalidInput
from hypervisor.tracing import CallNode
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts, Bytecode, ContractArtifact
from hypervisor_tools.soltest.trace.frames import code_of, creates
from localnet.contracts.argument_texts import readable_interface
from localnet.contracts.source_maps import instruction_numbers, spans
from store.keccak import keccak

_ADDRESS: Final = 20
_MAX_FOUND: Final = 1024
"""Maximum number of codes in the cache: repeated tests create contracts with other arguments each time."""


@dataclass(frozen=True)
class Pattern:
    """Code with the positions that a deployment fills in."""

    code: bytes
    holes: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, int], ...] = ()
    """Positions of linked library addresses, a subset of `holes`."""

    @classmethod
    def of(cls, bytecode: Bytecode) -> Pattern:
        """Return the pattern of compiled bytecode. Raises ValueError if it is malformed."""
        library_holes = tuple(
            (int(location["start"]), int(location["start"]) + int(location.get("length", _ADDRESS)))
            for names in bytecode.links.values()
            for locations in names.values()
            for location in locations
        )
        holes = [*library_holes]
        holes += [
            (int(location["start"]), int(location["start"]) + int(location["length"]))
            for locations in bytecode.immutables.values()
            for location in locations
        ]
        links: Mapping[tuple[str, str], bytes] = dict.fromkeys(bytecode.libraries(), bytes(_ADDRESS))
        code = bytecode.link(links)
        if code[:1] == b"\x73" and code[1 : 1 + _ADDRESS] == bytes(_ADDRESS):
            holes.append((1, 1 + _ADDRESS))  # a library's own address, inserted at deployment
        return cls(code, tuple(sorted(holes)), library_holes)

    def begins(self, code: bytes) -> bool:
        """Return True if code begins with this pattern."""
        if not self.code or len(code) < len(self.code):
            return False
        position = 0
        for start, end in self.holes:
            if code[position:start] != self.code[position:start]:
                return False
            position = end
        return code[position : len(self.code)] == self.code[position:]


@dataclass(frozen=True)
class SourceSpan:
    """Source span of an instruction; `jump` is `i` into a function, `o` out of one, otherwise `-`.

    `file` is empty if there is no such source, as for the compiler's own helpers.
    """

    file: str
    start: int
    length: int
    jump: str


@dataclass(frozen=True, eq=False)
class KnownContract:
    """A compiled contract as reports need it; `sources` maps indices to source paths."""

    artifact: ContractArtifact
    sources: Mapping[int, str]

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.artifact.name

    @cached_property
    def creation(self) -> Pattern:
        """Creation code; empty if the artifact is malformed."""
        return _pattern(self.artifact.creation)

    @cached_property
    def runtime(self) -> Pattern:
        """Runtime code; empty if the artifact is malformed."""
        return _pattern(self.artifact.runtime)

    @cached_property
    def interface(self) -> ContractInterface:
        """Functions, events and errors that can be parsed."""
        try:
            return readable_interface(self.artifact.abi)
        except InvalidInput:
            return ContractInterface([])

    @cached_property
    def functions(self) -> frozenset[bytes]:
        """Selectors of the functions."""
        return frozenset(selector_of(entry) for entry in self.interface.abi if entry["type"] == "function")

    @cached_property
    def has_fallback(self) -> bool:
        """True if it has a fallback function."""
        return any(entry.get("type") == "fallback" for entry in self.artifact.abi)

    @cached_property
    def has_receive(self) -> bool:
        """True if it has a receive function."""
        return any(entry.get("type") == "receive" for entry in self.artifact.abi)

    @cached_property
    def events(self) -> list[tuple[bytes, int]]:
        """First topic and number of topics of its events."""
        return [
            (_hash(entry), 1 + sum(item["indexed"] for item in entry["inputs"]))
            for entry in self.interface.abi
            if entry["type"] == "event" and not entry["anonymous"]
        ]

    @cached_property
    def creation_places(self) -> dict[int, SourceSpan]:
        """Source spans by program counter of the creation code."""
        return self._spans_by_counter(self.artifact.creation, self.creation.code)

    @cached_property
    def runtime_places(self) -> dict[int, SourceSpan]:
        """Source spans by program counter of the runtime code."""
        return self._spans_by_counter(self.artifact.runtime, self.runtime.code)

    def _spans_by_counter(self, bytecode: Bytecode, code: bytes) -> dict[int, SourceSpan]:
        try:
            found = spans(bytecode.source_map) if bytecode.source_map else []
        except ValueError:
            return {}
        locations = {}
        for counter, number in instruction_numbers(code).items():
            if number < len(found):
                start, length, source, jump = found[number]
                locations[counter] = SourceSpan(self.sources.get(source, ""), start, length, jump)
        return locations


def _hash(entry: Mapping[str, Any]) -> bytes:
    return bytes(keccak(signature(entry).encode()))


def _pattern(bytecode: Bytecode) -> Pattern:
    try:
        return Pattern.of(bytecode)
    except (KeyError, TypeError, ValueError):
        return Pattern(b"", ())


class KnownCode:
    """The contracts of a project by executed code. Unreadable artifacts are skipped."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._found: dict[tuple[bytes, bool], KnownContract | None] = {}

    @cached_property
    def all(self) -> list[KnownContract]:
        """All contracts, including interfaces and abstract contracts."""
        found = []
        for location in self._artifacts.locations:
            try:
                artifact = self._artifacts.load(location)
            except InvalidInput:
                continue
            found.append(KnownContract(artifact, self._artifacts.sources.get(location.build, {})))
        return found

    @cached_property
    def contracts(self) -> list[KnownContract]:
        """All contracts that have code."""
        return [found for found in self.all if found.artifact.creation.object]

    @cached_property
    def _by_length(self) -> dict[int, list[KnownContract]]:
        lengths: dict[int, list[KnownContract]] = {}
        for contract in self.contracts:
            lengths.setdefault(len(contract.runtime.code), []).append(contract)
        return lengths

    @cached_property
    def events(self) -> dict[tuple[bytes, int], ContractInterface]:
        """Interfaces by first topic and number of topics of their events; the first of several."""
        found: dict[tuple[bytes, int], ContractInterface] = {}
        for contract in self.all:
            for key in contract.events:
                found.setdefault(key, contract.interface)
        return found

    def find_by_name(self, file: str, name: str) -> KnownContract | None:
        """Return the contract with this name in a source."""
        return self._by_name.get((file, name))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], KnownContract]:
        return {(found.artifact.file, found.name): found for found in self.contracts}

    def of(self, frame: CallNode) -> KnownContract | None:
        """Return the contract whose code a frame ran."""
        return self.find(code_of(frame), creates(frame)) if code_of(frame) else None

    def find(self, code: bytes, creates: bool) -> KnownContract | None:
        """Return the contract with this runtime code, or with this init code if `creates`."""
        key = code, creates
        if key not in self._found:
            if len(self._found) >= _MAX_FOUND:
                del self._found[next(iter(self._found))]
            self._found[key] = self._creating(code) if creates else self._running(code)
        return self._found[key]

    def location(self, code: bytes, creates: bool) -> ArtifactLocation | None:
        """Return the location of the artifact of the contract that `find` finds."""
        found = self.find(code, creates)
        named = None if found is None else (found.artifact.file, found.name)
        return next(
            (location for location in self._artifacts.locations if (location.file, location.name) == named), None
        )

    def _running(self, code: bytes) -> KnownContract | None:
        return next((found for found in self._by_length.get(len(code), ()) if found.runtime.begins(code)), None)

    def _creating(self, code: bytes) -> KnownContract | None:
        fitting = [found for found in self.contracts if found.creation.begins(code)]
        return max(fitting, key=lambda found: len(found.creation.code), default=None)
