"""Modules compiled by `hatch_build.py`, and the refusal of unusable ones."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hatch_build import BUILD_REQUIREMENTS, SUFFIX, lacking, modules, take_back_outdated
from store.compiled import SHARED, UnfitCompiledModule, check_compiled, compiled_modules
from tests.packaging import PROJECT
from tests.suite_rules import interpreted_only

TABLE = tomllib.loads((PROJECT / "compiled.toml").read_text(encoding="utf-8"))
NEEDS_COMPILER = pytest.mark.skipif(bool(lacking()), reason=lacking() or "nothing is lacking")
OTHER = ".cpython-399-x86_64-linux-gnu.so"
CHECKOUT = "run `make compiled` to compile them, or `make interpreted` to go back to the sources"


# --- the list --------------------------------------------------------------------------------------------------


def test_a_name_in_the_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compiled.toml").write_text('packages = ["gone"]\nfiles = []\n[interpreted]\n')
    with pytest.raises(ValueError, match=r"compiled\.toml names gone, which does not exist"):
        modules(tmp_path)


@pytest.mark.slow
def test_the_modules_that_run_are_those_that_the_record_names() -> None:
    compiled = compiled_modules()
    assert compiled in ((), tuple(modules(PROJECT)))
    for path in (*modules(PROJECT)[::10], *(path for path in TABLE["interpreted"] if path.endswith(".py"))):
        module = import_module(path.removesuffix("/__init__.py").removesuffix(".py").replace("/", "."))
        assert str(module.__file__).endswith(SUFFIX if path in compiled else ".py")


def test_the_build_takes_mypy_in_the_version_of_the_lock() -> None:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    assert f"\n{BUILD_REQUIREMENTS[0]} \\\n" in lock


def test_interpreted_only_tests_exist() -> None:
    listed = interpreted_only()
    for place in listed:
        file, _, name = place.partition("::")
        found = set(
            re.findall(r"^ *(?:async )?def (test_\w+)", (PROJECT / file).read_text(encoding="utf-8"), re.MULTILINE)
        )
        assert not name or name in found, f"{place} is not there"


# --- the hottest value classes ----------------------------------------------------------------------------------


def test_hot_class_instances_are_created_by_compiled_code() -> None:
    transaction = Transaction(DYNAMIC_FEE, 1, 0, None, 0, b"", 0, 0, 0)
    assert isinstance(Transaction.__init__, FunctionType) == (not compiled_modules())
    assert dataclasses.replace(transaction, nonce=1) == Transaction(DYNAMIC_FEE, 1, 1, None, 0, b"", 0, 0, 0)


# --- what does not fit -----------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Create a folder like a checkout in which `make compiled` has compiled one module."""
    (tmp_path / "store").mkdir()
    source = tmp_path / "store" / "cid.py"
    source.write_text("VALUE = 1\n")
    (tmp_path / f"store/cid{SUFFIX}").touch()
    (tmp_path / f"{SHARED}{SUFFIX}").touch()
    status = source.stat()
    digest = "d3d2bd8b3f6b9a5e1ddbfb3a5a9e8a54a3e6f86c5d62b5dc7ce5e6f3b9e1c7aa"
    _record(tmp_path, {SUFFIX: {"store/cid.py": [status.st_size, status.st_mtime_ns, digest]}})
    return tmp_path


def _record(home: Path, record: object) -> None:
    (home / "store" / "compiled.json").write_text(json.dumps(record))


def refused(home: Path) -> str:
    with pytest.raises(UnfitCompiledModule) as refusal:
        check_compiled(home)
    return str(refusal.value).replace(str(home), ".")


def test_modules_compiled_from_current_sources_are_accepted(checkout: Path) -> None:
    check_compiled(checkout)
    assert compiled_modules(checkout) == ("store/cid.py",)


def test_sources_run_without_record_and_compiled_modules(tmp_path: Path) -> None:
    check_compiled(tmp_path)
    assert compiled_modules(tmp_path) == ()


def test_a_module_that_is_older_than_its_source_is_refused(checkout: Path) -> None:
    (checkout / "store/cid.py").write_text("VALUE = 22\n")
    assert refused(checkout) == f"./store/cid{SUFFIX} is older than its source store/cid.py: {CHECKOUT}"


def test_a_source_that_was_only_touched_has_not_changed(checkout: Path) -> None:
    source = checkout / "store/cid.py"
    digest = sha256(source.read_bytes()).hexdigest()
    _record(checkout, {SUFFIX: {"store/cid.py": [source.stat().st_size, 1, digest]}})
    check_compiled(checkout)
    source.write_text("VALUE = 2\n")  # as long as before
    assert "is older than its source" in refused(checkout)


def test_a_build_removes_compiled_modules_of_changed_sources(checkout: Path) -> None:
    (checkout / "store/__init__.py").touch()
    source, library = checkout / "store/cid.py", checkout / f"store/cid{SUFFIX}"
    digest = sha256(source.read_bytes()).hexdigest()
    _record(checkout, {SUFFIX: {"store/cid.py": [source.stat().st_size, 1, digest]}})
    take_back_outdated(checkout)
    assert library.exists()
    source.write_text("VALUE = 2\n")
    take_back_outdated(checkout)
    assert not library.exists()
    check_compiled(checkout)


