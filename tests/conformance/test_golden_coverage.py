"""The golden set leaves no cell of syscall by error number empty without a reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from tests.conformance.coverage import (
    GOLDEN,
    REASONS,
    SYSCALLS,
    VERSIONS,
    Coverage,
    Reason,
    error_names,
    golden_coverage,
    problems,
    stated_reasons,
)

TEXT = REASONS.read_text(encoding="utf-8")

coverage = cache(golden_coverage)


def test_every_cell_is_covered_or_has_a_reason() -> None:
    assert problems(coverage(), stated_reasons(TEXT), error_names(TEXT)) == []


def test_the_columns_are_the_error_numbers_of_the_network() -> None:
    """FVM error numbers 1 to 13, facts of ref-fvm shared/src/error.rs, and 0 for success."""
    assert list(error_names(TEXT)) == list(range(14))


def test_uncovered_error_cell_is_reported() -> None:
    cells = Counter(coverage().cells)
    del cells["ipld.block_link", 12]
    (problem,) = problems(Coverage(coverage().versions, cells), stated_reasons(TEXT), error_names(TEXT))
    assert problem == "ipld.block_link never answers 12 (BUFFER_TOO_SMALL), and no reason is stated"


def test_impossibility_reason_for_observed_error_is_reported() -> None:
    reasons = stated_reasons(TEXT) | {("send.send", 5): Reason("money is plenty", "nowhere")}
    (problem,) = problems(coverage(), reasons, error_names(TEXT))
    assert problem.startswith("send.send answers 5 (INSUFFICIENT_FUNDS), which is stated to be impossible")


def test_a_version_without_cases_and_a_small_set_are_noticed() -> None:
    few = Coverage(Counter({28: 299}), coverage().cells)
    found = problems(few, stated_reasons(TEXT), error_names(TEXT))
    assert found[0] == "299 cases, at least 300 are promised"
    assert "no case of network version 21" in found
    assert len(found) == 1 + len(set(VERSIONS) - {28})


def test_the_rows_are_the_syscalls_of_the_later_abi() -> None:
    assert len(SYSCALLS) == 41
    assert "crypto.verify_bls_aggregate" in SYSCALLS


@pytest.mark.parametrize("group", ["official", "evm"])
def test_golden_vectors_query_official_actors_in_all_versions(group: str) -> None:
    """But for sweeps of the gas limit and calls to the end of depth or gas, of which a few versions are enough."""
    versions = defaultdict(set)
    for vector in read_vectors(GOLDEN / f"{group}.jsonl.gz"):
        name, _, version = vector["_meta"]["id"].partition("@nv")
        versions[name].add(int(version))
    some = {name for name, asked in versions.items() if asked != set(VERSIONS)}
    assert all(any(word in name for word in ("swept", "self-", "to-the-end")) for name in some)
    assert len(versions) - len(some) > 50
