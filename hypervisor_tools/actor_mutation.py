"""Mutation tests of a native actor: its project's tests run on modules with one changed instruction.

Each run is a pytest of its own in a copy of the project, with the mutant in place of the built module. If the project
has a `foundry.toml`, its Solidity tests run too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from shutil import copytree, ignore_patterns
from time import monotonic
from typing import Any, Final, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor_tools.actor_project import lines_environment
from hypervisor_tools.jobs.run import run_each
from hypervisor_tools.soltest.mutate.results import MutantStatus, mutation_score
from hypervisor_tools.soltest.programs import run_program
from runtimes.wasm import CodeMutant, function_label, function_names, module_mutants, mutated, source_lines

_WITH_LINES: Final = "target/lines"
"""Folder of builds with source lines, instead of `target`, which Solidity tests name."""
_MODULES: Final = (f"{_WITH_LINES}/wasm32-unknown-unknown/release/*.wasm", "*.wasm", "build/*.wasm")
_LEFT_OUT: Final = ignore_patterns("target", "node_modules", ".git", "__pycache__", ".pytest_cache")
_SLOWER: Final = 10
"""Number of times that a mutant may take as long as the tests without a change."""
_LEAST_SECONDS: Final = 30.0
_BASELINE_SECONDS: Final = 3_600.0
_MAX_OUTPUT: Final = 64 << 20
_PYTEST: Final = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
_NO_TESTS: Final = 5
"""pytest's exit status if it finds no test."""
_SOLIDITY_TESTS: Final = (
    "-P", "-c", "from hypervisor_tools.cli.start import main; main()", "test", "--fail-fast", "--trust"
)  # fmt: skip
"""They need no consent, since pytest runs the project's code, too."""
_FAILURES: Final = ("FAILED", "ERROR", "[FAIL", "error:")
"""First words of the lines in which either of them names a failure."""
_EMPTY_MODULE: Final = b"\0asm\1\0\0\0"
"""A module that no actor can have as its code."""


_COUNTED: Final = (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED, MutantStatus.KILLED, MutantStatus.TIMED_OUT)
_LISTED: Final = (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED, MutantStatus.TIMED_OUT)


class ActorMutant(NamedTuple):
    """A mutant with its place: a source file, line and column (0: unknown), or the name of its function and zeros."""

    mutant: CodeMutant
    place: str
    line: int
    text: str
    column: int = 0

    def __str__(self) -> str:
        """Return the place and the change; the offset in the module distinguishes mutants of a line."""
        numbers = "".join(f":{number}" for number in (self.line, self.column) if number)
        return f"{self.place}{numbers} ({self.text} at offset {self.mutant.offset:#x})"


Show = Callable[[ActorMutant, MutantStatus], None]
"""Function that is called with each mutant that the tests should detect, as it ends."""


class ActorMutation(NamedTuple):
    """The tested mutants in the order of the code, and the number of those not tested because of an interruption.

    `stop` is the exception of Ctrl-C or SIGTERM.
    """

    results: Sequence[tuple[ActorMutant, MutantStatus]]
    untested: int
    stop: BaseException | None = None

    def counts(self) -> dict[str, int]:
        """Return the number of mutants by status."""
        return {each.value: sum(status is each for _, status in self.results) for each in _COUNTED}

    def score(self) -> float | None:
        """Return the mutation score."""
        return mutation_score([status for _, status in self.results])


@dataclass(frozen=True, slots=True)
class ActorProject:
    """A built project: its folder, its module's path relative to it, and the module."""

    folder: Path
    module: Path
    wasm: bytes


def built_project(folder: Path) -> ActorProject:
    """Return a project with its module. Raises InvalidInput unless the build has made one."""
    root = folder.resolve()
    found = next((files for pattern in _MODULES if (files := sorted(root.glob(pattern)))), [])
    if len(found) != 1:
        names = ", ".join(str(file.relative_to(root)) for file in found) or "none"
        text = f"{folder} must have one built module, in one of {', '.join(_MODULES)}; found {names}"
        raise InvalidInput(f"{text}: run it without --no-build")
    return ActorProject(root, found[0].relative_to(root), found[0].read_bytes())


