"""Reuse of forge's artifacts: sources that forge has compiled, unchanged since, are not compiled again.

Forge's artifacts contain the hash of every source that went into them (the compiler's metadata). A source's artifacts
are used if every contract that it declares has one and all hashes match. The index of a source in source maps is only
valid for one compiler run (localnet/contracts/source_maps.py): artifacts of an unknown run are not used.

The artifacts and cache entries written here are used by forge if the project's folders, the compiler's settings, and
the hashes of the source and all its imports equal those in the file; otherwise forge compiles, so a wrong entry does no
harm. Rules: the output of forge 1.7.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
import xxhash

from hypervisor.installation import read_bounded
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation
from hypervisor_tools.soltest.compile.compiling import OUTPUTS, CompiledSource
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from hypervisor_tools.soltest.project.sources import Sources, declared_contracts
from hypervisor_tools.soltest.project.test_settings import evm_version
from localnet.contracts.source_maps import FORGE_CACHE, MAX_BUILD_INFO_BYTES, ForgeBuilds
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


_PROFILE: Final = "default"


def write_forge_cache(
    project: Project,
    sources: Sources,
    version: str,
    compiled: Mapping[str, CompiledSource],
    current: Mapping[str, CompiledSource],
) -> None:
    """Write these compiled sources as forge artifacts; `current` are those that forge already has.

    Sources that import files outside the project (FilecoinVm.sol of this package) are left out, since forge cannot
    compile them. Nothing is written if forge's own files are of other settings, or if the folders are not writable.
    """
    content = _cache_for(project, version) if compiled else None
    if content is None:
        return
    outside = {name for name in sources.texts if not (project.root / name).is_file()}
    made = {**compiled, **{name: source for name, source in current.items() if not source.locations}}
    written = {name: source for name, source in made.items() if not outside & sources.closure([name])}
    if not written:
        return
    try:
        _write(project, sources, version, content, written)
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return  # the folders or the cache are not in forge's format, so forge compiles


def _cache_for(project: Project, version: str) -> dict[str, Any] | None:
    """Return forge's cache, or a new one if there is none; None if its settings differ from the project's."""
    if project.compiler.optimizer_details is not None:
        return None
    file = project.root / project.cache / FORGE_CACHE
    new = _new_cache(project, version)
    try:
        file.lstat()
        found = orjson.loads(read_bounded(file, MAX_BUILD_INFO_BYTES, "the cache"))
    except FileNotFoundError:
        return new
    except (OSError, ValueError):
        return None
    try:
        same = (
            found["paths"] == new["paths"]
            and found["profiles"].keys() == new["profiles"].keys()
            and found["profiles"][_PROFILE]["solc"] == new["profiles"][_PROFILE]["solc"]
            and not found["preprocessed"]
            and isinstance(found["files"], dict)
            and isinstance(found["builds"], list)
        )
    except (KeyError, TypeError, AttributeError):
        return None
    return found if same else None


def _new_cache(project: Project, version: str) -> dict[str, Any]:
    chosen = project.compiler
    fork = evm_version(chosen.evm_version, version)
    solc = {  # forge omits the remappings here
        "optimizer": {"enabled": chosen.optimizer, "runs": chosen.runs},
        "metadata": {
            "useLiteralContent": False,
            "bytecodeHash": chosen.bytecode_hash,
            "appendCBOR": chosen.cbor_metadata,
        },
        "outputSelection": {"*": {"*": list(OUTPUTS)}},
        "evmVersion": fork,
        "viaIR": chosen.via_ir,
        "libraries": {},
    }
    vyper = {"evmVersion": fork, "outputSelection": {"*": {"*": ["abi", "evm.bytecode", "evm.deployedBytecode"]}}}
    return {
        "_format": "",
        "paths": {
            "artifacts": project.out,
            "build_infos": f"{project.out}/build-info",
            "sources": project.src,
            "tests": project.test,
            "scripts": project.script,
            "libraries": list(project.libs),
        },
        "files": {},
        "builds": [],
        "profiles": {_PROFILE: {"solc": solc, "vyper": vyper}},
        "preprocessed": False,
        "mocks": [],
    }


def _content_hash(text: str) -> str:
    """Return the XXH3 hash of a text, in the format of forge's cache."""
    return xxhash.xxh3_64_hexdigest(text.encode())


