"""Results of earlier mutation runs, so that a run only compiles and tests what changed.

The key of a result is a hash of what it depends on: the changed source and the others that the tests can use, the
compiler and its settings, the tests, and how they run. Results that depend on other data, such as files that a test
reads, are not cached (`MutantResult.is_stable`). The cache is a file in the project's cache folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import orjson

from fvm_hypervisor.soltest.compile.compiling import standard_json
from fvm_hypervisor.soltest.compiled_cache import CACHE_FOLDER
from fvm_hypervisor.soltest.execution.discovery import Suite
from fvm_hypervisor.soltest.execution.job import Job
from fvm_hypervisor.soltest.mutate.builds import MutantCompiler
from fvm_hypervisor.soltest.mutate.operators import Mutant
from fvm_hypervisor.soltest.mutate.results import MutantResult, MutantStatus
from fvm_hypervisor.soltest.project.consent import Grant
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.test_settings import MutationConfig
from fvm_hypervisor.soltest.project_files import write_inside
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded

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
        options = asdict(replace(job.options, workers=0))
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
