"""Tests of the README: its commands and its Python run, and its recording equals the demo's output."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import demo_recording
from tests.docs.page_shell import run_page

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_readme_commands_run_in_order_in_one_shell(tmp_path: Path) -> None:
    for ran in run_page(README, tmp_path / "page"):
        ran.check()


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" not in code])
def test_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" in code])
def test_the_tests_pass(code: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "test_readme_example.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_readme_example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_the_recording_shows_what_the_demo_prints() -> None:
    assert demo_recording.recording() == demo_recording.FILE.read_text(encoding="utf-8"), "run `make recording`"
