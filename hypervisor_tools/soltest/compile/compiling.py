"""Incremental compilation of a project's sources, with a cache below the project's cache folder.

A source is compiled again if it, one of its imports or a setting has changed. The compiler gets the changed sources
with all their imports, and generates code for the changed ones only. If there are many, several processes share them.
Each gets all sources, so that their numbering, and so the code, is the same as in one run. Rules: the Solidity
documentation on the compiler's JSON input and output.

In the cache a source's folder is named by a hash of everything its code depends on: its text, the texts of its imports,
the compiler and the settings. If warnings are errors, the hash has their settings too, so it is the folder of code that
has none. It holds an artifact per contract, in forge's format, and an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import orjson

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.compile.compiler import CompilerRun, Solc, SourcesRefused
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from hypervisor_tools.soltest.project.sources import Sources
from hypervisor_tools.soltest.project.test_settings import EXPERIMENTAL, evm_version
from localnet.contracts.source_maps import FORGE_CACHE

CACHE_FOLDER: Final = "hypervisor"
"""Name of the folder below the project's cache folder."""
_NAME_LENGTH: Final = 32
"""Length of the name of an entry's folder: the first digits of its key."""
_MAX_INDEX: Final = 16 << 20
"""Maximum size of an index in bytes; it has a name and a number per contract and source."""
_MAX_UNUSED: Final = 512
"""Maximum number of cached sources that the last compilation did not use, such as earlier versions of a source."""
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
    common = orjson.dumps([_FORMAT, version, settings, remappings], sorted, orjson.OPT_SORT_KEYS)  # sets are sorted
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
        return self.folder / key[:_NAME_LENGTH]

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

    def prune(self, keys: Iterable[str]) -> None:
        """Delete the oldest entries, except those of these sources, if there are too many."""
        used = {key[:_NAME_LENGTH] for key in keys}
        found = [each for each in self.folder.iterdir() if len(each.name) == _NAME_LENGTH and each.name not in used]
        for each in sorted(found, key=_changed_at)[:-_MAX_UNUSED]:
            rmtree(each, ignore_errors=True)  # which deletes nothing behind a link


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


OUTPUTS: Final = (
    "abi", "evm.bytecode.object", "evm.bytecode.sourceMap", "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap", "evm.deployedBytecode.linkReferences",
    "evm.deployedBytecode.immutableReferences", "evm.methodIdentifiers", "metadata",
)  # fmt: skip


_SHARE: Final = 16
"""Minimum number of sources per additional process."""
_MAX_RUNS: Final = 4
"""Maximum number of concurrent processes: each may use a gigabyte of memory."""


