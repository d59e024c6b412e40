"""Solidity lines of program counters, from compiled contracts in artifact folders. Lookups are cached by code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fvm_hypervisor.debugger.listener import OpenCall
from hypervisor.types import METHOD_CONSTRUCTOR
from localnet.contracts.artifacts import ArtifactFolders, CompiledContract
from localnet.contracts.source_maps import CodePlace
from localnet.traces.call_places import compiled_code

Line = tuple[str, int]
"""Source path and line number, starting at 1."""


@dataclass(frozen=True, slots=True)
class CodeLines:
    """A contract, if known, and the source positions of its program counters."""

    contract: CompiledContract | None = None
    places: dict[int, CodePlace] = field(default_factory=dict)
    read: Callable[[str], bytes | None] = lambda _path: None
    """Function that returns the text of a source by path."""

    def line(self, counter: int) -> Line | None:
        """Return the line of an instruction; None if it has none."""
        location = self.places.get(counter)
        return (location.path, location.line) if location is not None and location.line else None

    def enters(self, counter: int) -> int:
        """Return 1 if an instruction jumps into a function, -1 if it returns from one, otherwise 0."""
        location = self.places.get(counter)
        return 0 if location is None else {"i": 1, "o": -1}.get(location.jump, 0)


class SourceLines:
    """The contracts in artifact folders, found by running code."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        """Read the given folders, by default those of `ArtifactFolders`."""
        self.artifacts = ArtifactFolders(folders)
        self._known: dict[tuple[bool, bytes], CodeLines] = {}

    def of(self, call: OpenCall) -> CodeLines:
        code = b"" if call.evm is None else call.evm.code
        creation = call.node.start.method == METHOD_CONSTRUCTOR
        key = creation, code
        if key not in self._known:
            self._known[key] = self._lines(creation, code)
        return self._known[key]

    def _lines(self, creation: bool, code: bytes) -> CodeLines:
        contract = compiled_code(self.artifacts, creation, code)
        if contract is None:
            return CodeLines()
        debug = contract.debug()
        found = debug.creation if creation else debug.runtime
        return CodeLines(contract) if found is None else CodeLines(contract, found.places(), found.read)

    def text(self, path: str) -> list[str]:
        """Return the lines of a source file named by executed code; empty if it is not known."""
        for lines in self._known.values():
            data = lines.read(path)
            if data is not None:
                return data.decode("utf-8", "replace").splitlines()
        return []
