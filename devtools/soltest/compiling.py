"""Compiles of a project what has changed: a source is compiled again where it, what it imports or a setting is another.

The compiler gets the changed sources with all that these import, and makes code for the changed ones alone. What it
answers is kept (compiled_cache.py). Rules: the Solidity documentation on the compiler's JSON input and output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from devtools.soltest.artifact import Artifacts
from devtools.soltest.compiled_cache import CompiledCache, CompiledSource, source_keys
from devtools.soltest.compiler import CompileError, Solc
from devtools.soltest.evm_versions import evm_version
from devtools.soltest.project import CompilerSettings, Project
from devtools.soltest.sources import Sources
from hypervisor.errors import InvalidInput

OUTPUTS: Final = (
    "abi", "evm.bytecode.object", "evm.bytecode.sourceMap", "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap", "evm.deployedBytecode.linkReferences",
    "evm.deployedBytecode.immutableReferences", "evm.methodIdentifiers", "metadata",
)  # fmt: skip


def standard_json(
    project: Project, sources: Sources, version: str, wanted: Iterable[str] | None = None
) -> dict[str, Any]:
    """What a compiler of a version is asked: the code of the wanted sources, of all where none are named."""
    chosen = sorted(sources.texts if wanted is None else wanted)
    return {
        "language": "Solidity",
        "sources": {name: {"content": sources.texts[name]} for name in sorted(sources.closure(chosen))},
        "settings": _settings(project.compiler, version) | {
            "remappings": [str(found) for found in sources.remappings],
            "outputSelection": {name: {"*": list(OUTPUTS)} for name in chosen},
        },
    }  # fmt: skip


def _settings(chosen: CompilerSettings, version: str) -> dict[str, Any]:
    optimizer: dict[str, Any] = {"enabled": chosen.optimizer, "runs": chosen.runs}
    if chosen.optimizer_details is not None:
        optimizer["details"] = chosen.optimizer_details
    metadata: dict[str, Any] = {}  # a key that an old compiler does not know is an error, even where it says the usual
    if chosen.bytecode_hash != "ipfs":
        metadata["bytecodeHash"] = chosen.bytecode_hash
    if not chosen.cbor_metadata:
        metadata["appendCBOR"] = False
    fork = evm_version(chosen.evm_version, version)
    settings: dict[str, Any] = {"optimizer": optimizer, "metadata": metadata, "evmVersion": fork}
    if chosen.via_ir:
        settings["viaIR"] = True
    return settings


def artifacts_of(root: Path, compiled: Mapping[str, CompiledSource]) -> Artifacts:
    """The contracts of compiled sources."""
    places = [place for name in sorted(compiled) for place in compiled[name].places]
    return Artifacts(root, places, {found.build: found.numbers for found in compiled.values()})


def compiled_sources(
    project: Project, sources: Sources, names: Iterable[str], solc: Solc, tell: Callable[[str], None] = lambda _: None
) -> dict[str, CompiledSource]:
    """These sources' contracts by source, compiled now or before; `tell` is given a line before any are compiled.

    Raises CompileError with the compiler's words.
    """
    settings = _settings(project.compiler, solc.version) | {"outputs": OUTPUTS}
    keys = source_keys(solc.version, settings, sources, names)
    cache = CompiledCache(project.root / project.cache / "hypervisor", project.root)
    found = {name: cache.get(name, key) for name, key in keys.items()}
    stale = [name for name, there in found.items() if there is None]
    if stale:
        tell(f"Compiling {len(stale)} files with Solc {solc.version}")
        answer = compile_json(solc, standard_json(project, sources, solc.version, stale))
        for name in stale:
            cache.put(name, keys[name], answer, sources.closure([name]))
            found[name] = cache.get(name, keys[name])
    whole = {name: there for name, there in found.items() if there is not None}
    if len(whole) < len(found):
        raise InvalidInput(f"{cache.folder} does not keep what is written to it: is the disk full?")
    return whole


def compile_json(solc: Solc, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a compiler answers. Raises CompileError with its words where it refuses the sources."""
    answer = solc.compile(asked)
    errors = [found for found in answer.get("errors", ()) if found.get("severity") == "error"]
    if errors:
        words = "\n".join(str(found.get("formattedMessage", found.get("message"))).rstrip() for found in errors[:20])
        raise CompileError(f"solc {solc.version} refused the sources:\n{words}")
    return answer
