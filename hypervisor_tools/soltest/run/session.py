"""One test run of a project, from its folder to the results: sources, artifacts, suites, workers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerRun, Solc, SourcesRefused, WarningsDenied
from hypervisor_tools.soltest.compile.compiling import CompiledSource, artifacts_of, compiled_sources, has_changed
from hypervisor_tools.soltest.compile.dynamic_linking import Linked, link_dynamically
from hypervisor_tools.soltest.compile.forge_cache import forge_artifacts, write_forge_cache
from hypervisor_tools.soltest.compile.releases import VERSION
from hypervisor_tools.soltest.compile.solc import SolcChoice, other_compiler
from hypervisor_tools.soltest.compile.syntax_trees import Layouts, storage_layouts, syntax_trees, uses_layouts
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options, check_isolation
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project.globs import fits
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import SHIPPED, Sources, own_sources, read_sources, read_texts
from hypervisor_tools.soltest.project.test_settings import evm_version
from hypervisor_tools.soltest.run.worker_modules import load_worker_modules
from hypervisor_tools.soltest.run.workers import Watch, run_suites

if TYPE_CHECKING:
    from hypervisor_tools.soltest.compile.compiler import ResidentCompiler
    from hypervisor_tools.soltest.report.collecting import SuiteCoverage
    from hypervisor_tools.soltest.report.coverage import FileCoverage


@dataclass(slots=True)
class SuiteSession:
    """A project with a filter and options. Call `prepare` first.

    `notify` is called with lines of text about slow steps, `watch` with tests that run for long (`run_suites`).
    """

    project: Project
    wanted: SuiteFilter
    options: Options
    notify: Callable[[str], None] = lambda _: None
    watch: Watch | None = None
    resident: ResidentCompiler | None = None
    """Compiler process that stays alive after the session."""
    suites: list[Suite] = field(default_factory=list)
    corrupt: list[tuple[str, str, str]] = field(default_factory=list)
    has_symbolic_tests: bool = False
    """True if only symbolic tests match the filter, and the run is not symbolic."""
    seed: int = 0
    artifacts: Artifacts = field(default_factory=lambda: Artifacts(Path(), (), {}))
    _layouts: Layouts = field(default_factory=dict)
    _test_files: dict[str, frozenset[str]] = field(default_factory=dict)
    _choice: SolcChoice | None = None
    _announced: Solc | None = None
    """The compiler that was announced last."""
    _fork: tuple[str, int] | None = None
    """URL of the node to fork from, and the block number."""

    def prepare(self) -> None:
        """Compile and find the tests. Raises InvalidInput, CompileError."""
        self.wanted.check()
        self._report_settings()
        if self.project.isolate:
            check_isolation(self.options.rules)
        chosen = self.project.fuzz.seed
        self.seed = secrets.randbits(64) if chosen is None else chosen
        names = self._wanted_sources()
        if not names:
            return  # no source matches the filter
        waiting = self._compiler_in_advance(names)
        if waiting is not None:
            load_worker_modules()  # while the compiler starts
        try:
            sources = read_sources(self.project, names)
            self.artifacts = self._build(sources, waiting)
        finally:
            if waiting is not None and not waiting.repeats:
                waiting.discard()
        own = self._suite_sources(sources)
        self._test_files = {
            name: frozenset(found for found in sources.closure([name]) if found.endswith(".t.sol")) for name in own
        }
        self.suites, self.corrupt = find_suites(self.artifacts, own, self.wanted)
        if not self.suites and not self.wanted.symbolic:
            self.has_symbolic_tests = bool(find_suites(self.artifacts, own, self.wanted._replace(symbolic="checks"))[0])

    def excluded_tests(self) -> list[str]:
        """Return the names of the tests that only `wanted.test` and `wanted.no_test` exclude."""
        suites, _ = find_suites(self.artifacts, self._test_files, self.wanted._replace(test=None, no_test=None))
        return [test.name for suite in suites for test in suite.tests]

    def _compiler_in_advance(self, names: Iterable[str]) -> CompilerRun | None:
        """Start npm's compiler while imports are read, if one of these sources appears to have changed."""
        if not has_changed(self.project, names):
            return None
        try:
            solc = self._solc_choice().installed_solc(read_texts(self.project, names))
            if solc is None or not solc.is_javascript:
                return None
            return solc.start() if self.resident is None else self.resident.run(solc)
        except InvalidInput:
            return None  # reported where the compiler is needed

    def _fork_point(self) -> tuple[str, int] | None:
        """Return the node to fork from, and one block number for all tests. Raises InvalidInput."""
        name = self.project.eth_rpc_url
        if name is None:
            return None
        from hypervisor_tools.soltest.forks.records import endpoint_url
        from hypervisor_tools.soltest.forks.remotes import Remotes
        from localnet.fork.node_client import as_unfit_node
        from localnet.fork.urls import redacted_url

        url = endpoint_url(name, self.project.rpc_endpoints, os.environ)
        self.project.consent.require_node(url, f"tests begin at the network of the node {redacted_url(name)}")
        with as_unfit_node(), closing(Remotes(self.project.rpc_cache, self.project.forks_offline)) as nodes:
            number = self.project.fork_block_number
            if self.options.rules != ETHEREUM:
                return url, nodes.tipsets.point(url, number).epoch
            return url, nodes.chain(url).block(number).number

    def compiled(self) -> Artifacts:
        """Compile the project without tests outside the filter. Raises InvalidInput, CompileError."""
        self._report_settings()
        self.artifacts = self._build(self.sources())
        return self.artifacts

    def _report_settings(self) -> None:
        """Print warnings for unknown keys, and for an EVM version that the chosen release of solc lacks."""
        for line in self.project.unknown_keys:
            self.notify(line)
        chosen = self._project_with_solc().compiler
        if chosen.evm_version is None or chosen.version is None or not VERSION.fullmatch(chosen.version):
            return
        used = evm_version(chosen.evm_version, chosen.version)
        if used != chosen.evm_version:
            self.notify(f"warning: solc {chosen.version} has no evm_version {chosen.evm_version}: {used} is used")

    def _build(self, sources: Sources, waiting: CompilerRun | None = None) -> Artifacts:
        """Return the artifacts: those of forge that are current, and the rest, cached or compiled now."""
        if self.options.brutalizes:
            return self._brutalize(sources)
        version = self._solc_choice().required_version()
        force = self.project.force
        linked = (
            link_dynamically(self.project, sources) if self.project.dynamic_test_linking else Linked(sources, sources)
        )
        found = {} if force else forge_artifacts(self.project, linked.sources, version)
        denies = self.project.warnings.are_errors  # forge's artifacts do not say whether there were any
        if denies or len(found) < len(linked.sources.texts):
            solc = self.solc(sources)
            if version is None and not force:
                found = forge_artifacts(self.project, linked.sources, solc.version)
            made = self._compile(linked, () if denies else found.keys(), solc, waiting)
            if not self.options.has_own_code:
                known = linked.edits.keys() | found.keys()
                left = {name: source for name, source in made.items() if name not in known}
                write_forge_cache(self.project, linked.sources, solc.version, left, found)
            found |= made
        if uses_layouts(self.project, sources):
            self._layouts = self._storage_layouts(sources)
        return artifacts_of(self.project.root, found | self._compile_with_others(sources))

    def _compile_with_others(self, sources: Sources) -> dict[str, CompiledSource]:
        """Return the contracts that the project's other compilers make; their names end with `@COMPILER`."""
        found = {}
        for name, globs in self.project.compilers.items():
            chosen = [file for file in sources.texts if any(fits(file, glob) for glob in globs)]
            apart = replace(self.project, cache=f"{self.project.cache}/{name}")
            solc, label = other_compiler(name, self.project.root)
            try:
                compiled = compiled_sources(apart, sources, chosen, solc, self.notify, label=label)
            except CompileError as error:
                raise CompileError(f"the compiler {label}: {error}") from None
            for file, made in compiled.items():
                named = (place._replace(name=f"{place.name}@{name}") for place in made.locations)
                found[f"{file}@{name}"] = replace(made, locations=tuple(named))
        return found

    def _brutalize(self, sources: Sources) -> Artifacts:
        """Return artifacts of the sources with dirty bits and memory, apart from the project's cache."""
        from hypervisor_tools.soltest.compile.syntax_trees import brutalize

        project, solc = self.project, self.solc(sources)
        names = [
            name
            for name in sources.own
            if name.startswith(f"{project.src}/") and not name.endswith((".t.sol", ".s.sol"))
        ]
        trees = syntax_trees(project, sources, names, solc)
        texts = {name: brutalize(name, tree, sources.texts[name]) for name, tree in trees.items()}
        count = sum(text != sources.texts[name] for name, text in texts.items())
        self.notify(f"Brutalized {count} of {len(names)} sources in {project.src}")
        changed = replace(sources, texts={**sources.texts, **texts})
        apart = replace(project, cache=f"{project.cache}/brutalized")
        found = compiled_sources(apart, changed, changed.texts, solc, self.notify, runs=self.options.workers)
        return artifacts_of(project.root, found | self._compile_with_others(sources))

    def _compile(
        self, linked: Linked, found: Collection[str], solc: Solc, waiting: CompilerRun | None
    ) -> dict[str, CompiledSource]:
        left = linked.sources.texts.keys() - found
        try:
            return compiled_sources(
                self.project, linked.sources, left, solc, self.notify, waiting, self.options.workers,
                linked.restore_maps, lambda warnings: self._show_warnings(linked, warnings),
            )  # fmt: skip
        except WarningsDenied:
            raise
        except CompileError as error:
            if isinstance(error, SourcesRefused) and (own := linked.errors_of_project(error.errors)):
                raise SourcesRefused(error.version, own) from None
            if linked.edits:  # the messages are those of the project's sources
                self.notify("Sources that load contracts by name do not compile, so dynamic_test_linking is off")
                return self._compile(Linked(linked.original, linked.original), found, solc, None)
            if self.options.report == "coverage" and "Stack too deep" in str(error):
                raise CompileError(f"{error}\ncoverage is measured without the optimizer: try --ir-minimum") from None
            raise

    def _show_warnings(self, linked: Linked, warnings: Iterable[Mapping[str, Any]]) -> None:
        """Print the compiler's warnings and notes that the project does not ignore. Raises WarningsDenied.

        As in forge, notes are never denied.
        """
        settings, texts, is_denied = self.project.warnings, dict[str, None](), False
        for found in warnings:
            text, code = linked.text_of_project(found), int(found.get("errorCode") or 0)
            if text is None or not settings.shows(code, (found.get("sourceLocation") or {}).get("file")):
                continue
            kind = str(found["severity"]).capitalize()
            texts[text.replace(f"{kind}:", f"{kind} ({code}):", 1) if code else text] = None
            is_denied |= settings.are_errors and kind == "Warning"
        if is_denied:
            raise WarningsDenied("\n".join(("the compiler has warnings, which the project denies:", *texts)))
        if texts:
            self.notify("\n".join(("Compiler run successful with warnings:", *texts)))

    def _storage_layouts(self, sources: Sources) -> Layouts:
        """Return the storage layouts; empty without a compiler, which makes only the cheatcode that needs them fail."""
        try:
            solc = self.solc(sources)
        except InvalidInput as error:
            self.notify(f"vm.getStorageSlots and state diffs have no storage layouts: {error}")
            return {}
        return storage_layouts(self.project, sources, solc)

    def solc(self, sources: Sources) -> Solc:
        """Return the compiler of these sources. Raises InvalidInput if there is none."""
        solc = self._solc_choice().solc(sources.texts.items())
        if self.options.verbosity and solc != self._announced:
            self._announced = solc
            self.notify(f"Using Solc {solc.version} of {solc.origin or solc.path}")
        return solc

    def _solc_choice(self) -> SolcChoice:
        if self._choice is None:
            self._choice = SolcChoice(self.project, self.options.use, self.notify)
        return self._choice

    def sources(self) -> Sources:
        """Return the project's sources without tests outside the filter. Raises InvalidInput."""
        return read_sources(self.project, self._wanted_sources())

    def _wanted_sources(self) -> list[str]:
        """Return the project's sources without tests outside the filter. Raises InvalidInput if it has no sources."""
        project = self.project
        names = own_sources(project)
        if not names:
            folders = ", ".join(dict.fromkeys((project.src, project.test, project.script)))
            raise InvalidInput(
                f"{project.root} has no Solidity sources: its folders are {folders}; set src in foundry.toml"
            )
        return [name for name in names if not name.endswith(".t.sol") or self.wanted.matches_path(name)]

    def outside_libraries(self, sources: Sources) -> list[str]:
        """Return the sources in which forge looks for suites, including imported ones of other folders."""
        below = tuple(f"{lib}/" for lib in self.project.libs)
        return [name for name in sources.texts if name in sources.own or not name.startswith((*below, SHIPPED, "../"))]

    def _suite_sources(self, sources: Sources) -> list[str]:
        """Return the sources whose suites may run: without a filter, no scripts unless another source imports them.

        Forge does not compile the others.
        """
        project, found = self.project, self.outside_libraries(sources)
        if self.wanted.text():
            return found
        others = tuple(f"{folder}/" for folder in (project.src, project.test))
        scripts = {
            name for name in sources.own if name.startswith(f"{project.script}/") and not name.startswith(others)
        }
        compiled = sources.closure(sources.own - scripts)
        return [name for name in found if name in compiled]

    def coverage(self, found: SuiteCoverage) -> list[FileCoverage]:
        """Return the coverage of the project's own sources, from the data of tests with the report `coverage`.

        Raises InvalidInput if there is no compiler.
        """
        from hypervisor_tools.soltest.project.solidity_text import SourceTexts
        from hypervisor_tools.soltest.report.coverage import coverage
        from hypervisor_tools.soltest.trace.known_code import KnownCode

        sources = self.sources()
        trees = syntax_trees(self.project, sources, self.outside_libraries(sources), self.solc(sources))
        return coverage(found, KnownCode(self.artifacts), trees, SourceTexts(self.project.root))

    def run(self, **changes: Any) -> Iterator[SuiteResult]:
        """Yield results as suites end, unreadable artifacts first. Raises NodeError for the node of a fork.

        `changes` are fields of the job.
        """
        for file, contract, reason in self.corrupt:
            broken = TestResult("setUp()", CaseKind.UNIT, CaseStatus.FAILURE, reason)
            yield SuiteResult(file, contract, [broken])
        if self.suites:
            job = replace(self.begun_job(), **changes)
            yield from run_suites(job, self.suites, self.options.workers, self.watch)

    def begun_job(self) -> Job:
        """Return the job of the compiled project, with the block of a fork. Raises NodeError."""
        self._fork = self._fork or self._fork_point()
        return self.job()

    def _project_with_solc(self) -> Project:
        """Return the project with the release of `--use`, if there is one, as its compiler version."""
        use = self.options.use
        if use is None or not VERSION.fullmatch(use):
            return self.project
        return replace(self.project, compiler=self.project.compiler._replace(version=use))

    def job(self) -> Job:
        """Return the job of the compiled project."""
        found, options = self.artifacts, self.options
        return Job(
            project=self._project_with_solc(),
            locations=found.locations,
            sources=dict(found.sources),
            options=options,
            seed=self.seed,
            network=options.network,
            fork_url=None if self._fork is None else self._fork[0],
            fork_number=None if self._fork is None else self._fork[1],
            layouts=self._layouts,
            environment=dict(os.environ),
            test_files=self._test_files,
        )
