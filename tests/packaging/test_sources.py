"""Tests of every file: module docstring, length, and no machine paths."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.packaging.project import PACKAGES, PROJECT, own_files

LONGEST = 600
WIDEST = 120
BINARY = (".car", ".wasm", ".gz", ".png", ".webp", ".xz")

ONE_DOOR = "tests/conftest.py"  # to the test data outside the project

# The home of a user or the work folder of a machine. A device, a temporary file, a system's own tool may be named.
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:home|root|Users|work|opt|mnt)/\w+")


BEFORE_CODE = re.compile(r"\A(?:\s|#.*\n)+")
DOCSTRING = re.compile(r"""[rR]?("{3}|'{3}|"|')(?!\1)""")


@cache
def texts(*patterns: str) -> dict[str, str]:
    """The project's own files with their text, by their path in the project."""
    paths = {path.relative_to(PROJECT).as_posix(): path for path in own_files(*patterns)}
    return {name: path.read_text() for name, path in paths.items() if not name.endswith(BINARY)}


@pytest.mark.slow
def test_the_search_finds_the_project() -> None:
    assert {f"{package}/__init__.py" for package in PACKAGES} <= texts("*.py").keys()
    assert {"Makefile", "README.md", "scripts/bootstrap", "requirements.lock"} <= texts().keys()


def test_every_module_opens_with_a_docstring() -> None:
    """Read as far as the first statement: the rest of a thousand modules takes seconds."""
    modules = {name: BEFORE_CODE.sub("", text, count=1) for name, text in texts("*.py").items()}
    assert [name for name, code in modules.items() if code and not DOCSTRING.match(code)] == []


def test_every_file_fits_one_sitting() -> None:
    lines = {name: text.count("\n") for name, text in texts("*.py", "*.rs", "*.sol", "*.mjs").items()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_every_line_of_a_shell_script_is_in_its_width() -> None:
    scripts = {name: text for name, text in texts().items() if re.match(r"#!.*\b(?:ba)?sh\n", text)}
    assert {"scripts/bootstrap", "scripts/first-node", ".ci/run"} <= scripts.keys()
    long = {name: [line for line in text.splitlines() if len(line) > WIDEST] for name, text in scripts.items()}
    assert {name: lines for name, lines in long.items() if lines} == {}


@pytest.mark.slow
def test_sources_contain_no_machine_paths() -> None:
    found = {name: MACHINE_PATH.search(text) for name, text in texts().items()}
    assert {name: match[0] for name, match in found.items() if match} == {}


def test_the_lock_of_the_packages_names_no_index() -> None:
    assert "://" not in texts("requirements.lock")["requirements.lock"]


def test_tests_reach_the_data_outside_the_project_by_one_door() -> None:
    read = re.compile(r"""environ(\.get\(|\[)["']FVM_DATA""")
    readers = [name for name, text in texts("tests/*.py").items() if read.search(text)]
    assert readers == [ONE_DOOR], "use its data_file"
