"""Comparison with the reference: selection of vectors, descriptions of differences, and missing prerequisites."""

import copy
import sys
from pathlib import Path

import pytest

from tests.conformance import oracle_diff
from tests.conformance.golden import MESSAGE_FILES
from tests.conformance.oracle_diff import NOT_RUN, Vectors, by_id, differences, main, sample


def files() -> list[Vectors]:
    return [by_id(path) for path in MESSAGE_FILES]


@pytest.mark.slow
def test_sample_spans_all_files_and_is_deterministic_per_seed() -> None:
    chosen = sample(files(), 20, 1)
    assert len(chosen) == 20
    assert {name.partition("/")[0] for name in chosen} == {path.name.split(".")[0] for path in MESSAGE_FILES}
    assert list(sample(files(), 20, 1)) == list(chosen)
    assert list(sample(files(), 20, 2)) != list(chosen)


@pytest.mark.slow
def test_one_gas_of_difference_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A defect is planted into the simulated results of the reference."""

    def planted(wanted: Vectors) -> Vectors:
        made = copy.deepcopy(wanted)
        vector = next(one for one in made.values() if "postconditions" in one)
        vector["postconditions"]["receipts"][0]["gas_used"] += 1
        return made

    monkeypatch.setattr(sys, "argv", ["oracle-diff"])
    monkeypatch.setattr(oracle_diff, "make_again", lambda wanted: wanted)
    assert main() == 0
    assert "20 of 20 golden vectors made again are equal" in capsys.readouterr().out
    monkeypatch.setattr(oracle_diff, "make_again", planted)
    assert main() == 1
    out = capsys.readouterr().out
    assert "vector.postconditions.receipts[0].gas_used is " in out
    assert "19 of 20 golden vectors made again are equal" in out


@pytest.mark.slow
def test_a_vector_that_is_not_made_any_more_differs() -> None:
    (vector, *_) = sample(files(), 1, 1).values()
    assert next(differences({}, vector)).startswith("vector._meta")


@pytest.mark.slow
def test_missing_rust_is_reported_as_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["oracle-diff"])
    (tmp_path / "bundles").mkdir()
    monkeypatch.setattr(oracle_diff, "fvm_data", lambda: tmp_path)
    assert main() == NOT_RUN
    assert capsys.readouterr().out.startswith("NOT RUN: cargo was not found")
    monkeypatch.setattr(oracle_diff, "fvm_data", lambda: None)
    assert main() == NOT_RUN
    assert capsys.readouterr().out.startswith("NOT RUN: the official bundles are missing")