def actor_mutants(project: ActorProject) -> list[ActorMutant]:
    """Return the mutants of the lines below the project's folder; of all functions without debug information.

    Lines of attributes, such as derives, stand for code of macros, and are left out.
    """
    wasm, names = project.wasm, function_names(project.wasm)
    lines, root = source_lines(wasm), f"{project.folder}/"
    offsets = [line.offset for line in lines]
    found = list[ActorMutant]()
    for mutant in module_mutants(wasm):
        text = mutant.text
        if mutant.callee is not None:
            text = f"call of {function_label(names, mutant.callee)} removed"
        if not lines:
            found.append(ActorMutant(mutant, function_label(names, mutant.function), 0, text))
            continue
        at = bisect_right(offsets, mutant.offset) - 1
        if at >= 0 and lines[at].file.startswith(root):
            file, line, column = Path(lines[at].file), lines[at].line, lines[at].column
            if not _source_line(file, line).startswith("#["):
                found.append(ActorMutant(mutant, str(file.relative_to(root)), line, text, column))
    return found


def _run_tests(folder: Path, limit: float) -> tuple[int, str]:
    """Run a folder's tests up to the first failure; return the exit status and output of their last program.

    Raises TimeoutExpired after `limit` seconds, and InvalidInput if the tests write too much.
    """
    until = monotonic() + limit
    status, output = _run(folder, limit, *_PYTEST)
    if _has_solidity_tests(folder) and status in (0, _NO_TESTS):
        status, output = _run(folder, until - monotonic(), *_SOLIDITY_TESTS)
    return status, output


def _run(folder: Path, limit: float, *arguments: str) -> tuple[int, str]:
    environment = os.environ | lines_environment(folder)
    done = run_program([sys.executable, *arguments], folder, environment, _check_output, limit)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _has_solidity_tests(folder: Path) -> bool:
    return (folder / "foundry.toml").is_file()


def _check_output(size: int) -> None:
    if size > _MAX_OUTPUT:
        raise InvalidInput(f"the tests wrote {size:,} bytes, at most {_MAX_OUTPUT:,} are read")


def _run_copy(project: ActorProject, wasm: bytes, limit: float) -> tuple[int, str]:
    """Run the tests of a copy of the project on a module, like `_run_tests`."""
    with tempfile.TemporaryDirectory(
        prefix="mutant-", dir=project.folder.parent
    ) as scratch:  # an interrupted run removes it
        copy = Path(scratch) / project.folder.name
        copytree(project.folder, copy, symlinks=True)
        for module in (project.module, Path(str(project.module).replace(_WITH_LINES, "target", 1))):
            file = copy / module
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.parent.resolve().is_relative_to(copy.resolve()):
                raise InvalidInput(f"the folder of {module} is a link out of the project: build into the project")
            file.unlink(missing_ok=True)  # it may be a link
            file.write_bytes(wasm)
        return _run_tests(copy, limit)


def _try(mutant: ActorMutant, project: ActorProject, limit: float) -> MutantStatus:
    try:
        status, _ = _run_copy(project, mutated(project.wasm, mutant.mutant), limit)
    except subprocess.TimeoutExpired:
        return MutantStatus.TIMED_OUT
    return MutantStatus.KILLED if status else MutantStatus.SURVIVED


def run_mutants(
    project: ActorProject,
    count: int,
    seed: int,
    workers: int,
    notify: Callable[[str], None] = lambda _: None,
    show: Show = lambda _mutant, _status: None,
) -> ActorMutation:
    """Return the results of at most `count` mutants, drawn with a seed, or of those until Ctrl-C or SIGTERM.

    `notify` gets lines about the progress. Raises InvalidInput if a test fails without a change.
    """
    mutants = actor_mutants(project)
    if not mutants:
        raise InvalidInput(f"{project.module} has no code of sources in this folder: build it here, without --no-build")
    total = len(mutants)
    if total > count:
        numbers = Random(seed).sample(range(total), count)  # noqa: S311  # not a secret
        mutants = [mutants[number] for number in sorted(numbers)]
    found, stop = dict[ActorMutant, MutantStatus](), None
    try:
        notify(f"{len(mutants)} of {total} mutants: the tests run without a change")
        for mutant, status in _results(project, mutants, workers, notify):
            found[mutant] = status
            if status in _LISTED:
                show(mutant, status)
    except (KeyboardInterrupt, SystemExit) as error:
        stop = error
    return ActorMutation([(each, found[each]) for each in mutants if each in found], len(mutants) - len(found), stop)


