"""Killed commands continue; planted defects of their files are detected."""

from pathlib import Path

import pytest

from tests.crash.commands import PLANTED, incomplete, play
from tests.crash.planted_command import DEFECTS


def test_incomplete_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "broadcast" / "1").mkdir(parents=True)
    (tmp_path / "broadcast" / "1" / "run-latest.json").write_text("{}", encoding="utf-8")
    (tmp_path / "broadcast" / "1" / "run-latest.json.4711").write_text('{"trans', encoding="utf-8")
    (tmp_path / "cache" / "test-failures").write_text("testFuzz_over|test_broken", encoding="utf-8")
    assert [*incomplete(tmp_path)] == []
    (tmp_path / "broadcast" / "1" / "run-1.json").write_text('{"trans', encoding="utf-8")
    (tmp_path / "cache" / "test-failures").write_text("testFuzz_ov", encoding="utf-8")
    found = [*incomplete(tmp_path)]
    assert found[0].startswith("broadcast/1/run-1.json is incomplete")
    assert found[1:] == ["cache/test-failures is 'testFuzz_ov'"]


@pytest.mark.oracle
def test_killed_commands_continue() -> None:
    run = play(6, seed=1)
    assert run.findings == []
    assert run.counts["tests"] > 0
    assert run.counts["scripts"] > 0


@pytest.mark.long
@pytest.mark.parametrize(("defect", "kind"), [(defect, kind) for defect, kinds in DEFECTS.items() for kind in kinds])
def test_planted_defect_of_a_command_is_found(defect: str, kind: str) -> None:
    assert play(PLANTED, seed=1, defect=defect, kinds=[kind]).findings
