"""Marks the tests that `slow_tests.toml` lists: `make test` leaves them out, so that it takes minutes; `make oracles`
runs them, and so does every run that names what it wants.

`python -m tests.slow_tests REPORT` writes the list anew, of a run of all tests with `--junit-xml=REPORT`.
"""

from __future__ import annotations

import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Final

import pytest

LEAST: Final = 0.2
"""Seconds that a slow test's cases take in the mean, with what is made for them, on two cores that both run tests."""
_LIST: Final = Path(__file__).with_suffix(".toml")
_HEAD: Final = """\
# Tests with cases that take more than a fifth of a second: `make test` leaves them out, `make oracles` runs them
# (tests/slow_tests.py, which makes this list).

tests = [
"""


@cache
def slow_tests() -> frozenset[str]:
    """Their places in the project."""
    return frozenset(tomllib.loads(_LIST.read_text(encoding="utf-8"))["tests"])


def is_slow(case: str) -> bool:
    """Return True if the case belongs to a slow test."""
    return _test_of(case) in slow_tests()


def _test_of(case: str) -> str:
    return case.partition("[")[0]


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks them."""
    for item in items:
        if is_slow(item.nodeid):
            item.add_marker(pytest.mark.slow)


def slowest(cases: Iterable[tuple[str, float]]) -> list[str]:
    """The slow tests of a run's cases, each with its seconds."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for case, taken in cases:
        seconds[_test_of(case)].append(taken)
    return sorted(test for test, taken in seconds.items() if fmean(taken) >= LEAST)


def cases_of(report: str) -> Iterator[tuple[str, float]]:
    """The cases of a report in JUnit's form, which our own run has written."""
    for case in ET.fromstring(report).iter("testcase"):  # our own
        parts = case.attrib["classname"].split(".")
        of_file = 1 + max(at for at, part in enumerate(parts) if part.startswith("test_"))  # classes come after it
        place = "::".join(("/".join(parts[:of_file]) + ".py", *parts[of_file:], case.attrib["name"]))
        yield place, float(case.attrib["time"])


if __name__ == "__main__":
    found = slowest(cases_of(Path(sys.argv[1]).read_text(encoding="utf-8")))
    _LIST.write_text(_HEAD + "".join(f'    "{test}",\n' for test in found) + "]\n", encoding="utf-8")
