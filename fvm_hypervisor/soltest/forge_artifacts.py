"""What forge has compiled, where it fits the sources as they are now: that is not compiled again.

Forge's artifacts name the hash of every source that went into them (the compiler's metadata): a source's are taken if
every contract that it declares is there and every hash is that of the source. The number of a source in source maps
holds in one run of the compiler (localnet/contracts/forge_builds.py): an artifact whose run is not known is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from fvm_hypervisor.soltest.artifact import ArtifactPlace
from fvm_hypervisor.soltest.compiled_cache import CompiledSource
from fvm_hypervisor.soltest.evm_versions import evm_version
from fvm_hypervisor.soltest.project import CompilerSettings, Project
from fvm_hypervisor.soltest.sources import Sources, declared_contracts
from hypervisor.user_files import read_bounded
from localnet.contracts.forge_builds import LARGEST_BUILD_INFO, ForgeBuilds
from store.keccak import keccak


def forge_artifacts(project: Project, sources: Sources, version: str | None) -> dict[str, CompiledSource]:
    """The sources whose artifacts by forge are current; `version` is the compiler's, None for any."""
    if not (project.root / project.out / "build-info").is_dir():
        return {}
    out = _Out(project, sources, version)
    found = {name: out.source(name) for name in sources.texts}
    return {name: there for name, there in found.items() if there is not None}


class _Out:
    """Forge's folder of artifacts, beside the sources."""

    def __init__(self, project: Project, sources: Sources, version: str | None) -> None:
        self._project, self._sources, self._version = project, sources, version
        self._folder = project.root / project.out
        self._builds = ForgeBuilds(self._folder, project.root / project.cache)
        self._hashes: dict[str, str] = {}

    def source(self, name: str) -> CompiledSource | None:
        """A source's artifacts; None where one is missing, older, of other settings or another compiler."""
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
        return CompiledSource(build, tuple(ArtifactPlace(name, _name(path), path, build) for path, _ in found), numbers)

    def _of_source(self, name: str) -> list[tuple[Path, Mapping[str, Any]]]:
        """The artifacts of a source. Where several have a name, forge adds folders before it: the target is sure."""
        known = self._builds.artifacts(name)
        contents = ((path, _object(path)) for path in (self._around(name) if known is None else sorted(known)))
        return [(path, content) for path, content in contents if _target(content) == name]

    def _around(self, name: str) -> list[Path]:
        """Where artifacts of a source may be, where forge's cache does not say it."""
        parts = name.split("/")
        folders = (self._folder.joinpath(*parts[start:]) for start in range(len(parts)))
        found = (path for folder in folders for path in sorted(folder.glob("*.json")))
        return [path for path in found if self._builds.build(path) is not None]

    def _is_current(self, name: str, content: Mapping[str, Any]) -> bool:
        """Whether the contract was compiled of the sources as they are, by the settings as they are."""
        try:
            metadata = content["metadata"]
            compiler = str(metadata["compiler"]["version"]).partition("+")[0]
            used = {str(path): str(found["keccak256"]) for path, found in metadata["sources"].items()}
            agreed = self._version in (None, compiler) and _agree(
                self._project.compiler, metadata["settings"], compiler
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            return False
        if not agreed or not self._sources.closure([name]) <= used.keys():
            return False
        return all(self._hash(path) == known for path, known in used.items())

    def _hash(self, path: str) -> str | None:
        if path not in self._sources.texts:
            return None
        if path not in self._hashes:
            self._hashes[path] = f"0x{keccak(self._sources.texts[path].encode()).hex()}"
        return self._hashes[path]


def _agree(wanted: CompilerSettings, settings: Mapping[str, Any], compiler: str) -> bool:
    """Whether the settings in the compiler's metadata are the wanted ones; what they do not name is the usual."""
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
    """Whether the artifact gives its source the number that the run of the compiler gave it."""
    number = content.get("id")
    return isinstance(number, int) and numbers.get(number) == name


def _name(path: Path) -> str:
    """The contract's; after a dot forge writes the compiler's version where it used several."""
    return path.stem.partition(".")[0]


def _object(path: Path) -> Mapping[str, Any]:
    """The object in a file; an empty one where there is none, or where no file can have this path."""
    try:
        content = orjson.loads(read_bounded(path, LARGEST_BUILD_INFO, "the file"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _target(content: Mapping[str, Any]) -> str | None:
    try:
        ((file, _),) = content["metadata"]["settings"]["compilationTarget"].items()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return str(file)
