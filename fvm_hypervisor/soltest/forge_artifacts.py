"""Reuse of forge's artifacts: sources that forge has compiled, unchanged since, are not compiled again.

Forge's artifacts contain the hash of every source that went into them (the compiler's metadata). A source's artifacts
are used if every contract that it declares has one and all hashes match. The index of a source in source maps is only
valid for one compiler run (localnet/contracts/source_maps.py): artifacts of an unknown run are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation
from fvm_hypervisor.soltest.compiled_cache import CompiledSource
from fvm_hypervisor.soltest.evm_versions import evm_version
from fvm_hypervisor.soltest.project.project import CompilerSettings, Project
from fvm_hypervisor.soltest.project.sources import Sources, declared_contracts
from hypervisor.installation import read_bounded
from localnet.contracts.source_maps import MAX_BUILD_INFO_BYTES, ForgeBuilds
from store.keccak import keccak


def forge_artifacts(project: Project, sources: Sources, version: str | None) -> dict[str, CompiledSource]:
    """Return the sources whose forge artifacts are current; `version` is the compiler's, None for any."""
    if not (project.root / project.out / "build-info").is_dir():
        return {}
    out = _Out(project, sources, version)
    found = {name: out.source(name) for name in sources.texts}
    return {name: there for name, there in found.items() if there is not None}


class _Out:
    """Forge's artifact folder, compared with the sources."""

    def __init__(self, project: Project, sources: Sources, version: str | None) -> None:
        self._project, self._sources, self._version = project, sources, version
        self._folder = project.root / project.out
        self._builds = ForgeBuilds(self._folder, project.root / project.cache)
        self._hashes: dict[str, str] = {}

    def source(self, name: str) -> CompiledSource | None:
        """Return a source's artifacts, or None if one is missing or outdated, or its settings or compiler differ."""
        declared = declared_contracts(self._sources.texts[name])
        if not declared:
            return CompiledSource("", (), {})
        found = [(path, content) for path, content in self._of_source(name) if _name(path) in declared]
        builds = {build for path, _ in found if (build := self._builds.build(path)) is not None}
        if {_name(path) for path, _ in found} != declared or len(builds) != 1:
            return None
        (build,) = builds
        numbers = self._builds.numbers(build)
        if not all(_has_number(content, numbers, name) and self._is_current(name, content) for _, content in found):
            return None
        return CompiledSource(
            build, tuple(ArtifactLocation(name, _name(path), path, build) for path, _ in found), numbers
        )

    def _of_source(self, name: str) -> list[tuple[Path, Mapping[str, Any]]]:
        """Return a source's artifacts, identified by compilation target: forge adds folders to colliding paths."""
        known = self._builds.artifacts(name)
        contents = ((path, _object(path)) for path in (self._around(name) if known is None else sorted(known)))
        return [(path, content) for path, content in contents if _target(content) == name]

    def _around(self, name: str) -> list[Path]:
        """Return the possible artifacts of a source, if forge's cache does not list them."""
        parts = name.split("/")
        folders = (self._folder.joinpath(*parts[start:]) for start in range(len(parts)))
        found = (path for folder in folders for path in sorted(folder.glob("*.json")))
        return [path for path in found if self._builds.build(path) is not None]

    def _is_current(self, name: str, content: Mapping[str, Any]) -> bool:
        """Return True if the contract was compiled from the current sources with the current settings."""
        try:
            metadata = content["metadata"]
            compiler = str(metadata["compiler"]["version"]).partition("+")[0]
            used = {str(path): str(found["keccak256"]) for path, found in metadata["sources"].items()}
            is_current = self._version in (None, compiler) and _agree(
                self._project.compiler, metadata["settings"], compiler
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            return False
        if not is_current or not self._sources.closure([name]) <= used.keys():
            return False
        return all(self._hash(path) == known for path, known in used.items())

    def _hash(self, path: str) -> str | None:
        if path not in self._sources.texts:
            return None
        if path not in self._hashes:
            self._hashes[path] = f"0x{keccak(self._sources.texts[path].encode()).hex()}"
        return self._hashes[path]


def _agree(wanted: CompilerSettings, settings: Mapping[str, Any], compiler: str) -> bool:
    """Return True if the settings in the metadata equal the wanted ones; missing settings have their defaults."""
    optimizer, metadata = settings.get("optimizer", {}), settings.get("metadata", {})
    return (
        bool(optimizer.get("enabled", False)) == wanted.optimizer
        and bool(settings.get("viaIR", False)) == wanted.via_ir
        and (not wanted.optimizer or optimizer.get("runs", 200) == wanted.runs)
        and wanted.optimizer_details is None
        and "details" not in optimizer
        and settings.get("evmVersion") == evm_version(wanted.evm_version, compiler)
        and metadata.get("bytecodeHash", "ipfs") == wanted.bytecode_hash
        and bool(metadata.get("appendCBOR", True)) == wanted.cbor_metadata
    )


def _has_number(content: Mapping[str, Any], numbers: Mapping[int, str], name: str) -> bool:
    """Return True if the artifact's source index is the one that the compiler run assigned."""
    number = content.get("id")
    return isinstance(number, int) and numbers.get(number) == name


def _name(path: Path) -> str:
    """Return the contract's name; forge appends the compiler's version after a dot if it used several."""
    return path.stem.partition(".")[0]


def _object(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file; an empty one if there is none or the path is invalid."""
    try:
        content = orjson.loads(read_bounded(path, MAX_BUILD_INFO_BYTES, "the file"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _target(content: Mapping[str, Any]) -> str | None:
    try:
        ((file, _),) = content["metadata"]["settings"]["compilationTarget"].items()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return str(file)
