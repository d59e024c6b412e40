"""Compiled contracts as tests need them: interface, code with its source map, where libraries go.

They are read one by one from files, when needed: a project has hundreds of which a run touches a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded
from localnet.contracts.artifacts import LARGEST_FILE

_LIBRARY = 20


@dataclass(frozen=True, slots=True)
class Bytecode:
    """Code in hex, with placeholders where libraries' addresses go; the source map is solc's."""

    object: str = ""
    source_map: str = ""
    links: Mapping[str, Mapping[str, Sequence[Mapping[str, int]]]] = field(default_factory=dict)
    """By file and library, where the twenty bytes lie."""
    immutables: Mapping[str, Sequence[Mapping[str, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Bytecode:
        """From what solc and forge write; TypeError or ValueError if it is something else."""
        text = str(found.get("object", "")).removeprefix("0x")
        return cls(
            text,
            str(found.get("sourceMap", "")),
            dict(found.get("linkReferences") or {}),
            dict(found.get("immutableReferences") or {}),
        )

    def libraries(self) -> list[tuple[str, str]]:
        """The file and name of each library that the code needs."""
        return [(file, name) for file, names in self.links.items() for name in names]

    def linked(self, addresses: Mapping[tuple[str, str], bytes]) -> bytes:
        """The code with libraries' addresses. Raises KeyError for one that is not given, ValueError for no hex."""
        code = bytearray.fromhex(_without_names(self.object))
        for file, names in self.links.items():
            for name, places in names.items():
                for place in places:
                    at = place["start"]
                    code[at : at + _LIBRARY] = addresses[file, name]
        return bytes(code)


def _without_names(text: str) -> str:
    """The hex with zeros in the place of `__$...$__`."""
    while (at := text.find("__")) >= 0:
        text = text[:at] + "0" * 40 + text[at + 40 :]
    return text


@dataclass(frozen=True, slots=True)
class ContractArtifact:
    """One contract. `file` is its source's path from the project's root."""

    name: str
    file: str
    abi: Sequence[Mapping[str, Any]]
    creation: Bytecode
    runtime: Bytecode
    methods: Mapping[str, str]
    """Selectors in hex by signature."""
    docs: Mapping[str, str] = field(default_factory=dict)
    """`forge-config` comments by function, and by "" those of the contract."""

    @classmethod
    def of(cls, name: str, file: str, found: Mapping[str, Any]) -> ContractArtifact:
        """From the content of a file. Raises InvalidInput with what is wrong with it."""
        try:
            abi = found["abi"]
            if not isinstance(abi, list) or not all(isinstance(entry, dict) for entry in abi):
                raise TypeError("the interface is not a list of objects")
            creation, runtime = (Bytecode.of(found.get(key) or {}) for key in ("bytecode", "deployedBytecode"))
            bytes.fromhex(_without_names(creation.object))
            return cls(name, file, abi, creation, runtime, dict(found.get("methodIdentifiers") or {}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the artifact of {file}:{name} is corrupt: {error}") from None


@dataclass(frozen=True, slots=True)
class ArtifactPlace:
    """Where an artifact is kept. `build` names the run of the compiler that made it, which numbered its sources."""

    file: str
    name: str
    path: Path
    build: str = ""


class Artifacts:
    """All compiled contracts of a project.

    `sources` are, for each build, the sources' paths by their numbers in its source maps.
    """

    def __init__(self, root: Path, places: Sequence[ArtifactPlace], sources: Mapping[str, Mapping[int, str]]) -> None:
        self.root = root
        self.places = tuple(places)
        self.sources = sources
        self._read: dict[ArtifactPlace, ContractArtifact] = {}

    @cached_property
    def _by_name(self) -> dict[str, list[ArtifactPlace]]:
        found: dict[str, list[ArtifactPlace]] = {}
        for place in self.places:
            found.setdefault(place.name, []).append(place)
        return found

    def load(self, place: ArtifactPlace) -> ContractArtifact:
        """A contract. Raises InvalidInput for a file that is corrupt or not there."""
        known = self._read.get(place)
        if known is None:
            try:
                content = orjson.loads(read_bounded(place.path, LARGEST_FILE, "the artifact"))
            except orjson.JSONDecodeError as error:
                raise InvalidInput(f"{place.path} is corrupt: {error}") from None
            if not isinstance(content, dict):
                raise InvalidInput(f"{place.path} is corrupt: it is not an object")
            known = self._read[place] = ContractArtifact.of(place.name, place.file, content)
        return known

    def get(self, file: str, name: str) -> ContractArtifact:
        """The contract of a name in a source. Raises InvalidInput."""
        for place in self._by_name.get(name, ()):
            if place.file == file:
                return self.load(place)
        raise InvalidInput(f"there is no compiled contract {file}:{name}")

    def find(self, wanted: str) -> ContractArtifact | None:
        """By `Name`, `File.sol`, `File.sol:Name` or `path/File.sol:Name`; None where none or several fit."""
        file, _, name = wanted.rpartition(":")
        if not file and name.endswith(".sol"):
            file, name = name, Path(name).stem
        fitting = [place for place in self._by_name.get(name, ()) if not file or f"/{place.file}".endswith(f"/{file}")]
        exact = [place for place in fitting if place.file == file]
        chosen = exact or fitting
        if not chosen and wanted.endswith(".json"):
            path = Path(wanted)
            return self.find(f"{path.parent.name}:{path.stem}")
        return self.load(chosen[0]) if len(chosen) == 1 else None

    def all(self) -> Iterator[ContractArtifact]:
        """Every contract."""
        return (self.load(place) for place in self.places)
