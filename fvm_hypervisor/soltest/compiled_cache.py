"""What was compiled before, source by source, below the project's cache folder.

A source's folder is named by the hash of all that its code depends on: its text, the texts of all that it imports, the
compiler and its settings. It holds a file for each contract, in the form in which forge writes artifacts, and an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.artifact import ArtifactPlace
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.sources import Sources
from hypervisor.user_files import read_bounded

CACHE_FOLDER: Final = "hypervisor"
"""Below the project's cache folder."""
_LARGEST_INDEX: Final = 16 << 20
"""Bytes of an index: a name and a number for each contract and source of a project."""
_FORMAT: Final = 3
"""Of the cache: another one is not read."""


@dataclass(frozen=True, slots=True)
class CompiledSource:
    """The contracts of a source. `numbers` are the paths of sources by their numbers in the contracts' source maps."""

    build: str
    places: tuple[ArtifactPlace, ...]
    numbers: Mapping[int, str]


def source_keys(version: str, settings: Mapping[str, Any], sources: Sources, names: Iterable[str]) -> dict[str, str]:
    """The hash of all that a source's code depends on, by source.

    Remappings count: the compiler's metadata name them, and the code ends with the metadata's hash.
    """
    remappings = [str(found) for found in sources.remappings]
    common = orjson.dumps([_FORMAT, version, settings, remappings], option=orjson.OPT_SORT_KEYS)
    hashes = {name: sha256(text.encode()).hexdigest() for name, text in sources.texts.items()}
    keys = {}
    for name in names:
        used = [[path, hashes[path]] for path in sorted(sources.closure([name]))]
        keys[name] = sha256(common + orjson.dumps([name, used])).hexdigest()
    return keys


class CompiledCache:
    """The sources' folders in a folder."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        """Nothing is written outside of `root`, by default the folder."""
        self.folder = folder
        self._root = folder if root is None else root

    def _of(self, key: str) -> Path:
        return self.folder / key[:32]

    def get(self, file: str, key: str) -> CompiledSource | None:
        """What was compiled of a source before; None where it is not there, or not whole."""
        folder = self._of(key)
        try:
            content = orjson.loads(read_bounded(folder / "index.json", _LARGEST_INDEX, "the index"))
            places = []
            for number, (name, size) in enumerate(content["contracts"]):
                path = folder / f"{number}.json"
                if path.stat().st_size != size:
                    return None
                places.append(ArtifactPlace(file, name, path, key))
            numbers = {int(number): path for path, number in content["sources"].items()}
            return CompiledSource(key, tuple(places), numbers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, file: str, key: str, answer: Mapping[str, Any], used: Set[str]) -> None:
        """Write a file for each contract, then the index, so that a process that finds the index finds all.

        Each file is whole when it gets its name: another process may read what this one writes anew.
        `used` are the sources that may occur in the contracts' source maps.
        """
        folder = self._of(key)
        numbers = {path: int(found["id"]) for path, found in answer.get("sources", {}).items() if path in used}
        contracts: list[tuple[str, int]] = []
        for name, found in sorted(answer.get("contracts", {}).get(file, {}).items()):
            content = orjson.dumps(_artifact(found, numbers.get(file, -1)))
            write_inside(self._root, folder / f"{len(contracts)}.json", content)
            contracts.append((name, len(content)))
        index = orjson.dumps({"contracts": contracts, "sources": numbers})
        write_inside(self._root, folder / "index.json", index)


def _artifact(found: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A contract as forge writes it, from what the compiler answers."""
    evm = found.get("evm", {})
    content = {
        "abi": found.get("abi", []),
        "bytecode": _bytecode(evm.get("bytecode", {})),
        "deployedBytecode": _bytecode(evm.get("deployedBytecode", {})),
        "methodIdentifiers": evm.get("methodIdentifiers", {}),
    }
    metadata = found.get("metadata")
    if metadata:
        content |= {"rawMetadata": metadata, "metadata": orjson.loads(metadata)}
    return content | {"id": number}


def _bytecode(found: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: found[key] for key in ("sourceMap", "linkReferences", "immutableReferences") if key in found}
    return {"object": f"0x{found.get('object', '')}"} | rest
