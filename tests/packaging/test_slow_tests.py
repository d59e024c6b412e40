"""The list of slow tests names tests that are there, and a run that names nothing leaves just them out."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.packaging.project import PROJECT
from tests.slow_tests import LEAST, is_slow, measured, slow_tests


def functions(file: Path) -> set[str]:
    """The tests of a file, those of classes by their class."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + each.name for each in inner if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def test_every_row_is_a_test() -> None:
    files: dict[str, set[str]] = {}
    for place in slow_tests():
        file, _, name = place.partition("::")
        files.setdefault(file, set()).add(name)
    missing = {file: lack for file, names in files.items() if (lack := names - functions(PROJECT / file))}
    assert not missing


def test_times_of_all_parts_of_a_case_count_and_one_slow_case_marks_its_test() -> None:
    half = LEAST / 2
    lines = [
        f"{half:.2f}s setup    tests/one/test_it.py::test_with_parts[a b]",
        f"{half:.2f}s call     tests/one/test_it.py::test_with_parts[a b]",
        f"{half:.2f}s call     tests/one/test_it.py::test_quick[a]",
        f"{half:.2f}s call     tests/one/test_it.py::test_quick[b]",
        "=== 4 passed in 2.00s ===",
    ]
    assert measured(lines) == ["tests/one/test_it.py::test_with_parts"]


def test_each_case_of_a_listed_test_is_slow() -> None:
    listed = min(slow_tests())
    assert is_slow(listed)
    assert is_slow(f"{listed}[one::two[3]]")
    assert not is_slow(f"{listed}_too")
