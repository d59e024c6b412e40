"""Cache of compiled sources, below the project's cache folder.

A source's folder is named by a hash of everything its code depends on: its text, the texts of its imports, the compiler
and the settings. It holds an artifact per contract, in forge's format, and an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation
from fvm_hypervisor.soltest.project.sources import Sources
from fvm_hypervisor.soltest.project_files import write_inside
from hypervisor.installation import read_bounded

CACHE_FOLDER: Final = "hypervisor"
"""Name of the folder below the project's cache folder."""
_MAX_INDEX: Final = 16 << 20
"""Maximum size of an index in bytes; it has a name and a number per contract and source."""
_FORMAT: Final = 3
"""Version of the cache format; other versions are ignored."""


@dataclass(frozen=True, slots=True)
class CompiledSource:
    """The contracts of a source. `numbers` maps the indices in their source maps to source paths."""

    build: str
    locations: tuple[ArtifactLocation, ...]
    numbers: Mapping[int, str]


def source_keys(version: str, settings: Mapping[str, Any], sources: Sources, names: Iterable[str]) -> dict[str, str]:
    """Return a hash of everything that a source's code depends on, for each source.

    Remappings are included: the compiler's metadata name them, and the code ends with the metadata's hash.
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
    """A folder with one folder per compiled source."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        """Open the cache. Nothing is written outside `root`, which defaults to the folder."""
        self.folder = folder
        self._root = folder if root is None else root

    def _of(self, key: str) -> Path:
        return self.folder / key[:32]

    def get(self, file: str, key: str) -> CompiledSource | None:
        """Return the cached contracts of a source, or None if they are missing or incomplete."""
        folder = self._of(key)
        try:
            content = orjson.loads(read_bounded(folder / "index.json", _MAX_INDEX, "the index"))
            locations = []
            for number, (name, size) in enumerate(content["contracts"]):
                path = folder / f"{number}.json"
                if path.stat().st_size != size:
                    return None
                locations.append(ArtifactLocation(file, name, path, key))
            numbers = {int(number): path for path, number in content["sources"].items()}
            return CompiledSource(key, tuple(locations), numbers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, file: str, key: str, output: Mapping[str, Any], used: Set[str]) -> None:
        """Write an artifact for each contract, then the index: an entry with an index is complete.

        Each file is written completely before it replaces the existing one, because another process may read the entry.
        `used` is the set of sources that may occur in the contracts' source maps.
        """
        folder = self._of(key)
        numbers = {path: int(found["id"]) for path, found in output.get("sources", {}).items() if path in used}
        contracts: list[tuple[str, int]] = []
        for name, found in sorted(output.get("contracts", {}).get(file, {}).items()):
            content = orjson.dumps(_artifact(found, numbers.get(file, -1)))
            write_inside(self._root, folder / f"{len(contracts)}.json", content)
            contracts.append((name, len(content)))
        index = orjson.dumps({"contracts": contracts, "sources": numbers})
        write_inside(self._root, folder / "index.json", index)


def _artifact(found: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a contract's artifact in forge's format, from the compiler's output."""
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
