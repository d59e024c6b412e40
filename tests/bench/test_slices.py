"""Continuation of recorded runs in slices: sums, seeds, and the stop at a finding."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import recorded, slices
from bench.recorded import RecordError, RunRecord
from bench.slices import add_slice, default_count, duration, run, with_slices

COMMAND = "python -m tests.bench.sample_run --count 10 --seed 1"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a record of one run."""
    for module in (recorded, slices):
        monkeypatch.setattr(module, "RECORDS", tmp_path)
    monkeypatch.setattr(slices, "FAILED", tmp_path / "failed")
    file = tmp_path / "sample.json"
    RunRecord(1, 10, {"made": 10, "even": 5}, [], {"odd": {"numbers": 1}}, {"last": 1}, COMMAND, "c0", "d0", 5.0).write(
        file
    )
    return file


@pytest.mark.slow
def test_slices_add_up_with_successive_seeds(stored: Path) -> None:
    assert run(["sample"], None, 20) == 0
    assert run(["sample"], None, None) == 0
    record = RunRecord.read(stored)
    assert (record.count, record.stages) == (50, {"made": 50, "even": 25})
    assert record.planted_defect == {"odd": {"numbers": 1 + 2 + 3}}
    assert [(one.seed, one.count) for one in record.slices] == [(1, 10), (2, 20), (3, 20)]
    assert (record.command, record.details, record.seed) == (COMMAND, {"last": 3}, 1)
    assert record.slices[0].commit == "c0"
    assert record.commit == record.slices[2].commit != "c0"


@pytest.mark.slow
def test_a_slice_with_a_finding_stops_the_run_and_is_repeated(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord.read(stored)
    record.command += " --defect 2"
    record.write(stored)
    before = stored.read_bytes()
    for _ in range(2):
        assert run(["sample"], None, None) == 1
        message = capsys.readouterr().err
        assert "FOUND: sample: seed 2" in message
        assert "a wrong number" in message
        assert "python -m tests.bench.sample_run --count 10 --seed 2 --defect 2" in message
        assert stored.read_bytes() == before
    assert RunRecord.read(slices.FAILED / "sample-2.json").findings == ["a wrong number"]


@pytest.mark.parametrize(
    ("modules", "option", "is_named"),
    [((), "--missed", False), (("store/cid.py",), "--missed", True), (("store/cid.py",), "--defect", False)],
)
def test_planted_defect_that_the_compiled_form_misses_names_the_interpreted_one(
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    modules: tuple[str, ...],
    option: str,
    is_named: bool,
) -> None:
    monkeypatch.setattr(slices, "compiled_modules", lambda: modules)
    record = RunRecord.read(stored)
    record.command += f" {option} 2"
    record.write(stored)
    assert run(["sample"], None, None) == 1
    assert ("make interpreted" in capsys.readouterr().err) == is_named


def test_a_slice_without_a_record_stops_the_run(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord.read(stored)
    record.command = COMMAND.replace("sample_run", "gone")
    record.write(stored)
    assert run(["sample"], None, None) == 1
    assert "exit code 1 and no record" in capsys.readouterr().err


def test_a_run_that_cannot_run_here_ends_without_a_slice(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored.read_bytes()
    words = "print('NOT RUN: there is no Rust here')"
    monkeypatch.setattr(slices, "command_of", lambda *_, **__: [sys.executable, "-c", words])
    assert run(["sample"], 100, None) == 0
    assert stored.read_bytes() == before


def test_a_slice_that_would_end_late_is_not_started(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 40))  # each look at the clock takes 40 seconds
    monkeypatch.setattr(slices, "monotonic", lambda: next(clock))
    assert run(["sample"], 100, None) == 0
    assert len(RunRecord.read(stored).slices) == 2


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"stages": {"made": 10}}, "the stages are made; on record are made, even"),
        ({"planted_defect": {"another": {"numbers": 1}}}, "no longer planted: odd"),
    ],
)
def test_a_slice_of_another_kind_is_refused(stored: Path, part: dict[str, Any], problem: str) -> None:
    record = with_slices(RunRecord.read(stored))
    with pytest.raises(RecordError, match=f"^{problem}$"):
        add_slice(record, replace(record, **part))


def test_the_first_slice_has_about_two_minutes_of_inputs() -> None:
    long = RunRecord(1, 1000, {}, [], {}, duration_seconds=1200.0)
    assert default_count(with_slices(long)) == 100
    assert default_count(with_slices(replace(long, duration_seconds=3.0))) == 1000


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("2h", 7200)])
def test_durations_have_a_unit(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "0m", "1.5h", "2 h", "-1m", "3d", "1" * 7 + "s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        duration(text)


def test_uncommitted_code_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(slices, "commit_of_code", lambda: "c0 and changes")
    monkeypatch.setattr(sys, "argv", ["slices", "lab-lanes"])
    with pytest.raises(SystemExit):
        slices.main()
    assert "commit the changes first" in capsys.readouterr().err
