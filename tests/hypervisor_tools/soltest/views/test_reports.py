"""Coverage has forge's lines with forge's counts."""

import re
from collections.abc import Callable

import pytest

from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.report.collecting import SuiteCoverage, merge
from hypervisor_tools.soltest.report.coverage import FileCoverage, coverage, coverage_json, coverage_lines, lcov
from hypervisor_tools.soltest.report.gas import figures
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.trace.known_code import KnownCode
from tests.hypervisor_tools.soltest.views.compiled import HERE, trees
from tests.hypervisor_tools.soltest.views.conftest import Watch

Forge = Callable[[str], str]


@pytest.fixture
def covered(artifacts: Artifacts, watch: Watch, watched: list[SuiteCoverage]) -> list[FileCoverage]:
    watch(TestViewer(artifacts, "ethereum", 0), "coverage")
    return coverage(merge(watched), KnownCode(artifacts), trees(), SourceTexts(HERE))


def records(text: str, kind: str, file: str = "src/Bank.sol") -> list[str]:
    """Return the records of a kind for one file in lcov's format."""
    (section,) = (part for part in text.split("end_of_record") if f"SF:{file}\n" in part)
    return sorted(re.findall(rf"^{kind}:(.*)$", section, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DA", "FN", "FNDA", "LF", "LH", "FNF", "FNH", "BRF"])
def test_line_and_function_hit_counts_match_forge(covered: list[FileCoverage], forge: Forge, kind: str) -> None:
    ours, theirs = records(lcov(covered), kind), records(forge("lcov.info"), kind)
    assert ours == theirs
    assert ours


@pytest.mark.slow
def test_branches_are_forges_but_for_the_call_of_a_try(covered: list[FileCoverage], forge: Forge) -> None:
    # forge counts the success path as covered if the call was made: here the call failed, and line 93 has 0 hits.
    ours, theirs = set(records(lcov(covered), "BRDA")), set(records(forge("lcov.info"), "BRDA"))
    assert ours ^ theirs == {"92,5,0,0", "92,5,0,1"}
    assert "93,0" in records(forge("lcov.info"), "DA")


@pytest.mark.slow
def test_the_table_has_forges_shares(covered: list[FileCoverage], forge: Forge) -> None:
    def row(text: str) -> list[str]:
        (found,) = re.findall(r"^\| src/Bank.sol .*$", text, re.MULTILINE)
        return re.findall(r"\d+\.\d+% \(\d+/\d+\)", found)

    ours, theirs = row("\n".join(coverage_lines(covered))), row(forge("coverage.txt"))
    assert [ours[place] for place in (0, 1, 3)] == [theirs[place] for place in (0, 1, 3)]
    assert (ours[2], theirs[2]) == ("72.73% (8/11)", "81.82% (9/11)")


@pytest.mark.slow
def test_the_object_of_a_file(covered: list[FileCoverage]) -> None:
    found = coverage_json(covered)["src/Bank.sol"]
    assert found["lines"] == {"covered": 38, "all": 43}
    assert found["hits"]["13"] == 5
    assert set(found) == {"lines", "statements", "branches", "functions", "hits"}


def test_coverage_of_no_tests_is_zero(artifacts: Artifacts) -> None:
    (found,) = coverage(SuiteCoverage(), KnownCode(artifacts), trees(), SourceTexts(HERE))
    assert {name: count[0] for name, count in found.counts().items()} == dict.fromkeys(found.counts(), 0)
    assert coverage_lines([])[-2].startswith("| Total")


def test_figures_round_down() -> None:
    assert figures([1, 2, 4, 9]) == (4, 1, 4, 3, 9)
    assert figures([5, 2]) == (2, 2, 3, 3, 5)
