"""Commands that need a missing public suite explain the folder's layout and exit with 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soltests import __main__ as soltests
from tests.soltests import folder
from tests.soltests.stage import SUITES, stage


def test_missing_suites_folder_message_explains_layout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FVM_SUITES", raising=False)
    monkeypatch.setattr("sys.argv", ["soltests"])
    assert soltests.main() == folder.main() == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("NOT RUN: the public Solidity suites are not here: set FVM_SUITES to a folder")
    assert all(f"{name} (github.com/{repository})" in first for name, repository in folder.REPOSITORIES.items())


def test_suite_requires_only_its_own_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "SessionKeyRegistry").mkdir()
    (tmp_path / "forge-std").mkdir()
    (tmp_path / "SessionKeyRegistry" / "foundry.toml").touch()
    monkeypatch.setenv("FVM_SUITES", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["soltests", "--suite", "session-keys"])
    assert soltests.main() == 2
    assert f"FVM_SUITES names {tmp_path}, which lacks forge-std: set" in capsys.readouterr().out
    (tmp_path / "forge-std" / "src").mkdir()
    stage("session-keys", tmp_path / "staged")
    assert (tmp_path / "staged" / "lib" / "forge-std" / "src").is_dir()


def test_every_checkout_that_a_suite_needs_has_its_repository() -> None:
    assert set().union(*(suite.checkouts for suite in SUITES.values())) == set(folder.REPOSITORIES)
