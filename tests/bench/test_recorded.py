"""Records of long runs: required fields, and the differences that `make records` reports."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench import recorded
from bench.recorded import RECORDS, NotRun, RecordError, RunRecord, age_problems, differences, replay, replay_command

HALF = {"made": 1000, "executed": 500}


def record(**changed: Any) -> RunRecord:
    sound: dict[str, Any] = {
        "seed": 7,
        "count": 1000,
        "stages": HALF,
        "findings": [],
        "planted_defect": {"swapped": {"cases": 3}},
        "command": "python -m tests.bench.sample --count 1000 --seed 7 --fast",
    }
    return RunRecord(**sound | changed)


@pytest.mark.parametrize("file", sorted(RECORDS.glob("*.json")), ids=lambda file: file.stem)
def test_every_stored_run_record_is_valid(file: Path) -> None:
    stored = RunRecord.read(file)
    assert stored.problems() == []
    assert set(stored.commit) <= set("0123456789abcdef")  # a commit, not an uncommitted state
    assert replay_command(stored, file)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"findings": ["a hang"]}, "a hang"),
        ({"stages": {"made": 1000, "executed": 333}}, "only 333 of 1000 inputs: executed"),
        ({"stages": {}}, "no input reached any stage"),
        ({"count": 0, "stages": {"made": 0}}, "only 0 of 0 inputs: made"),
        ({"planted_defect": {}}, "no bug was injected"),
        ({"planted_defect": {"swapped": {"cases": 0, "roots": 0}}}, "the injected bug 'swapped' was not found"),
    ],
)
def test_inconclusive_run_record_reports_problem(changed: dict[str, Any], problem: str) -> None:
    assert record(**changed).problems() == [problem]


def test_a_replay_is_one_per_cent_with_the_same_seed_and_options(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    wanted = ["-m", "tests.bench.sample", "--count", "10", "--seed", "7", "--fast", "--record", str(file)]
    assert replay_command(record(), file)[1:] == wanted


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"count": 10, "stages": {"made": 10, "executed": 6}}, None),
        ({"count": 10, "stages": {"made": 10, "executed": 7}}, "executed: 70% of the inputs, 50% on record"),
        ({"stages": {"executed": 500}}, "the stages were made, executed, they are executed"),
        ({"planted_defect": {"another": {"cases": 1}}}, "no longer injected: swapped"),
    ],
)
def test_a_share_off_by_more_than_a_tenth_is_different(changed: dict[str, Any], difference: str | None) -> None:
    assert list(differences(record(), record(**changed))) == ([difference] if difference else [])


@pytest.mark.parametrize(
    ("commit", "problem"),
    [
        ("HEAD", []),
        ("HEAD~1", ["1 commits are newer, the limit is 0: add a slice with `make slices`"]),
        ("0" * 40, [f"this repository has no commit {'0' * 40}: add a slice with `make slices`"]),
    ],
)
def test_a_record_is_too_old_after_a_number_of_commits(
    commit: str, problem: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MAX_AGE", 0)
    assert [*age_problems(record(commit=commit))] == problem


def test_a_command_that_no_longer_runs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", tmp_path)
    gone = record(command="python -m tests.bench.gone --count 1000 --seed 7")
    (tmp_path / "gone.json").write_text(json.dumps(asdict(gone)))
    assert [*replay("gone")] == [f"`{gone.command}` no longer runs: exit code 1, no record"]


def test_a_run_that_cannot_run_here_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", tmp_path)
    (tmp_path / "far.json").write_text(json.dumps(asdict(record())))
    words = "print('NOT RUN: there is no Rust here')"
    monkeypatch.setattr(recorded, "replay_command", lambda *_: [sys.executable, "-c", words])
    with pytest.raises(NotRun, match=r"^there is no Rust here$"):
        [*replay("far")]
    monkeypatch.setattr(sys, "argv", ["records", "far"])
    assert recorded.main() == 0


def test_a_record_without_a_command_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", tmp_path)
    (tmp_path / "bare.json").write_text(json.dumps(asdict(record(command="python -m tests.bench.sample"))))
    assert [*replay("bare")] == ["no command with --count: python -m tests.bench.sample"]


@pytest.mark.parametrize("content", ["", "[]", '{"command": "python -m tests.crash"}'])
def test_invalid_run_record_is_rejected(content: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(RecordError, match=r"broken\.json"):
        RunRecord.read(file)
