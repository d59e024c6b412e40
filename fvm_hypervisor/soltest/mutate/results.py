"""Results of mutation runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fvm_hypervisor.soltest.mutate.operators import Mutant


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
        """Return the percentage of killed mutants among those killed, survived and not covered; None if there is none.

        forge's score is the same: it runs all tests on mutants that none covers, and these survive.
        """
        killed = self.count(MutantStatus.KILLED)
        total = killed + self.count(MutantStatus.SURVIVED) + self.count(MutantStatus.NOT_COVERED)
        return 100 * killed / total if total else None


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