def test_a_build_removes_compiled_modules_without_a_record(checkout: Path) -> None:
    (checkout / "store/__init__.py").touch()
    library = checkout / f"store/cid{SUFFIX}"
    assert library.exists()
    (checkout / "store/compiled.json").unlink()
    take_back_outdated(checkout)
    assert not library.exists()


def test_deleted_source_of_compiled_module_is_refused(checkout: Path) -> None:
    (checkout / "store/cid.py").unlink()
    assert "is older than its source store/cid.py" in refused(checkout)


@pytest.mark.parametrize(
    ("part", "words"), [("store/cid", "which other compiled modules need"), (SHARED, "the code of")]
)
def test_a_part_that_is_missing_is_named(checkout: Path, part: str, words: str) -> None:
    (checkout / f"{part}{SUFFIX}").unlink()
    said = refused(checkout)
    assert said.startswith(f"./{part}{SUFFIX} is missing")
    assert words in said


def test_half_a_build_is_refused(checkout: Path) -> None:
    (checkout / "store/compiled.json").unlink()
    assert (
        refused(checkout) == f"./{SHARED}{SUFFIX} exists but has no record, as after an interrupted build: {CHECKOUT}"
    )


def test_a_wheel_of_another_python_is_refused_by_name(checkout: Path) -> None:
    (checkout / f"{SHARED}{SUFFIX}").unlink()
    _record(checkout, {OTHER: {"store/cid.py": None}})
    assert refused(checkout) == (
        f"the modules below . are compiled for {OTHER}, this Python needs {SUFFIX}: "
        "install fvm-hypervisor again, with the wheel of this Python or from source"
    )


def test_checkout_compiled_by_other_python_runs_interpreted(checkout: Path) -> None:
    (checkout / f"{SHARED}{SUFFIX}").unlink()
    _record(checkout, {OTHER: {"store/cid.py": [1, 1, ""]}})
    check_compiled(checkout)
    assert compiled_modules(checkout) == ()


def test_compiled_check_ignores_sources_of_installed_wheel(checkout: Path) -> None:
    _record(checkout, {SUFFIX: {"store/cid.py": None}})
    (checkout / "store/cid.py").write_text("changed by an installer\n")
    check_compiled(checkout)


# --- the build, on a project of two modules ---------------------------------------------------------------------

