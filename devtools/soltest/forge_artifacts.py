"""What forge has compiled, where it fits the sources as they are now: then nothing has to be compiled again.

Forge's artifacts name the hash of every source that went into them (the compiler's metadata): they are taken if every
contract that the project's own sources declare is there and every hash is that of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from eth_hash.auto import keccak

from devtools.soltest.artifact import Artifacts, Place
from devtools.soltest.project import Project
from devtools.soltest.sources import Sources, declared_contracts


def forge_artifacts(project: Project, sources: Sources, version: str | None) -> Artifacts | None:
    """Forge's artifacts of these sources; None where one is missing, older, of other settings or another compiler."""
    out = project.root / project.out
    if not (out / "build-info").is_dir():
        return None
    hashes: dict[str, str] = {}
    places: list[Place] = []
    numbers: dict[int, str] = {}
    for name in sources.texts:
        found = _of_source(out, name)
        there = {_name(path) for path, _ in found}
        if name in sources.own and not there.issuperset(declared_contracts(sources.texts[name])):
            return None
        for path, content in found:
            if name in sources.own and not _is_current(project, version, content, sources, hashes):
                return None
            places.append(Place(name, _name(path), path))
            numbers[int(content.get("id", -1))] = name
    return Artifacts(project.root, places, numbers)


def _of_source(out: Path, name: str) -> list[tuple[Path, Mapping[str, Any]]]:
    """The artifacts of a source. Where several have a name, forge adds folders before it: the target is sure."""
    found, parts = [], name.split("/")
    for folder in (out.joinpath(*parts[start:]) for start in range(len(parts))):
        for path in sorted(folder.glob("*.json")):
            content = _content(path)
            if content is not None and _target(content) == name:
                found.append((path, content))
    return found


def _name(path: Path) -> str:
    """The contract's; behind a dot forge writes the compiler's version where it used several."""
    return path.stem.partition(".")[0]


def _content(path: Path) -> Mapping[str, Any] | None:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def _target(content: Mapping[str, Any]) -> str | None:
    try:
        ((file, _),) = content["metadata"]["settings"]["compilationTarget"].items()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return str(file)


def _is_current(
    project: Project, version: str | None, content: Mapping[str, Any], sources: Sources, hashes: dict[str, str]
) -> bool:
    """Whether the contract was compiled of the sources as they are, by the settings as they are."""
    try:
        metadata = content["metadata"]
        settings, compiler = metadata["settings"], str(metadata["compiler"]["version"])
        used = {str(path): str(found["keccak256"]) for path, found in metadata["sources"].items()}
        optimizer = settings.get("optimizer", {})
        wanted = project.compiler
        agreed = (
            bool(optimizer.get("enabled", False)) == wanted.optimizer
            and bool(settings.get("viaIR", False)) == wanted.via_ir
            and (not wanted.optimizer or optimizer.get("runs", 200) == wanted.runs)
            and wanted.evm_version in (None, settings.get("evmVersion"))
            and (version is None or compiler.partition("+")[0] == version)
        )
    except (KeyError, TypeError, AttributeError):
        return False
    for path in used:
        if path in sources.texts and path not in hashes:
            hashes[path] = f"0x{keccak(sources.texts[path].encode()).hex()}"
    return agreed and all(hashes.get(path) == known for path, known in used.items())
