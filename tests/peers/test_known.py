"""Tests of the comparison of results with the lists of known failures."""

from pathlib import Path

import pytest

from tests.peers.__main__ import main
from tests.peers.suites import SUITES, Group, findings, known_failures

GROUPS = [
    Group("no network", "forge", ("peers",)),
    Group("differs", "docs", ("ours",), ours=True),
    Group("races", "docs", ("slow",), sometimes=True),
]
ENDED = {"passes": None, "peers": "no network", "ours": "1 is not 2", "slow": None}


@pytest.mark.parametrize(
    ("results", "found"),
    [
        (ENDED, []),
        (ENDED | {"passes": "why"}, ["new failure: passes: why"]),
        (ENDED | {"peers": None}, ["a listed test passes, so remove it: peers"]),
        (ENDED | {"slow": "late"}, []),
        ({"peers": "", "ours": "", "slow": None}, ["only 3 tests ran, expected at least 4"]),
        ({"a": None, "b": None, "peers": "", "ours": ""}, ["a listed test did not run: slow"]),
    ],
    ids=["as listed", "new failure", "listed test passes", "racing test fails", "too few tests", "listed test is gone"],
)
def test_each_deviation_from_the_list_is_found(results: dict[str, str | None], found: list[str]) -> None:
    assert list(findings(results, GROUPS, 1, 4)) == found


def test_list_with_too_many_own_failures_is_found() -> None:
    assert list(findings(ENDED, GROUPS, 0, 4)) == ["1 listed failures are ours, at most 0 may be"]


@pytest.mark.parametrize("suite", SUITES)
def test_lists_have_reasons_with_sources_and_stay_within_the_limit(suite: str) -> None:
    groups = known_failures(suite)
    assert all(group.reason and group.source and group.names for group in groups)
    assert sum(len(group.names) for group in groups if group.ours) <= SUITES[suite].limit


def test_missing_suite_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FVM_SUITES", str(tmp_path))
    assert main(["testdata"]) == 2
    assert "testdata: NOT RUN" in capsys.readouterr().out
