"""Random programs of calls and cheatcodes end as in forge, and see what they see there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.project.project import Project
from tests.hypervisor_tools.soltest.cheatcodes.random_calls import (
    COUNT,
    FILE,
    GROUPS,
    End,
    end_of,
    stored_ends,
    write_programs,
)
from tests.hypervisor_tools.soltest.golden import stored
from tests.hypervisor_tools.soltest.here import run_suite, written

OTHERS: Final[Mapping[str, frozenset[int]]] = {
    "Prank": frozenset({5}),  # a reversed creation restores the origin
    "ExpectRevert": frozenset({18, 57, 69, 85, 88, 94}),  # halts have names in forge 1.8; creations without funds
    # A forbidden log fails the call at its end, in forge the frame at once.
    "ExpectEmit": frozenset({4, 5, 7, 20, 29, 39, 46, 54, 55, 85, 91, 96, 97, 99}),
    "ExpectCall": frozenset({59}),  # forge names missing calls of a test that ran out of gas
    "Accounts": frozenset({5, 13, 32, 37, 46, 51, 63, 89, 95, 96}),  # forge 1.8 reads slots of precompiles
    "Diffs": frozenset({0, 5, 16, 17, 33, 36, 42, 44, 48, 50, 58, 59, 65, 89}),  # calls that run out of gas
    "Snapshots": frozenset({20, 27, 85, 86}),  # forge names kinds of running out of gas
    "Gas": frozenset({5, 9, 24, 31, 37, 41, 54, 55, 65, 68, 69, 77, 80, 87, 97}),  # gas of calls that halt; warm slots
}
"""Programs whose frames see something else, or that end otherwise, and the main causes."""
_OTHER_GAS: Final[Mapping[str, int]] = {
    "ExpectRevert": 2, "ExpectEmit": 11, "ExpectCall": 2, "MockCall": 2, "Accounts": 1, "Diffs": 28, "Gas": 17,
}  # fmt: skip
"""Number of further programs whose gas differs: recordings and expectations leave other accounts warm."""


def ends(folder: Path, group: str, options: Options) -> list[End]:
    """Run the programs of a group."""
    write_programs(folder / "programs")
    places = written(folder, stored(FILE)["artifacts"])
    artifacts = Artifacts(folder, places, {})
    suites, _ = find_suites(artifacts, sorted({place.file for place in places}), SuiteFilter(contract=f"^{group}Test$"))
    job = Job(Project(folder, fs_permissions=(("read", "programs"),)), places, {}, options)
    found = {test.signature: test for test in run_suite(job, artifacts, suites[0])}
    tests = (found[f"test{number}()"] for number in range(COUNT))
    return [end_of(test.status.value, test.reason, test.logs, test.gas) for test in tests]


@pytest.mark.parametrize("group", GROUPS)
def test_programs_see_and_end_as_in_forge(group: str, tmp_path: Path) -> None:
    found, forges = ends(tmp_path, group, Options(evm="fast", shows_logs=True)), stored_ends()[group]
    assert len(found) == len(forges) == COUNT
    both = list(enumerate(zip(found, forges, strict=True)))
    assert {number for number, (ours, theirs) in both if ours[:3] != theirs[:3]} == OTHERS.get(group, frozenset())
    gas = [number for number, (ours, theirs) in both if ours[:3] == theirs[:3] and ours != theirs]
    assert len(gas) == _OTHER_GAS.get(group, 0)


@pytest.mark.slow
@pytest.mark.parametrize("group", [name for name in GROUPS if name != "Gas"])  # metering has no pause there
def test_programs_see_and_end_alike_in_py_evm(group: str, tmp_path: Path) -> None:
    found, forges = ends(tmp_path, group, Options(evm="py-evm", shows_logs=True)), stored_ends()[group]
    both = enumerate(zip(found, forges, strict=True))
    assert {number for number, (ours, theirs) in both if ours[:3] != theirs[:3]} == OTHERS.get(group, frozenset())
