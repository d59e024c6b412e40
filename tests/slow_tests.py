"""Marks the tests that `slow_tests.toml` lists: `make test` leaves them out, so that it takes minutes; `make oracles`
runs them, and so does every run that names what it wants.

`python -m tests.slow_tests < LOG` writes the list anew, of a run of all tests with `--durations=0`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

LEAST: Final = 0.5
"""Seconds of a slow test, with all that is made for it alone, on two cores that both run tests."""
_LIST: Final = Path(__file__).with_suffix(".toml")
_TIME: Final = re.compile(r"([0-9.]+)s (?:call|setup|teardown) +(\S+::\S.*)")
_HEAD: Final = """\
# Tests with a case that takes more than half a second: `make test` leaves them out, `make oracles` runs them
# (tests/slow_tests.py, which makes this list).

tests = [
"""


@cache
def slow_tests() -> frozenset[str]:
    """Their places in the project."""
    return frozenset(tomllib.loads(_LIST.read_text(encoding="utf-8"))["tests"])


def is_slow(case: str) -> bool:
    """Whether a case is one of them."""
    return case.partition("[")[0] in slow_tests()


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks them."""
    for item in items:
        if is_slow(item.nodeid):
            item.add_marker(pytest.mark.slow)


def measured(lines: Iterable[str]) -> list[str]:
    """The slow tests of a run, by what it said of each part of each test."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        found = _TIME.match(line)
        if found is not None:
            seconds[found[2].strip()] += float(found[1])
    return sorted({test.partition("[")[0] for test, taken in seconds.items() if taken >= LEAST})


if __name__ == "__main__":
    _LIST.write_text(_HEAD + "".join(f'    "{test}",\n' for test in measured(sys.stdin)) + "]\n", encoding="utf-8")
