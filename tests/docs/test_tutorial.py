"""The tutorial's tests are run as they stand, in a folder of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devtools.cli.main import app

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))

QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler")
"""Without faulthandler, which puts back the signal handlers from before wasmtime when an inner run turns it off."""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the tutorial's files and the contract that it tells to copy."""
    (pytester.path / "MinerFacts.json").symlink_to(ROOT / "examples" / "miner-facts" / "MinerFacts.json")
    for name, code in FILES.items():
        (pytester.path / name).write_text(code, encoding="utf-8")
    runner = CliRunner()
    for arguments in re.findall(r"^\.venv/bin/hypervisor (bindings .*)$", PAGE, re.MULTILINE):
        assert runner.invoke(app, arguments.split()).exit_code == 0
    return pytester


def test_every_python_block_is_a_file_of_tests() -> None:
    assert len(FILES) == PAGE.count("```python\n") == 5


def test_the_tests_pass(project: pytest.Pytester) -> None:
    project.runpytest_inprocess(*QUIET, "-W", "error").assert_outcomes(passed=9)


def test_the_versions_are_compared_as_the_page_says(project: pytest.Pytester) -> None:
    done = project.runpytest_inprocess(*QUIET, "--network", "nv27,nv28", "test_versions.py")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*test_leading_zeros_are_counted: failed on nv27, passed on nv28"])


def test_the_pages_that_it_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
