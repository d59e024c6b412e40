"""Projects of `hypervisor actor new`, built and tested if their compilers are available."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fvm_hypervisor.actor_project import RUST, TEMPLATES, new_project, project_commands
from hypervisor.errors import InvalidInput
from tests.command import run
from tests.compilers import assemblyscript, needed_zig

ROOT = Path(__file__).resolve().parents[2]


def run_tests(project: Path) -> str:
    """Run pytest on the project's own tests and return its output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=600
    )
    return done.stdout + done.stderr


def test_a_project_in_c_builds_and_passes_its_tests(tmp_path: Path) -> None:
    zig = needed_zig()
    project = new_project("adder", tmp_path, "c")
    subprocess.run(["make", f"CC={' '.join(zig)} cc"], cwd=project, check=True, capture_output=True, timeout=300)
    assert (project / "adder.wasm").stat().st_size < 4_000
    assert "3 passed" in run_tests(project)


def test_a_project_in_assemblyscript_builds_and_passes_its_tests(tmp_path: Path) -> None:
    compiler = assemblyscript()
    if compiler is None:
        pytest.skip("no asc, AssemblyScript's compiler: `make templates` gets it")
    project = new_project("adder", tmp_path, "assemblyscript")
    paths = f"{Path(compiler).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["npm", "run", "build"],
        cwd=project,
        check=True,
        env=os.environ | {"PATH": paths},
        capture_output=True,
        timeout=300,
    )
    assert (project / "build" / "adder.wasm").stat().st_size < 5_000
    assert "3 passed" in run_tests(project)


@pytest.mark.parametrize("language", TEMPLATES)
def test_new_project_has_its_own_name_and_no_build_artifacts(language: str, tmp_path: Path) -> None:
    project = new_project("adder", tmp_path, language)
    files = [path for path in project.rglob("*") if path.is_file()]
    assert {path.suffix for path in files}.isdisjoint({".wasm", ".pyc"})
    assert not any(word in path.read_text() for path in files for word in ('tally"', "tip_jar", "tally.wasm"))
    assert (project / "include" / "fvm.h").exists() == (language == "c")
    assert (project / "Cargo.toml").exists() == (language == RUST)


def test_project_build_follows_its_manifest_and_tests_use_pytest(tmp_path: Path) -> None:
    tests = [sys.executable, "-m", "pytest"]
    for language, builder in ((RUST, "cargo"), ("c", "make"), ("assemblyscript", "npm")):
        project = new_project(f"{language}_one", tmp_path, language)
        built, tested = project_commands(project)
        assert (built[0], tested) == (builder, tests)
        assert project_commands(project, build=False) == [tests]
    with pytest.raises(InvalidInput, match=r"holds no actor's project: expected one of Cargo\.toml"):
        project_commands(tmp_path)


@pytest.mark.slow
def test_the_command_ends_as_the_first_program_that_fails(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all:\n\t@exit 3\n")
    assert run("actor", "test", tmp_path).exit_code == 2  # make's status for it
    (tmp_path / "test_one.py").write_text("def test_one(): assert True\n")
    assert run("actor", "test", tmp_path, "--no-build").exit_code == 0


def test_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no template in 'go': choose one of rust, c, assemblyscript"):
        new_project("adder", tmp_path, "go")
    assert not list(tmp_path.iterdir())
