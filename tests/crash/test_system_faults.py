"""Short tests of failing system calls; `make crash-faults` runs them in full."""

import random
import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.crash.faulty_process import FAULTS, Case
from tests.crash.system_faults import PLANTED as PLANTED_FAULTS
from tests.crash.system_faults import Outcome, Suite, processes
from tests.store.stores import scratch_folder

needs_compiler = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    place = scratch_folder()
    with processes(place, pause=0.2) as served:
        yield Suite(served, place)
    shutil.rmtree(place)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_loses_no_acknowledged_commit(suite: Suite, fault: str) -> None:
    rng = random.Random(fault)
    problems = {str(case): suite.problem(case) for case in [suite.case(fault, rng) for _ in range(3)]}
    assert [*filter(None, problems.values())] == []


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ("disk full", "error"),
        ("sync errors", "error"),
        ("read-only remount", "error"),
        ("out of file descriptors", "error"),
        ("kill for lack of memory", "ended"),
        ("memory limit reached", "ended"),
    ],
)
def test_fault_has_an_effect(suite: Suite, fault: str, effect: str) -> None:
    before = suite.outcomes[f"{fault}: {effect}"]
    assert suite.problem(Case("store", suite.ends["store"], fault, 8)) == ""
    assert suite.outcomes[f"{fault}: {effect}"] == before + 1


@pytest.mark.slow
@needs_compiler
def test_folder_of_a_stopped_process_is_locked(suite: Suite) -> None:
    case = Case("store", suite.ends["store"], "stopped process", suite.calls_of("store", "stopped process") * 3 // 4)
    before = suite.outcomes["stopped process: folder locked"]
    assert suite.problem(case) == ""
    assert suite.outcomes["stopped process: folder locked"] == before + 1


@pytest.mark.slow
@needs_compiler
def test_next_process_may_skip_one_state_that_was_not_acknowledged(suite: Suite) -> None:
    """The last tipset is three heights after its parent: two null rounds."""
    case = Case("network", suite.ends["network"], "kill for lack of memory", 1)

    def gap(last: int, first: int) -> str:
        return suite.gap(case, Outcome([(last, "")]), Outcome([(first, "")]))

    assert gap(15, 16) == gap(15, 19) == gap(16, 19) == ""
    assert gap(14, 19) == "14 acknowledged, the next process continues with 19"
    assert gap(15, 15) == "15 acknowledged, the next process continues with 15"


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("plant", PLANTED_FAULTS)
def test_planted_defect_is_found(suite: Suite, plant: str) -> None:
    assert any(suite.problem(case) for case in suite.planted(plant))