EVEN = '''"""Numbers."""

from __future__ import annotations


def is_even(number: int) -> bool:
    """Whether a number is even."""
    return number % 2 == 0


'''
ODD = '''"""Other numbers."""

from __future__ import annotations

from store.even import is_even


def is_odd(number: int) -> bool:
    """Whether a number is odd."""
    return not is_even(number)
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Create two modules with the project's own build."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "two"\nversion = "1"\ndependencies = []\n'
        '[tool.hatch.build.targets.wheel]\nonly-include = ["store"]\n'
        '[tool.hatch.build.targets.wheel.hooks.custom]\npath = "hatch_build.py"\n',
        "compiled.toml": 'packages = ["store"]\nfiles = []\n[interpreted]\n"store/compiled.py" = "the guard"\n',
        "store/__init__.py": (PROJECT / "store/__init__.py").read_text(encoding="utf-8"),
        "store/compiled.py": (PROJECT / "store/compiled.py").read_text(encoding="utf-8"),
        "store/even.py": EVEN,
        "store/odd.py": ODD,
        "fvm_hypervisor/__init__.py": "",
        "fvm_hypervisor/bindings/actors/python.py": "# the hook runs it, to write the bindings",
        "hatch_build.py": (PROJECT / "hatch_build.py").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def python(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=project, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def asked(project: Path) -> str:
    said = python(project, "-c", "from store import compiled, odd; print(compiled.form(), odd.is_odd(3), odd.__file__)")
    return said.stdout + said.stderr


def object_times(project: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in project.glob("build/*/objects/**/*.o")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "notice"),
    [
        ({"FVM_COMPILED": "0"}, ""),
        ({"FVM_COMPILED": "", "CC": "no-such-compiler"}, "there is no C compiler"),
        pytest.param({"FVM_COMPILED": "", "CC": "false"}, "the C compiler failed", marks=NEEDS_COMPILER),
    ],
    ids=["not wanted", "no compiler", "failing compiler"],
)
def test_wheel_without_compiled_modules_is_pure(project: Path, environment: dict[str, str], notice: str) -> None:
    done = python(project, "-m", "build", "--wheel", "--no-isolation", ".", **environment)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (project / "dist").iterdir()] == ["two-1-py2.py3-none-any.whl"]
    output = done.stdout + done.stderr
    assert ("The modules are not compiled, so they run slower" in output) == bool(notice)
    assert notice in output


@pytest.mark.slow
def test_wheel_build_rejects_other_values_of_the_variable(project: Path) -> None:
    done = python(project, "-m", "build", "--wheel", "--no-isolation", ".", FVM_COMPILED="yes")
    assert done.returncode != 0
    assert "FVM_COMPILED=yes is not 0 or 1" in done.stdout + done.stderr


@pytest.mark.slow
def test_missing_c_compiler_changes_nothing_and_reports_error(project: Path) -> None:
    done = python(project, "hatch_build.py", "in-place", CC="no-such-compiler -O2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no C compiler 'no-such-compiler': install one, or name it in CC\n"
    assert not (project / "build").exists()


@pytest.mark.slow
def test_a_compiled_wheel_is_not_made_without_a_compiler(project: Path) -> None:
    done = python(project, "-m", "build", "--wheel", "--no-isolation", ".", FVM_COMPILED="1", CC="no-such-compiler")
    assert done.returncode != 0
    assert "error: there is no C compiler 'no-such-compiler': install one" in done.stdout + done.stderr
    assert not list(project.rglob("*.whl"))


@pytest.mark.slow
def test_command_reports_stale_module_in_one_sentence(checkout: Path) -> None:
    for name in (
        "store/__init__.py",
        "store/compiled.py",
        "fvm_hypervisor/cli/start.py",
        "fvm_hypervisor/cli/commands.py",
    ):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, checkout / name)
    for name in ("fvm_hypervisor/__init__.py", "fvm_hypervisor/cli/__init__.py"):
        (checkout / name).touch()
    (checkout / "fvm_hypervisor/cli/main.py").write_text("import store.cid\n")
    (checkout / "store/cid.py").write_text("VALUE = 22\n")
    command = ["-c", "from fvm_hypervisor.cli.start import main; main()"]
    said = python(checkout, *command)
    words = f"error: {checkout}/store/cid{SUFFIX} is older than its source store/cid.py: {CHECKOUT}\n"
    assert (said.returncode, said.stdout, said.stderr) == (1, "", words)
    (checkout / "fvm_hypervisor/cli/main.py").write_text("import no_such_module\n")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in python(checkout, *command).stderr


@pytest.mark.oracle
@NEEDS_COMPILER
def test_modules_compile_in_place_recompile_and_revert(project: Path) -> None:
    source = str(project / "store" / "odd.py")
    assert asked(project) == f"interpreted True {source}\n"
    done = python(project, "hatch_build.py", "in-place")
    assert done.returncode == 0, done.stdout + done.stderr
    compiled = source.removesuffix(".py") + SUFFIX
    assert asked(project) == f"compiled True {compiled}\n"

    before = object_times(project)
    (project / "store/odd.py").write_text(ODD.replace("not is_even(number)", "not not is_even(number)"))
    assert f"{compiled} is older than its source store/odd.py" in asked(project)
    assert python(project, "hatch_build.py", "in-place").returncode == 0
    assert asked(project) == f"compiled False {compiled}\n"
    assert {name for name, time in object_times(project).items() if time != before[name]} == {"__native_store___odd.o"}

    before = object_times(project)
    with (project / "store/even.py").open("a") as even:  # changes its header
        even.write(EVEN.partition("\n\n\n")[2].replace("is_even", "is_also_even"))
    assert python(project, "hatch_build.py", "in-place").returncode == 0
    assert asked(project) == f"compiled False {compiled}\n"
    assert {name for name, time in object_times(project).items() if time == before[name]} == set()

    before = object_times(project)
    failing = project / "cc"  # after which no object file is known to be complete
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    assert python(project, "hatch_build.py", "in-place", CC=str(failing)).returncode == 1
    assert python(project, "hatch_build.py", "in-place").returncode == 0
    assert {name for name, time in object_times(project).items() if time == before[name]} == set()

    assert python(project, "hatch_build.py", "interpreted").returncode == 0
    assert asked(project) == f"interpreted False {source}\n"
    assert [path for path in project.rglob("*.so") if "build" not in path.parts] == []
    assert not (project / "store/compiled.json").exists()


@pytest.mark.oracle
@NEEDS_COMPILER
@pytest.mark.parametrize("choice", ["", "1"])
def test_a_compiled_wheel_carries_modules_sources_and_record(project: Path, choice: str) -> None:
    from zipfile import ZipFile

    done = python(project, "-m", "build", "--wheel", "--no-isolation", ".", FVM_COMPILED=choice)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (project / "dist").iterdir()
    version = f"cp3{sys.version_info.minor}"
    assert wheel.name.startswith(f"two-1-{version}-{version}-")
    away = project / "elsewhere"
    ZipFile(wheel).extractall(away)
    found = {
        path.relative_to(away).as_posix() for path in away.rglob("*") if path.is_file() and "dist-info" not in str(path)
    }
    sources = {f"store/{name}.py" for name in ("__init__", "compiled", "even", "odd")}
    assert found == sources | {f"store/even{SUFFIX}", f"store/odd{SUFFIX}", f"{SHARED}{SUFFIX}", "store/compiled.json"}
    assert asked(away) == f"compiled True {away / 'store' / 'odd'}{SUFFIX}\n"
