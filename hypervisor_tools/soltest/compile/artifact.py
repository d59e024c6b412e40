"""Compiled contracts: ABI, code with its source map, and link references.

Artifacts are read from their files on demand, since a run uses few of a project's hundreds.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from hypervisor.errors import InvalidInput
from hypervisor.installation import MAX_ARTIFACT_BYTES, read_bounded

_ADDRESS_LENGTH = 20
_VERSION = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+)(?:[-+].*)?")


class Bytecode(NamedTuple):
    """Bytecode in hex, with placeholders for library addresses, and solc's source map."""

    object: str = ""
    source_map: str = ""
    links: Mapping[str, Mapping[str, Sequence[Mapping[str, int]]]] = {}
    """Mapping from file and library name to the positions of its address in the code."""
    immutables: Mapping[str, Sequence[Mapping[str, int]]] = {}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Bytecode:
        """Return the bytecode in an artifact of solc or forge. Raises TypeError or ValueError if it is malformed."""
        text = str(found.get("object", "")).removeprefix("0x")
        return cls(
            text,
            str(found.get("sourceMap", "")),
            dict(found.get("linkReferences") or {}),
            dict(found.get("immutableReferences") or {}),
        )

    def libraries(self) -> list[tuple[str, str]]:
        """Return the file and name of each library that the code links to."""
        return [(file, name) for file, names in self.links.items() for name in names]

    def link(self, addresses: Mapping[tuple[str, str], bytes]) -> bytes:
        """Return the code with library addresses filled in.

        Raises KeyError for a library that `addresses` lacks, ValueError for invalid hex.
        """
        code = bytearray.fromhex(_with_zero_addresses(self.object))
        for file, names in self.links.items():
            for name, locations in names.items():
                for location in locations:
                    at = location["start"]
                    code[at : at + _ADDRESS_LENGTH] = addresses[file, name]
        return bytes(code)


def _with_zero_addresses(text: str) -> str:
    """Return the hex with zeros in place of each `__$...$__` placeholder."""
    while (at := text.find("__")) >= 0:
        text = text[:at] + "0" * 40 + text[at + 40 :]
    return text


class ContractArtifact(NamedTuple):
    """A compiled contract. `file` is the path of its source, relative to the project's root."""

    name: str
    file: str
    abi: Sequence[Mapping[str, Any]]
    creation: Bytecode
    runtime: Bytecode
    methods: Mapping[str, str]
    """Mapping from function signature to selector, in hex."""
    version: str = ""
    """Version of the compiler, such as `0.8.30+commit.73712a01`; empty if unknown."""
    docs: Mapping[str, str] = {}
    """Mapping from function name to its `forge-config` comments; the contract's own have the key ""."""

    @classmethod
    def of(cls, name: str, file: str, found: Mapping[str, Any]) -> ContractArtifact:
        """Return the contract that an artifact's content describes. Raises InvalidInput if it is malformed."""
        try:
            abi = found["abi"]
            if not isinstance(abi, list) or not all(isinstance(entry, dict) for entry in abi):
                raise TypeError("the ABI is not a list of objects")
            creation, runtime = (Bytecode.of(found.get(key) or {}) for key in ("bytecode", "deployedBytecode"))
            bytes.fromhex(_with_zero_addresses(creation.object))
            compiler = (found.get("metadata") or {}).get("compiler") or {}
            methods = dict(found.get("methodIdentifiers") or {})
            return cls(name, file, abi, creation, runtime, methods, str(compiler.get("version", "")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the artifact of {file}:{name} is corrupt: {error}") from None


class ArtifactLocation(NamedTuple):
    """Location of an artifact on disk. `build` identifies the compiler run, which numbered its sources."""

    file: str
    name: str
    path: Path
    build: str = ""

    @property
    def is_foreign(self) -> bool:
        """True for a contract of another compiler than solc, which is used only by its name `NAME@COMPILER`."""
        return "@" in self.name


class Artifacts:
    """All compiled contracts of a project.

    `sources` maps each build to the source paths, by their indices in the build's source maps. `test_files` has the
    files of tests that each source of a suite imports, and itself.
    """

    def __init__(
        self, root: Path, locations: Sequence[ArtifactLocation], sources: Mapping[str, Mapping[int, str]],
        test_files: Mapping[str, frozenset[str]] | None = None,
    ) -> None:  # fmt: skip
        self.root = root
        self.locations = tuple(locations)
        self.sources = sources
        self.test_files = test_files or {}
        self._read: dict[ArtifactLocation, ContractArtifact] = {}

    @cached_property
    def _by_name(self) -> dict[str, list[ArtifactLocation]]:
        found: dict[str, list[ArtifactLocation]] = {}
        for location in self.locations:
            found.setdefault(location.name, []).append(location)
        return found

    def load(self, location: ArtifactLocation) -> ContractArtifact:
        """Return a contract. Raises InvalidInput if its file is corrupt or missing."""
        known = self._read.get(location)
        if known is None:
            try:
                content = orjson.loads(read_bounded(location.path, MAX_ARTIFACT_BYTES, "the artifact"))
            except orjson.JSONDecodeError as error:
                raise InvalidInput(f"{location.path} is corrupt: {error}") from None
            if not isinstance(content, dict):
                raise InvalidInput(f"{location.path} is corrupt: it is not a JSON object")
            known = self._read[location] = ContractArtifact.of(location.name, location.file, content)
        return known

    def get(self, file: str, name: str) -> ContractArtifact:
        """Return the contract with this name in a source file. Raises InvalidInput if there is none."""
        for location in self._by_name.get(name, ()):
            if location.file == file:
                return self.load(location)
        raise InvalidInput(f"there is no compiled contract {file}:{name}")

    def find(self, wanted: str, files: Container[str] | None = None) -> ContractArtifact | None:
        """Return the only contract that `search` finds, or None. With `files`, only these sources are searched."""
        found = self.search(wanted, files)
        return found[0] if len(found) == 1 else None

    def search(self, wanted: str, files: Container[str] | None = None) -> list[ContractArtifact]:
        """Return the contracts for `Name` or `path/File.sol`, and `path/File.sol:Name`, each also with `:VERSION`.

        The path may be the end of one, and its artifact's: `File.sol/Name.json`. `Name@COMPILER` is the contract of
        another compiler, which a name is required for. Raises InvalidInput for text that is no version.
        """
        if wanted.endswith(".json"):
            path = Path(wanted)
            if path.parent.suffix != ".sol":
                return []
            wanted = f"{path.parent.name}:{path.stem.partition('.')[0]}"
        first, *rest = wanted.split(":")
        file, name = (first, None) if "." in first else ("", first)
        if file and rest and "." not in rest[0]:
            name = rest.pop(0)
        version = _VERSION.fullmatch(rest[0]) if rest else None
        if rest and version is None:
            raise InvalidInput(f"failed parsing version: '{rest[0]}' has not three numbers, as in 0.8.30")
        places = [
            place
            for place in (self.locations if name is None else self._by_name.get(name, ()))
            if (not file or f"/{place.file}".endswith(f"/{file}"))
            and (files is None or place.file in files)
            and (name is not None or not place.is_foreign)
        ]
        places = [place for place in places if place.file == file] or places
        found = [self.load(place) for place in places]
        return [one for one in found if version is None or one.version.partition("+")[0] == version[1]]

    def all(self) -> Iterator[ContractArtifact]:
        """Return every contract."""
        return (self.load(location) for location in self.locations)