def _results(
    project: ActorProject, mutants: Sequence[ActorMutant], workers: int, notify: Callable[[str], None]
) -> Iterator[tuple[ActorMutant, MutantStatus]]:
    """Yield the result of each mutant as it ends, first of those that no test covers."""
    with tempfile.TemporaryDirectory(prefix="actor-mutants-") as scratch:
        copy, tested = Path(scratch) / project.folder.name, mutants
        if not _has_solidity_tests(project.folder):  # their coverage of actors is not known
            covered = _covered_lines(project.folder, Path(scratch) / "lcov.info")
            tested = [mutant for mutant in mutants if not mutant.line or (mutant.place, mutant.line) in covered]
        copytree(project.folder, copy, ignore=_LEFT_OUT, symlinks=True)
        sources, begin = replace(project, folder=copy), monotonic()
        _require_success(_run_copy(sources, project.wasm, _BASELINE_SECONDS), " in a copy of the project")
        limit = max(_LEAST_SECONDS, _SLOWER * (monotonic() - begin))
        if not _run_copy(sources, _EMPTY_MODULE, _BASELINE_SECONDS)[0]:
            raise InvalidInput(f"the tests pass without {project.module}: let them create an actor with this file")
        covered_mutants = set(tested)
        yield from ((mutant, MutantStatus.NOT_COVERED) for mutant in mutants if mutant not in covered_mutants)
        notify(f"the tests run on {len(tested)} mutants, for at most {limit:.0f} seconds each")
        attempt = partial(_try, project=sources, limit=limit)
        for number, status in run_each(attempt, tested, workers, "mutants"):
            yield tested[number], status


def _require_success(run: tuple[int, str], where: str) -> None:
    """Raise InvalidInput unless the tests passed without a change."""
    status, output = run
    if status:
        lines = output.splitlines()
        reason = next((line for line in lines if line.startswith(_FAILURES)), " ".join(lines[-1:]))
        raise InvalidInput(f"the tests fail without a change{where}: {reason}")


def _covered_lines(folder: Path, report: Path) -> set[tuple[str, int]]:
    """Return the files and lines that the Python tests of a folder execute; `report` is written."""
    options = ("--actor-coverage", "--sol-coverage-file", str(report))
    _require_success(_run(folder, _BASELINE_SECONDS, *_PYTEST, *options), "")
    file, found = "", set[tuple[str, int]]()
    for row in report.read_text(encoding="utf-8").splitlines():
        kind, _, text = row.partition(":")
        if kind == "SF":
            file = text
        elif kind == "DA":
            line, hits = text.split(",")[:2]
            if int(hits):
                found.add((file, int(line)))
    return found


def mutant_lines(project: ActorProject, mutant: ActorMutant, status: MutantStatus) -> Iterator[str]:
    """Yield a mutant and its source line."""
    yield f"{status.value.capitalize()}: {mutant}"
    if mutant.line:
        yield f"    {_source_line(project.folder / mutant.place, mutant.line)}"


def summary_lines(found: ActorMutation) -> Iterator[str]:
    """Yield the counts and the score."""
    if any(not mutant.line for mutant, _ in found.results):
        yield "the module has no source lines: all of its functions were changed, those of libraries too"
    if found.untested:
        yield f"interrupted: {found.untested} more mutants were not tested"
    yield f"{len(found.results)} mutants: {', '.join(f'{count} {name}' for name, count in found.counts().items())}"
    score = found.score()
    yield "no score" if score is None else f"mutation score {score:.1f}%"


def mutation_json(found: ActorMutation) -> dict[str, Any]:
    """Return the counts, the score, and the mutants that the tests should detect."""
    counts = {name.replace(" ", "_"): count for name, count in found.counts().items()}
    summary = {"total": len(found.results) + found.untested, **counts, "skipped": found.untested}
    mutants = [
        {
            "status": status.value, "place": mutant.place, "line": mutant.line or None,
            "column": mutant.column or None, "change": mutant.text, "offset": mutant.mutant.offset,
        }
        for mutant, status in found.results
        if status in _LISTED
    ]  # fmt: skip
    return {"summary": {**summary, "mutation_score": found.score()}, "mutants": mutants}


def _source_line(file: Path, line: int) -> str:
    lines = _source(file)
    return lines[line - 1].strip() if line <= len(lines) else ""


@lru_cache
def _source(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
