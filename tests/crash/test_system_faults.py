"""Short tests of failing system calls; `make crash-faults` runs them in full."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.crash.system_faults import Suite, processes
from tests.store.copies import scratch_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
    ),
]


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    place = scratch_folder()
    with processes(place) as served:
        yield Suite(served, place)
    shutil.rmtree(place)


def test_failing_system_calls_lose_no_acknowledged_commit(suite: Suite) -> None:
    problems = {str(case): suite.problem(case) for case in suite.cases(30, random.Random(26))}
    assert [*filter(None, problems.values())] == []
    assert sum(count for name, count in suite.outcomes.items() if name.endswith(": error")) > 5


@pytest.mark.parametrize("plant", ["no-batch", "ignores-errors"])
def test_planted_defect_is_found(suite: Suite, plant: str) -> None:
    assert any(suite.problem(case) for case in suite.planted(plant))