def _write(
    project: Project,
    sources: Sources,
    version: str,
    content: dict[str, Any],
    compiled: Mapping[str, CompiledSource],
) -> None:
    """Write the artifacts, then the build-info files, and last the cache that names both."""
    out = project.root / project.out
    true = _true_entries(project, sources, content["files"])
    files = {name: entry for name, entry in true.items() if name not in compiled}
    taken = {made["path"] for entry in files.values() for made in _artifacts_in(entry)}
    runs = _compiler_runs(compiled)
    named = {path for run in runs.values() for path in run.values()}
    missing = {path for path in named if not (project.root / path).is_file()}
    for name, source in compiled.items():
        numbers = {number: path for number, path in runs[name].items() if path not in missing}
        build = _build_id(numbers)
        artifacts: dict[str, Any] = {}
        for location in source.locations:
            path = _free_path(name, location.name, taken)
            taken.add(path)
            write_inside(project.root, out / path, location.path.read_bytes())
            artifacts[location.name] = {version: {_PROFILE: {"path": path, "build_id": build}}}
        info = out / "build-info" / f"{build}.json"
        build_info = {
            "id": build,
            "source_id_to_path": {str(n): numbers[n] for n in sorted(numbers)},
            "language": "Solidity",
        }
        write_inside(project.root, info, orjson.dumps(build_info))
        files[name] = _entry(project, sources, name, artifacts)
    builds = {made["build_id"] for entry in files.values() for made in _artifacts_in(entry)}
    whole = content | {"files": dict(sorted(files.items())), "builds": sorted(builds)}
    write_inside(project.root, project.root / project.cache / FORGE_CACHE, orjson.dumps(whole))


def _true_entries(project: Project, sources: Sources, files: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cache entries whose source and imports are unchanged.

    Forge detects the others by the hash of the changed source, which a rewritten entry would hide.
    """
    texts = {name: sources.texts[name] if name in sources.texts else _text(project.root / name) for name in files}
    same = {
        name for name, text in texts.items() if text is not None and files[name]["contentHash"] == _content_hash(text)
    }
    return {name: entry for name, entry in files.items() if same.issuperset((name, *entry["imports"]))}


def _text(file: Path) -> str | None:
    """Return the text of a source that is not compiled here, or None if it does not exist."""
    return file.read_text("utf-8") if file.is_file() else None


def _entry(project: Project, sources: Sources, name: str, artifacts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lastModificationDate": int((project.root / name).stat().st_mtime * 1000),
        "contentHash": _content_hash(sources.texts[name]),
        "interfaceReprHash": None,
        "sourceName": name,
        "imports": sorted(sources.closure([name]) - {name}),
        "versionRequirement": None,
        "artifacts": artifacts,
        "seenByCompiler": True,
    }


def _artifacts_in(entry: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return the artifacts of an entry."""
    return [
        made for versions in entry["artifacts"].values() for profiles in versions.values() for made in profiles.values()
    ]


def _free_path(file: str, name: str, taken: Set[str]) -> str:
    """Return forge's path for a contract: the source's file name, preceded by folders if that path is taken."""
    parts = Path(file).parts
    for start in range(len(parts) - 1, -1, -1):
        path = "/".join((*parts[start:], f"{name}.json"))
        if path not in taken:
            return path
    return path


def _compiler_runs(compiled: Mapping[str, CompiledSource]) -> dict[str, dict[int, str]]:
    """Return the source indices of each source's compiler run, joined from the sources of the run."""
    runs: list[dict[int, str]] = []
    found = {}
    for name, source in compiled.items():
        for run in runs:
            if all(run.get(number, path) == path for number, path in source.numbers.items()):
                break
        else:
            run = {}
            runs.append(run)
        run.update(source.numbers)
        found[name] = run
    return found


def _build_id(numbers: Mapping[int, str]) -> str:
    return sha256(orjson.dumps(sorted(numbers.items()))).hexdigest()[:16]
