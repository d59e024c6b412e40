"""Compiled contracts in project folders, found by name or by deployed code.

Foundry writes them to `out/`, Hardhat to `artifacts/`. Both are read on demand, and again when a file changes. Files
are untrusted: each is read up to a size limit, and files that are not artifacts are skipped.
`localnet.contracts.debug_info` reads source maps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from hypervisor.errors import InvalidInput
from hypervisor.installation import MAX_ARTIFACT_BYTES
from localnet.contracts.argument_texts import readable_interface
from localnet.contracts.contract import Artifact
from localnet.contracts.debug_info import CodePattern, DebugInfo, debug_info, without_metadata
from store.untrusted import parse_json

DEFAULT_FOLDERS: Final = (Path("out"), Path("artifacts"))
MAX_FILES: Final = 10_000
"""Maximum number of files and folders searched below one folder."""
MAX_BYTES: Final = 256 << 20
"""Maximum total size of the artifacts read, in bytes."""

_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class CompiledContract:
    """A compiled contract: name, file, interface, and patterns of its code."""

    name: str
    file: Path
    interface: ContractInterface
    creation: CodePattern
    runtime: CodePattern
    content: Mapping[str, Any]
    folder: Path

    def debug(self) -> DebugInfo:
        """Return the available source maps."""
        return debug_info(self.content, self.file, self.folder, self.name)


class ArtifactFolders:
    """The compiled contracts below some folders. `contracts` and `named` check for changed files."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        """Read the given folders, by default `out` and `artifacts` in the working directory."""
        self.folders = tuple(DEFAULT_FOLDERS if folders is None else folders)
        self._known: dict[Path, tuple[tuple[int, int], CompiledContract | None]] | None = None

    def contracts(self) -> list[CompiledContract]:
        """All contracts, by the paths of their files."""
        before = self._known or {}
        known: dict[Path, tuple[tuple[int, int], CompiledContract | None]] = {}
        remaining = MAX_BYTES
        for folder in self.folders:
            for file, stamp in _files(folder):
                remaining -= stamp[1]
                if remaining < 0:
                    break
                same = before.get(file)
                known[file] = same if same is not None and same[0] == stamp else (stamp, _read(file, folder))
        self._known = dict(sorted(known.items()))
        return self._last_contracts()

    def _last_contracts(self) -> list[CompiledContract]:
        """Return the contracts found by the last check."""
        if self._known is None:
            return self.contracts()
        return [found for _, found in self._known.values() if found is not None]

    def running(self, code: bytes) -> CompiledContract | None:
        """Return the contract with this runtime code, ignoring metadata and immutables (as of the last scan)."""
        bare = without_metadata(code)
        same = (found for found in self._last_contracts() if len(found.runtime.code) == len(bare))
        return next((found for found in same if found.runtime.begins(bare)), None)

    def creating(self, init_code: bytes) -> CompiledContract | None:
        """Return the contract whose creation code is a prefix of this (as of the last scan)."""
        fitting = [found for found in self._last_contracts() if found.creation.begins(init_code)]
        return max(fitting, key=lambda found: len(found.creation.code), default=None)

    def named(self, name: str) -> CompiledContract:
        """Return a contract by its name, or by `File.sol:Name` if several have the name. Raises InvalidInput."""
        source, _, wanted = name.rpartition(":")
        fitting = [
            found
            for found in self.contracts()
            if found.name == wanted and (not source or found.file.parent.name == Path(source).name)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            where = ", ".join(str(folder) for folder in self.folders)
            raise InvalidInput(f"there is no compiled contract '{name}' in {where}: compile it, or name its file")
        files = ", ".join(str(found.file) for found in fitting[:5])
        raise InvalidInput(f"several contracts are called '{name}': name one of the files {files}")


def find_artifact(name: str, folders: Sequence[Path] | None = None) -> Artifact:
    """Find an artifact by file (`.json`) or contract name. Raises InvalidInput."""
    if name.endswith(".json"):
        return Artifact.load(name)
    return Artifact.load(ArtifactFolders(folders).named(name).file)


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield the JSON files below a folder that may be artifacts, with time and size. Links are not followed."""
    todo, seen = [(folder, 0)], 0
    while todo:
        folder_path, depth = todo.pop()
        try:
            entries = sorted(os.scandir(folder_path), key=lambda entry: entry.name)
        except OSError:
            continue  # not there (yet), or not readable
        for entry in entries:
            seen += 1
            if seen > MAX_FILES:
                return
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST and entry.name not in ("build-info", "cache"):
                    todo.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False) and entry.name.endswith(".json"):
                found = entry.stat(follow_symlinks=False)
                if found.st_size <= MAX_ARTIFACT_BYTES and not entry.name.endswith((".dbg.json", ".metadata.json")):
                    yield Path(entry.path), (found.st_mtime_ns, found.st_size)


def _read(file: Path, folder: Path) -> CompiledContract | None:
    """Read the contract in a file, None if it holds none."""
    try:
        content = parse_json(file.read_bytes())
        creation, runtime = (CodePattern.of(_hex(content.get(key))) for key in ("bytecode", "deployedBytecode"))
        name = content.get("contractName", content.get("contract", file.stem))
        interface = readable_interface(content["abi"])
    except (InvalidInput, OSError, KeyError, AttributeError, TypeError, ValueError):
        return None
    return CompiledContract(str(name), file, interface, creation, runtime, content, folder)


def _hex(code: Any) -> str:
    """Return a compiler's code: hex text, or an object with the field `object`."""
    text = code.get("object", "") if isinstance(code, Mapping) else code or ""
    if not isinstance(text, str):
        raise TypeError("code is text")
    return text