def standard_json(
    project: Project, sources: Sources, version: str, wanted: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return the compiler's input for the code of the `wanted` sources, by default all."""
    chosen = sorted(sources.texts if wanted is None else wanted)
    return {
        "language": "Solidity",
        "sources": {name: {"content": sources.texts[name]} for name in sorted(sources.closure(chosen))},
        "settings": _settings(project.compiler, version) | {
            "remappings": [str(found) for found in sources.remappings],
            "outputSelection": _selection(chosen),
        },
    }  # fmt: skip


def _selection(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    return {name: {"*": list(OUTPUTS)} for name in names}


def _settings(chosen: CompilerSettings, version: str) -> dict[str, Any]:
    optimizer: dict[str, Any] = {"enabled": chosen.optimizer, "runs": chosen.runs}
    if chosen.optimizer_details is not None:
        optimizer["details"] = chosen.optimizer_details
    metadata: dict[str, Any] = {}  # older compilers reject keys that they do not know, even with the default value
    if chosen.bytecode_hash != "ipfs":
        metadata["bytecodeHash"] = chosen.bytecode_hash
    if not chosen.cbor_metadata:
        metadata["appendCBOR"] = False
    fork = evm_version(chosen.evm_version, version)
    settings: dict[str, Any] = {"optimizer": optimizer, "metadata": metadata, "evmVersion": fork}
    if chosen.via_ir:
        settings["viaIR"] = True
    if chosen.experimental or fork == EXPERIMENTAL:
        settings["experimental"] = True
    return settings


def artifacts_of(root: Path, compiled: Mapping[str, CompiledSource]) -> Artifacts:
    """Return the artifacts of compiled sources."""
    locations = [location for name in sorted(compiled) for location in compiled[name].locations]
    return Artifacts(root, locations, {found.build: found.numbers for found in compiled.values()})


def has_changed(project: Project, names: Iterable[str]) -> bool:
    """Return True if a source changed after the last compilation, nothing was compiled yet, or `force` is set.

    Only the files' modification times are compared.
    """
    if project.force:
        return True
    cache = project.root / project.cache
    last = max(_changed_at(cache / name) for name in (CACHE_FOLDER, FORGE_CACHE))
    return any(_changed_at(project.root / name) >= last for name in names)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def compiled_sources(
    project: Project,
    sources: Sources,
    names: Iterable[str],
    solc: Solc,
    notify: Callable[[str], None] = lambda _: None,
    waiting: CompilerRun | None = None,
    runs: int = 1,
    restore_maps: Callable[[Mapping[str, Any], Iterable[str]], None] = lambda _output, _names: None,
    warn: Callable[[Sequence[Mapping[str, Any]]], None] = lambda _: None,
    label: str = "",
) -> dict[str, CompiledSource]:
    """Return the contracts of these sources by source, compiled now or cached.

    `notify` is called with a line of text before anything is compiled. `waiting` is a process that is already started;
    `runs` is the maximum number of concurrent processes. `restore_maps` changes the source maps in the output for some
    sources (`Linked.restore_maps`). `warn` is called with the compiler's warnings and notes before its output is
    cached, and may raise. `label` names another compiler than solc, with its package's version. Raises CompileError
    with the compiler's messages, and InvalidInput if the cache cannot be written: the tests read the contracts from it.
    """
    settings = _settings(project.compiler, solc.version) | {"outputs": OUTPUTS}
    if project.warnings.are_errors:
        settings["denied"] = tuple(project.warnings)
    keys = source_keys(f"{solc.version}{label}", settings, sources, names)
    cache = CompiledCache(project.root / project.cache / CACHE_FOLDER, project.root)
    found = {name: None if project.force else cache.get(name, key) for name, key in keys.items()}
    stale = [name for name, there in found.items() if there is None]
    if stale:
        notify(f"Compiling {len(stale)} files with {label or f'Solc {solc.version}'}")
        compiler_input = standard_json(project, sources, solc.version, stale)
        parts = shares(sources, stale, runs)
        outputs = _outputs(solc, compiler_input, parts, waiting)
        warn([found for output in outputs for found in output.get("errors", ())])
        for part, output in zip(parts, outputs, strict=True):
            restore_maps(output, part)
            for name in part:
                _store(cache, name, keys[name], output, sources)
                found[name] = cache.get(name, keys[name])
        cache.prune(keys.values())
    whole = {name: there for name, there in found.items() if there is not None}
    if len(whole) < len(found):
        raise InvalidInput(f"{cache.folder} lost files that were just written; check that the disk is not full")
    return whole


def _store(cache: CompiledCache, name: str, key: str, output: Mapping[str, Any], sources: Sources) -> None:
    try:
        cache.put(name, key, output, sources.closure([name]))
    except OSError as error:
        raise InvalidInput(
            f"compiled contracts cannot be written to {cache.folder}: {error.strerror}; make the folder writable and"
            " free space, or set cache_path in foundry.toml to another folder of the project"
        ) from None


def shares(sources: Sources, names: Sequence[str], runs: int) -> list[list[str]]:
    """Split these sources into as many parts as are worthwhile, with about the same length of text."""
    count = max(1, min(runs, _MAX_RUNS, len(names) // _SHARE))
    found: list[list[str]] = [[] for _ in range(count)]
    lengths = [0] * count
    for name in sorted(names, key=lambda name: (-len(sources.texts[name]), name)):
        least = lengths.index(min(lengths))
        found[least].append(name)
        lengths[least] += len(sources.texts[name])
    return found


def _outputs(
    solc: Solc, compiler_input: Mapping[str, Any], parts: Sequence[Sequence[str]], waiting: CompilerRun | None
) -> list[dict[str, Any]]:
    """Return the compiler's output for each part of the sources; every process is given all sources."""
    runs = [waiting] if waiting is not None and waiting.solc == solc else []
    try:
        while len(runs) < len(parts):
            runs.append(solc.start())
    except BaseException:
        for run in runs:
            run.discard()
        raise
    inputs = [
        {**compiler_input, "settings": compiler_input["settings"] | {"outputSelection": _selection(part)}}
        for part in parts
    ]
    if len(runs) == 1:
        return [check_output(solc.version, runs[0].compile(inputs[0]))]
    with ThreadPoolExecutor(len(runs)) as threads:
        try:
            return [check_output(solc.version, output) for output in threads.map(CompilerRun.compile, runs, inputs)]
        except BaseException:
            for run in runs:
                run.stop()
            raise


def compile_json(solc: Solc, compiler_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return a compiler's output. Raises CompileError with its messages if it rejects the sources."""
    return check_output(solc.version, solc.start().compile(compiler_input))


def check_output(version: str, output: dict[str, Any]) -> dict[str, Any]:
    """Return a compiler's output. Raises SourcesRefused if it contains errors."""
    errors = [found for found in output.get("errors", ()) if found.get("severity") == "error"]
    if errors:
        raise SourcesRefused(version, errors)
    return output
