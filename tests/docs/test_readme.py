"""Tests of the README: its commands and its Python run, and its figures are those of the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page_shell import run_page

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_readme_commands_run_in_order_in_one_shell(tmp_path: Path) -> None:
    for ran in run_page(README, tmp_path / "page"):
        ran.check()


@pytest.mark.slow
@pytest.mark.parametrize("code", [code for code in blocks("python") if "def test_" not in code])
def test_the_python_runs(code: str, tmp_path: Path) -> None:
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
def test_readme_call_tree_matches_demo_except_for_gas(tmp_path: Path) -> None:
    done = subprocess.run([BIN / "hypervisor", "demo"], cwd=tmp_path, capture_output=True, text=True, check=True)
    (shown,) = blocks("text")
    assert without_gas(shown).strip() in without_gas(done.stdout)


def without_gas(text: str) -> str:
    """The call trees without their gas figures, which move with every rebuild of a guest."""
    return re.sub(r"gas [0-9,]+", "gas", text)
