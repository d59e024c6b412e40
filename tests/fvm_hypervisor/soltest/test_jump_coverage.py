"""Recorded jumps are new if a pair, or the class of its hit count, is new; no call is traced for them."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any, cast

import pytest

from fvm_hypervisor.soltest import jump_coverage
from fvm_hypervisor.soltest.execution.results import CaseStatus
from fvm_hypervisor.soltest.fuzz import corpus
from fvm_hypervisor.soltest.jump_coverage import JumpCoverage
from fvm_hypervisor.soltest.project.project import CorpusSettings, InvariantSettings, Project
from tests.fvm_hypervisor.soltest.contracts import artifact, counting_suite


class RecordingRuntime:
    """A stand-in for a runtime, with the jumps of one call."""

    def __init__(self) -> None:
        self.log = b""

    def reset_jump_recording(self) -> None:
        self.log = b""

    def recorded_code(self, number: int) -> bytes | None:
        """Return codes of two contracts in turn; number 9 is forgotten."""
        return None if number == 9 else b"\x5b" + bytes((number % 2, number))

    def take_jumps(self) -> bytes:
        taken, self.log = self.log, b""
        return taken


def coverage() -> tuple[JumpCoverage, RecordingRuntime]:
    runtime = RecordingRuntime()
    return JumpCoverage(cast(Any, runtime), lambda code, _: code[:2]), runtime


def log(*jumps: int) -> bytes:
    return array("Q", jumps).tobytes()


def test_new_pairs_and_new_classes_of_hit_counts_are_new() -> None:
    made, _ = coverage()
    assert made.add(log(3, 5))
    assert not made.add(log(3, 5))
    assert made.add(log(3))  # the call ends after 3
    assert made.add(log(5, 3))
    assert not made.add(log(5))
    # the pair (3, 3): classes 1, 2, 3, 4-7 and 8-15
    assert [count for count in range(2, 14) if made.add(log(*[3] * count))] == [2, 3, 4, 5, 9]


def test_pairs_are_those_of_contracts() -> None:
    made, _ = coverage()
    jumps = 3, 5, 3
    assert made.add(log(*jumps))
    assert made.add(log(*(1 << 32 | jump for jump in jumps)))
    assert not made.add(log(*(2 << 32 | jump for jump in jumps)))
    assert made.add(log(*(9 << 32 | jump for jump in jumps)))  # unknown code
    assert not made.add(log(*(9 << 32 | jump for jump in jumps)))


def test_pairs_beyond_the_most_are_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jump_coverage, "MAX_PAIRS", 2)
    made, _ = coverage()
    assert made.add(log(3))
    assert not made.add(log(4))
    assert not made.add(log(3, 3))


def test_jumps_of_earlier_calls_do_not_count() -> None:
    made, runtime = coverage()
    runtime.log = log(3)
    made.begin_call()
    assert made.reached_new_pairs()  # a call without jumps
    assert not made.reached_new_pairs()
    runtime.log = log(3)
    assert made.reached_new_pairs()


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_calls_whose_jumps_are_recorded_are_not_traced(
    run_contracts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evm: str
) -> None:
    """Each call of up() hashes 64 more bytes of memory than the one before, so its gas is new."""
    tracings = 0
    tracing = corpus.Corpus.tracing

    def counting(self: corpus.Corpus[Any]) -> Any:
        nonlocal tracings
        tracings += 1
        return tracing(self)

    monkeypatch.setattr(corpus.Corpus, "tracing", counting)
    counter = artifact({"up()": ["5f5480600101", "5f55", "60061b5f20", "5000"], "count()": ["5f545f5260205ff3"]})
    settings = InvariantSettings(runs=1, depth=30, corpus_dir="cache/corpus", shows_metrics=True)
    project = Project(tmp_path, invariant=settings)
    suite = counting_suite(counter, "6001")
    (found,) = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm=evm)["Suite"].values()
    assert found.status is CaseStatus.SUCCESS
    calls = {row.function: row.calls for row in found.metrics}
    assert calls["up"] > 5
    # without recorded jumps, the first call of a function, and each with new gas
    assert tracings == (0 if evm == "fast" else calls["up"] + 1)


def test_a_corpus_without_folder_and_figures_records_no_jumps() -> None:
    assert not CorpusSettings().collects_edges
    assert CorpusSettings(show_edge_coverage=True).collects_edges
    assert CorpusSettings(corpus_dir="corpus").collects_edges
