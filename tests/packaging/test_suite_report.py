"""Skipped tests: skips for missing data fail the run if the data exists, and so do too many skips without data."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.project import PROJECT

TESTS = """
import pytest
from tests.conftest import data_file

def test_plain(): pass

@pytest.mark.skip(reason="another system's")
def test_for_another_system(): pass

def test_with_data(): data_file("vectors/some")

@pytest.mark.parametrize("case", [])
def test_each_case(case): pass
"""

PLUGINS = ("__init__.py", "conftest.py", "suite_rules.py", "interpreted_only.toml")


def run(folder: Path, *options: str, tests: str = TESTS, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests above in a separate project with this project's conftest."""
    suite = folder / "project" / "tests" / "one"
    suite.mkdir(parents=True)
    (suite / "test_it.py").write_text(tests)
    (suite.parent.parent / "pytest.ini").write_text("[pytest]\nmarkers =\n    long\n")
    for name in PLUGINS:
        shutil.copy(PROJECT / "tests" / name, suite.parent)
    command = [sys.executable, "-m", "pytest", "-q", *options, "tests"]
    without = {name: value for name, value in os.environ.items() if name != "FVM_DATA"}
    return subprocess.run(
        command, cwd=folder / "project", env=without | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_missing_file_and_empty_params_fail_with_test_data(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    done = run(tmp_path)
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout
    assert "vectors/some is missing from the test data" in done.stdout
    assert f"got empty parameter set for (case), though the test data are in {tmp_path / 'shared'}" in done.stdout


@pytest.mark.slow
def test_tests_without_data_are_skipped(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    assert "1 passed, 3 skipped" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["one process", "workers"])
def test_over_hundred_skipped_tests_fail_run_without_data(tmp_path: Path, processes: tuple[str, ...]) -> None:
    many = f"""{TESTS}
@pytest.mark.parametrize("number", range(97))
def test_many(number): data_file("vectors/some")
"""
    assert run(tmp_path / "some", *processes, tests=many).returncode == 0
    done = run(tmp_path / "more", *processes, tests=many.replace("97", "98"))
    assert done.returncode == 1
    assert "error: more than 100 tests were skipped for want of test data" in done.stdout


@pytest.mark.slow
def test_a_data_folder_that_is_named_and_missing_ends_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, FVM_DATA=str(tmp_path / "nowhere"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: FVM_DATA names {tmp_path / 'nowhere'}, which is not a folder" in done.stderr
