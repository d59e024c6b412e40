"""Results of mutation runs, and their cache, so that a run only compiles and tests what changed.

The key of a result is a hash of what it depends on: the changed source and the others that the tests can use, the
compiler and its settings, the tests, and how they run. Results that depend on other data, such as files that a test
reads, are not cached (`MutantResult.is_stable`). The cache is a file in the project's cache folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import orjson

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor_tools.soltest.compile.compiling import CACHE_FOLDER, standard_json
from hypervisor_tools.soltest.execution.discovery import Suite
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.mutate.builds import MutantCompiler
from hypervisor_tools.soltest.mutate.operators import Mutant
from hypervisor_tools.soltest.project.consent import Grant, write_inside
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import MutationConfig


class MutantStatus(Enum):
    """Status of a mutant."""

    SURVIVED = "survived"
    NOT_COVERED = "not covered"
    KILLED = "killed"
    TIMED_OUT = "timed out"
    INVALID = "invalid"
    """The compiler rejected the source, or failed."""
    EQUIVALENT = "equivalent"
    """Compiled to the same code as the original."""


def mutation_score(statuses: Sequence[MutantStatus]) -> float | None:
    """Return the percentage of killed mutants among those killed, survived and not covered; None if there is none.

    forge's score is the same: it runs all tests on mutants that none covers, and these survive.
    """
    killed = statuses.count(MutantStatus.KILLED)
    total = killed + statuses.count(MutantStatus.SURVIVED) + statuses.count(MutantStatus.NOT_COVERED)
    return 100 * killed / total if total else None


@dataclass(frozen=True, slots=True)
class MutantResult:
    """The result of a mutant. `detail` is the test that failed, the exceeded limit, or the compiler's message."""

    mutant: Mutant
    status: MutantStatus
    detail: str = ""
    is_cached: bool = False
    is_stable: bool = True
    """True if the result depends on nothing but the sources, the settings and the seed."""
    inputs: frozenset[str] = frozenset()
    """Other data that the tests used: files, environment variables, nodes."""


@dataclass(frozen=True, slots=True)
class MutationResult:
    """The results of a run in the order of the sources, with their texts and the seconds of the run."""

    results: Sequence[MutantResult]
    texts: Mapping[str, str]
    seconds: float
    untested: int = 0
    """Number of mutants without a result, because the run was interrupted."""

    def count(self, status: MutantStatus) -> int:
        """Return the number of mutants with this status."""
        return sum(result.status is status for result in self.results)

    def score(self) -> float | None:
        """Return the mutation score."""
        return mutation_score([result.status for result in self.results])


def mutation_json(found: MutationResult) -> dict[str, Any]:
    """Return the results in forge's form, with `equivalent`, `not_covered` and `invalid` mutants in addition.

    As in forge, mutants without a result are `skipped`, and the score is 0 if no mutant counts.
    """
    counts = {status.value.replace(" ", "_"): found.count(status) for status in MutantStatus}
    listed = (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED, MutantStatus.TIMED_OUT, MutantStatus.INVALID)
    return {
        "summary": {
            "total": len(found.results) + found.untested, **counts, "skipped": found.untested,
            "mutation_score": found.score() or 0.0,
            "cached": sum(result.is_cached for result in found.results), "duration_secs": round(found.seconds, 3),
        },
        **{f"{status.value.replace(' ', '_')}_mutants": _by_file(found, status) for status in listed},
    }  # fmt: skip


def _by_file(found: MutationResult, status: MutantStatus) -> dict[str, list[dict[str, Any]]]:
    files: dict[str, list[dict[str, Any]]] = {}
    for result in found.results:
        if result.status is status:
            mutant = result.mutant
            row = {
                "line": mutant.line, "column": mutant.column, "operator": mutant.operator,
                "original": mutant.original, "mutant": mutant.replacement,
            }  # fmt: skip
            files.setdefault(mutant.file, []).append(row | ({"detail": result.detail} if result.detail else {}))
    return files


