"""Records of long runs, and their continuation in slices.

- Records of long runs: required fields, and the differences that `make records` reports.
- Continuation of recorded runs in slices: sums, seeds, and the stop at a finding.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness import recorded, slices
from tests.harness.recorded import (
    NotRun,
    RecordError,
    RunRecord,
    age_problems,
    differences,
    record_files,
    replay,
    replay_command,
)
from tests.harness.slices import add_slice, default_count, duration, run, with_slices

HALF = {"made": 1000, "executed": 500}


def record(**changed: Any) -> RunRecord:
    sound: dict[str, Any] = {
        "seed": 7,
        "count": 1000,
        "stages": HALF,
        "findings": [],
        "command": "python -m tests.harness.sample --count 1000 --seed 7 --fast",
    }
    return RunRecord(**sound | changed)


@pytest.mark.parametrize("file", record_files().values(), ids=lambda file: file.stem)
def test_every_stored_run_record_is_valid(file: Path) -> None:
    stored = RunRecord.read(file)
    assert stored.problems() == []
    assert set(stored.commit) <= set("0123456789abcdef")  # a commit, not an uncommitted state
    assert replay_command(stored, file)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"findings": ["a hang"]}, "a hang"),
        # of a third of all inputs, 333 of 1000 would be drawn, give or take twice 14.9
        ({"stages": {"made": 1000, "executed": 303}}, "only 303 of 1000 inputs: executed"),
        ({"count": 2, "stages": {"made": 2, "executed": 0}}, "only 0 of 2 inputs: executed"),
        ({"stages": {}}, "no input reached any stage"),
        ({"count": 0, "stages": {"made": 0}}, "only 0 of 0 inputs: made"),
    ],
)
def test_inconclusive_run_record_reports_problem(changed: dict[str, Any], problem: str) -> None:
    assert record(**changed).problems() == [problem]


def test_a_replay_is_one_per_cent_with_the_same_seed_and_options(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    wanted = ["-m", "tests.harness.sample", "--count", "10", "--seed", "7", "--fast", "--record", str(file)]
    assert replay_command(record(), file)[1:] == wanted


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        # of half of all inputs, 200 of 400 are drawn, give or take twice 10; a tenth of 400 is 40
        ({"count": 400, "stages": {"made": 400, "executed": 259}}, None),
        ({"count": 400, "stages": {"made": 400, "executed": 261}}, "executed: 65% of the inputs, 50% on record"),
        ({"count": 10, "stages": {"made": 10, "executed": 9}}, None),
        ({"count": 10, "stages": {"made": 10, "executed": 10}}, "executed: 100% of the inputs, 50% on record"),
        ({"stages": {"executed": 500}}, "the stages were made, executed, they are executed"),
    ],
)
def test_share_off_by_more_than_a_tenth_and_sampling_error_is_different(
    changed: dict[str, Any], difference: str | None
) -> None:
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


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (None, ["no record: run .ci/nightly and commit .ci/nightly.tsv"]),
        ("HEAD\ttests\tpassed in 3 s\n", []),
        ("HEAD\texplorer\tnot run: no chromium\n", ["explorer: not run: no chromium"]),
        (
            "HEAD\tlint\tpassed in 1 s\nHEAD~1\ttests\tpassed in 3 s\n",
            ["tests: 1 commits are newer, the limit is 0: run .ci/nightly"],
        ),
        ("HEAD\ttests\tfailed\n", ["tests: failed"]),
        (f"{'0' * 40}\ttests\tpassed in 3 s\n", [f"tests: this repository has no commit {'0' * 40}: run .ci/nightly"]),
    ],
)
def test_nightly_step_counts_if_it_passed_and_is_recent(
    content: str | None, problems: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MAX_NIGHTLY_AGE", 0)
    monkeypatch.setattr(recorded, "NIGHTLY", tmp_path / "nightly.tsv")
    if content is not None:
        recorded.NIGHTLY.write_text(content)
    assert [*recorded.nightly_problems()] == problems


def test_a_command_that_no_longer_runs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", (tmp_path,))
    gone = record(command="python -m tests.harness.gone --count 1000 --seed 7")
    (tmp_path / "gone.json").write_text(json.dumps(asdict(gone)))
    assert [*replay("gone")] == [f"`{gone.command}` no longer runs: exit code 1, no record"]


def test_a_run_that_cannot_run_here_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", (tmp_path,))
    (tmp_path / "far.json").write_text(json.dumps(asdict(record())))
    words = "print('NOT RUN: there is no Rust here')"
    monkeypatch.setattr(recorded, "replay_command", lambda *_: [sys.executable, "-c", words])
    with pytest.raises(NotRun, match=r"^there is no Rust here$"):
        [*replay("far")]
    monkeypatch.setattr(sys, "argv", ["records", "far"])
    assert recorded.main() == 0


def test_a_record_without_a_command_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "RECORDS", (tmp_path,))
    (tmp_path / "bare.json").write_text(json.dumps(asdict(record(command="python -m tests.harness.sample"))))
    assert [*replay("bare")] == ["no command with --count: python -m tests.harness.sample"]


@pytest.mark.parametrize("content", ["", "[]", '{"command": "python -m tests.crash"}'])
def test_invalid_run_record_is_rejected(content: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(RecordError, match=r"broken\.json"):
        RunRecord.read(file)


COMMAND = "python -m tests.harness.sample_run --count 10 --seed 1"


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recorded, "RECORDS", (tmp_path,))
    monkeypatch.setattr(slices, "FAILED", tmp_path / "failed")
    file = tmp_path / "sample.json"
    RunRecord(1, 10, {"made": 10, "even": 5}, [], {"last": 1}, COMMAND, "c0", "d0", 5.0).write(file)
    return file


@pytest.mark.slow
def test_slices_add_up_with_successive_seeds(stored: Path) -> None:
    assert run(["sample"], None, 20) == 0
    assert run(["sample"], None, None) == 0
    record = RunRecord.read(stored)
    assert (record.count, record.stages) == (50, {"made": 50, "even": 25})
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
        assert "python -m tests.harness.sample_run --count 10 --seed 2 --defect 2" in message
        assert stored.read_bytes() == before
    assert RunRecord.read(slices.FAILED / "sample-2.json").findings == ["a wrong number"]


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


@pytest.mark.slow
def test_a_slice_that_would_end_late_is_not_started(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 40))  # each look at the clock takes 40 seconds
    monkeypatch.setattr(slices, "monotonic", lambda: next(clock))
    assert run(["sample"], 100, None) == 0
    assert len(RunRecord.read(stored).slices) == 2


def test_a_slice_with_other_stages_is_refused(stored: Path) -> None:
    record = with_slices(RunRecord.read(stored))
    with pytest.raises(RecordError, match=r"^the stages are made; on record are made, even$"):
        add_slice(record, replace(record, stages={"made": 10}))


def test_the_first_slice_has_about_two_minutes_of_inputs() -> None:
    long = RunRecord(1, 1000, {}, [], duration_seconds=1200.0)
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
    monkeypatch.setattr(sys, "argv", ["slices", "parallel"])
    with pytest.raises(SystemExit):
        slices.main()
    assert "commit the changes first" in capsys.readouterr().err
