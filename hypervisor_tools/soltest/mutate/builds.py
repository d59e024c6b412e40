"""Compilation of mutants. The changed text is given to the compiler only; artifacts are written to a temporary folder.

Only the contracts that a mutant's tests can use are compiled: those of sources that import the changed source, directly
or indirectly, and that the tests import. If a test uses contracts by name (`vm.getCode`), all importers are compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerRun, CompilerTimeout, Solc
from hypervisor_tools.soltest.compile.compiling import (
    CompiledCache,
    CompiledSource,
    artifacts_of,
    check_output,
    standard_json,
)
from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import Sources

_OUTPUTS: Final = (
    "abi", "evm.bytecode.object", "evm.bytecode.linkReferences", "evm.deployedBytecode.object",
    "evm.deployedBytecode.linkReferences", "evm.deployedBytecode.immutableReferences", "evm.methodIdentifiers",
)  # fmt: skip
"""Outputs of solc that tests need."""
_METADATA: Final = re.compile(r"(?<=646970667358221220)[0-9a-f]{64}|(?<=65627a7a72315820)[0-9a-f]{64}")
"""Hash of the sources in the metadata at the end of the code, whose key is `ipfs` or `bzzr1` (solc's documentation)."""
_BY_NAME: Final = re.compile(r"\b(?:getCode|getDeployedCode|deployCode|deployCodeTo|getArtifactPath\w*)\b")


class _Dependencies(NamedTuple):
    """Results of `MutantCompiler.affected_sources` and `used_sources`."""

    affected_sources: list[str]
    used_sources: list[str]


@dataclass(slots=True)
class MutantCompiler:
    """Compiles mutants of a project, whose compiled contracts are `originals`, within `seconds` each."""

    project: Project
    sources: Sources
    solc: Solc
    originals: Artifacts
    seconds: float
    _running: set[CompilerRun] = field(default_factory=set)
    _idle: list[CompilerRun] = field(default_factory=list)
    """Processes of npm's release that wait for the next input: their start takes half a second."""
    _is_stopped: bool = False
    _importers: Sources = field(init=False)
    """The sources with their importers instead of their imports."""
    _known: dict[tuple[str, frozenset[str]], _Dependencies] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reverse the imports."""
        importers: dict[str, tuple[str, ...]] = {}
        for name, imported in self.sources.imports.items():
            for one in imported:
                importers[one] = (*importers.get(one, ()), name)
        self._importers = replace(self.sources, imports=importers)

    def compile(self, mutant: Mutant, tests: Iterable[str], folder: Path) -> dict[str, CompiledSource] | None:
        """Return the compiled sources that the tests in these files can use; None if no code differs.

        Artifacts are written to `folder`. Raises CompileError with the compiler's messages, CompilerTimeout.
        """
        names = self.affected_sources(mutant.file, tests)
        text = mutant.apply(self.sources.texts[mutant.file])
        sources = replace(self.sources, texts={**self.sources.texts, mutant.file: text})
        compiler_input = standard_json(self.project, sources, self.solc.version, names)
        compiler_input["settings"]["outputSelection"] = {name: {"*": list(_OUTPUTS)} for name in names}
        output = check_output(self.solc.version, self._output(compiler_input))
        if not self._differs(output):
            return None
        cache, found = CompiledCache(folder), {}
        for name in names:
            key = sha256(name.encode()).hexdigest()
            cache.put(name, key, output, sources.closure([name]))
            compiled = cache.get(name, key)
            if compiled is None:
                raise InvalidInput(f"{folder} lost files that were just written; check that the disk is not full")
            found[name] = compiled
        return found

    def affected_sources(self, file: str, tests: Iterable[str]) -> list[str]:
        """Return the sources whose code must be compiled again if `file` changes, for the tests in these files."""
        return self._dependencies(file, tests).affected_sources

    def used_sources(self, file: str, tests: Iterable[str]) -> list[str]:
        """Return the sources on which the results of a mutant of `file` by the tests in these files depend."""
        return self._dependencies(file, tests).used_sources

    def _dependencies(self, file: str, tests: Iterable[str]) -> _Dependencies:
        key = file, frozenset(tests)
        found = self._known.get(key)
        if found is None:
            usable = self.sources.closure(key[1])
            if any(_BY_NAME.search(self.sources.texts[name]) for name in usable):
                usable = set(self.sources.texts)
            affected = self._importers.closure([file]) & usable | {file}
            used = usable | self.sources.closure(affected)
            found = self._known[key] = _Dependencies(sorted(affected), sorted(used))
        return found

    @property
    def is_stopped(self) -> bool:
        """True after `stop`."""
        return self._is_stopped

    def stop(self) -> None:
        """Kill the compilers, and start no further ones."""
        self._is_stopped = True
        for run in list(self._running):
            run.stop()
        while self._idle:
            self._idle.pop().discard()

    def _output(self, compiler_input: Mapping[str, Any]) -> dict[str, Any]:
        if self._idle:
            try:
                return self._output_of(self._idle.pop(), compiler_input)
            except CompilerTimeout:
                raise
            except CompileError:  # perhaps out of memory because of earlier inputs
                if self._is_stopped:
                    raise
        return self._output_of(CompilerRun(self.solc, repeats=self.solc.is_javascript), compiler_input)

    def _output_of(self, run: CompilerRun, compiler_input: Mapping[str, Any]) -> dict[str, Any]:
        self._running.add(run)
        if self._is_stopped:
            run.stop()
        try:
            if not self.solc.is_javascript:
                return run.compile(compiler_input, self.seconds)
            output = run.compile_next(compiler_input, self.seconds)
            self._idle.append(run)
            return output
        finally:
            self._running.discard(run)

    def _differs(self, output: Mapping[str, Any]) -> bool:
        """Return True if the code of a contract is not that of the original, the metadata's hash aside."""
        for file, contracts in output.get("contracts", {}).items():
            for name, found in contracts.items():
                original = self.originals.get(file, name)
                for before, key in ((original.creation, "bytecode"), (original.runtime, "deployedBytecode")):
                    if _METADATA.sub("", found["evm"][key]["object"]) != _METADATA.sub("", before.object):
                        return True
        return False


def with_compiled(artifacts: Artifacts, compiled: Mapping[str, CompiledSource]) -> Artifacts:
    """Return the artifacts of a project with those of some sources replaced."""
    unchanged = [location for location in artifacts.locations if location.is_foreign or location.file not in compiled]
    made = artifacts_of(artifacts.root, compiled)
    return Artifacts(artifacts.root, [*unchanged, *made.locations], {**artifacts.sources, **made.sources})
