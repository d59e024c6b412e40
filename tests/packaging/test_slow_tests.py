"""The list of slow tests names tests that are there, and a run that names nothing leaves just them out."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.packaging.project import PROJECT
from tests.slow_tests import LEAST, cases_of, is_slow, slow_tests, slowest


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
        if not name.endswith("::runTest"):  # of a state machine, whose class Hypothesis makes
            files.setdefault(file, set()).add(name)
    missing = {file: lack for file, names in files.items() if (lack := names - functions(PROJECT / file))}
    assert not missing


def test_the_mean_of_its_cases_makes_a_test_slow() -> None:
    report = f"""<testsuites><testsuite>
    <testcase classname="tests.one.test_it.TestIt" name="test_all_slow[a b]" time="{LEAST}" />
    <testcase classname="tests.one.test_it" name="test_one_slow[a]" time="{LEAST * 1.9}" />
    <testcase classname="tests.one.test_it" name="test_one_slow[b]" time="0.0" />
    </testsuite></testsuites>"""
    assert slowest(cases_of(report)) == ["tests/one/test_it.py::TestIt::test_all_slow"]


def test_each_case_of_a_listed_test_is_slow() -> None:
    listed = min(slow_tests())
    assert is_slow(listed)
    assert is_slow(f"{listed}[one::two[3]]")
    assert not is_slow(f"{listed}_too")