def mutation_lines(found: MutationResult, verbosity: int = 0) -> list[str]:
    """Return the mutants that tests should detect with the changed line, then the counts and the score.

    From verbosity 1 on, invalid mutants are included, from 2 on killed ones.
    """
    listed = [MutantStatus.SURVIVED, MutantStatus.NOT_COVERED, MutantStatus.TIMED_OUT]
    listed += [MutantStatus.INVALID, MutantStatus.KILLED][:verbosity]
    lines: list[str] = []
    for status in listed:
        for result in (result for result in found.results if result.status is status):
            mutant = result.mutant
            before, after = mutant.lines(found.texts[mutant.file])
            name = status.value.capitalize()
            lines += [f"{name}: {mutant.file}:{mutant.line}:{mutant.column} ({mutant.operator})"]
            lines += [f"  - {before}", f"  + {after}", *(f"  {line}" for line in result.detail.splitlines()), ""]
    counts = ", ".join(f"{found.count(status)} {status.value}" for status in MutantStatus)
    score = found.score()
    shown = "no score" if score is None else f"mutation score {score:.1f}%"
    if found.untested:
        lines.append(f"interrupted: {found.untested} more mutants were not tested")
    lines.append(f"{len(found.results)} mutants: {counts}")
    inputs = sorted({kind for result in found.results for kind in result.inputs})
    if inputs:
        number = sum(bool(result.inputs) for result in found.results)
        lines.append(f"results not cached: {number}, because the tests use {', '.join(inputs)}")
    return [*lines, f"{shown}; finished in {found.seconds:.2f}s"]


_FORMAT: Final = 1
_MAX_SIZE: Final = 64 << 20
"""Maximum size of the file in bytes."""
_MAX_RESULTS: Final = 100_000
"""Maximum number of cached results; the oldest are dropped."""


@dataclass(slots=True)
class MutationCache:
    """Cached results of a project; with `project.force`, no result is reused."""

    project: Project
    compiler: MutantCompiler
    common: str
    """Hash of the inputs that all results share: versions, settings and options."""
    _known: dict[str, tuple[str, str]] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Project, compiler: MutantCompiler, job: Job) -> MutationCache:
        """Open the cache of a project."""
        settings = standard_json(project, compiler.sources, compiler.solc.version)["settings"]
        plain = asdict(replace(project, root=Path(), force=False, consent=Grant(), mutation=MutationConfig()))
        options = job.options._replace(workers=0)._asdict()
        parts = [_FORMAT, _own_version(), compiler.solc.version, settings, plain, options, job.network, job.seed]
        cache = cls(project, compiler, sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest())
        if not project.force:
            cache._known = _read(cache._file)
        return cache

    @property
    def _file(self) -> Path:
        return self.project.root / self.project.cache / CACHE_FOLDER / "mutations.json"

    def key(self, mutant: Mutant, suites: Sequence[Suite]) -> str:
        """Return the key of the result of running these tests against a mutant."""
        sources = self.compiler.sources
        files = {suite.file for suite in suites}
        text = mutant.apply(sources.texts[mutant.file])
        tests = [[suite.file, suite.contract, *sorted(test.signature for test in suite.tests)] for suite in suites]
        parts = [
            self.common,
            mutant.file,
            _hash(text),
            [
                [name, self._hash(name)]
                for name in self.compiler.used_sources(mutant.file, files)
                if name != mutant.file
            ],
            sorted(tests),
        ]
        return sha256(orjson.dumps(parts)).hexdigest()

    def get(self, key: str, mutant: Mutant) -> MutantResult | None:
        """Return a cached result, or None."""
        found = self._known.get(key)
        return None if found is None else MutantResult(mutant, MutantStatus(found[0]), found[1], is_cached=True)

    def put(self, results: Mapping[str, MutantResult]) -> None:
        """Add results, and write the file. Errors are ignored."""
        stable = {key: (found.status.value, found.detail) for key, found in results.items() if found.is_stable}
        merged = {key: found for key, found in self._known.items() if key not in stable} | stable
        content = orjson.dumps(dict(list(merged.items())[-_MAX_RESULTS:]))
        with suppress(OSError, InvalidInput):
            write_inside(self.project.root, self._file, content)

    def _hash(self, name: str) -> str:
        if name not in self._hashes:
            self._hashes[name] = _hash(self.compiler.sources.texts[name])
        return self._hashes[name]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _own_version() -> str:
    try:
        return version("fvm-hypervisor")
    except PackageNotFoundError:
        return ""


def _read(file: Path) -> dict[str, tuple[str, str]]:
    """Return the results in a file; none if it is missing or damaged."""
    try:
        content: Any = orjson.loads(read_bounded(file, _MAX_SIZE, "the cached results"))
        return {str(key): (MutantStatus(status).value, str(detail)) for key, (status, detail) in content.items()}
    except (InvalidInput, OSError, ValueError, TypeError, AttributeError):
        return {}
