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
    """The result of a mutant. `detail` is the test that failed, or the compiler's message."""

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
    is_complete: bool = True

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
    """Return the results in forge's form, with `equivalent` and `not_covered` in addition."""
    counts = {status.value.replace(" ", "_"): found.count(status) for status in MutantStatus}
    return {
        "summary": {
            "total": len(found.results), **counts, "mutation_score": found.score(),
            "cached": sum(result.is_cached for result in found.results), "duration_secs": round(found.seconds, 3),
        },
        "survived_mutants": _by_file(found, MutantStatus.SURVIVED),
        "not_covered_mutants": _by_file(found, MutantStatus.NOT_COVERED),
        "timed_out_mutants": _by_file(found, MutantStatus.TIMED_OUT),
    }  # fmt: skip


def _by_file(found: MutationResult, status: MutantStatus) -> dict[str, list[dict[str, Any]]]:
    files: dict[str, list[dict[str, Any]]] = {}
    for mutant in (result.mutant for result in found.results if result.status is status):
        place = {"line": mutant.line, "column": mutant.column, "operator": mutant.operator}
        files.setdefault(mutant.file, []).append(place | {"original": mutant.original, "mutant": mutant.replacement})
    return files


def mutation_lines(found: MutationResult) -> list[str]:
    """Return survivors and mutants that no test covers with the changed line, then the counts and the score."""
    lines: list[str] = []
    for status in (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED, MutantStatus.TIMED_OUT):
        for mutant in (result.mutant for result in found.results if result.status is status):
            before, after = mutant.lines(found.texts[mutant.file])
            name = status.value.capitalize()
            lines += [f"{name}: {mutant.file}:{mutant.line}:{mutant.column} ({mutant.operator})"]
            lines += [f"  - {before}", f"  + {after}", ""]
    counts = ", ".join(f"{found.count(status)} {status.value}" for status in MutantStatus)
    score = found.score()
    shown = "no score" if score is None else f"mutation score {score:.1f}%"
    lines.append(f"{len(found.results)} mutants: {counts}")
    inputs = sorted({kind for result in found.results for kind in result.inputs})
    if inputs:
        number = sum(bool(result.inputs) for result in found.results)
        lines.append(f"{number} results are not cached, because the tests use {', '.join(inputs)}")
    return [*lines, f"{shown}; finished in {found.seconds:.2f}s"]
