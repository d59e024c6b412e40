"""Our node's answers compared with geth's recorded ones, and tests of the comparison itself."""

import json
from collections import Counter
from typing import Any

import pytest

from tests.conftest import data_file
from tests.judges.__main__ import JUDGES, Judge, compare_recorded, main
from tests.judges.differences import (
    DECISIONS,
    Difference,
    Known,
    beside_list,
    compare,
    corrected,
    kind_of,
    known_differences,
)
from tests.judges.lotus_node import BUNDLE
from tests.judges.nodes import NoJudge
from tests.judges.random_requests import random_requests
from tests.judges.records import StaleRecord, read_record
from tests.judges.scripts import GETH, Request, Scripts, expanded

each_judge = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)


@each_judge
def test_answers_differ_from_a_judges_only_as_listed(judge: Judge) -> None:
    if judge is JUDGES["lotus"]:
        data_file(BUNDLE)
    comparison = compare_recorded(judge)
    assert not comparison.findings(), "\n".join(comparison.findings()[:20])


@each_judge
def test_each_listed_difference_has_a_decision_and_a_source(judge: Judge) -> None:
    _, known = known_differences(judge.scripts)
    assert all(entry.reason and entry.source and entry.decision in DECISIONS for entry in known)


@each_judge
def test_requests_of_all_scripts_are_expanded(judge: Judge) -> None:
    for subject in judge.scripts.subjects():
        text = json.dumps([request.params for request in judge.scripts.requests(subject)])
        assert not [each for each in ("$", "<probe", "<account", "<tx", "<word", "<head") if each in text], subject


def test_random_requests_follow_from_their_seed() -> None:
    requests_of_seed = list(random_requests(1, 300))
    assert requests_of_seed == list(random_requests(1, 300)) != list(random_requests(2, 300))
    assert "$" not in str(requests_of_seed)


@pytest.mark.parametrize(
    ("step", "each"),
    [
        (["m", "$tag", "$flag"], [["m", "a", 1], ["m", "a", 2], ["m", "b", 1], ["m", "b", 2]]),
        ({"x": ["$tag"]}, [{"x": ["a"]}, {"x": ["b"]}]),
        ({"$merge": [{"x": 1}, {"x": "$flag", "y": 0}]}, [{"x": 1, "y": 0}, {"x": 2, "y": 0}]),
        ({"$repeat": [{}, 3]}, [[{}, {}, {}]]),
    ],
    ids=["all combinations", "inside of an object", "merged objects", "repeated value"],
)
def test_values_stand_for_each_of_a_list(step: Any, each: list[Any]) -> None:
    assert list(expanded(step, {"tag": ["a", "b"], "flag": [1, 2]})) == each


@pytest.mark.parametrize(
    ("ours", "geth", "found"),
    [
        ({"result": {"a": [1, {"b": 2}]}}, {"result": {"a": [1, {"b": 3}]}}, [("result.a[].b", 2, 3)]),
        ({"result": [1]}, {"result": [1, 2]}, [("result.length", 1, 2)]),
        ({"result": {"a": 1}}, {"result": {"b": 1}}, [("result.a", 1, "(absent)"), ("result.b", "(absent)", 1)]),
        ({"result": {"size": 1}}, {"result": {"size": 2}}, []),
        ({"result": {"size": 1}}, {"result": {}}, [("result.size", 1, "(absent)")]),
        ({"result": {"0x" + "ab" * 20: 1}}, {"result": {"0x" + "ab" * 20: 2}}, [("result.0x", 1, 2)]),
        ({"error": {"code": 1}}, {"result": 2}, [("refused", {"code": 1}, 2)]),
        ({"result": 2}, {"error": {"code": 1}}, [("accepted", 2, {"code": 1})]),
        ({"result": True}, {"result": 1}, [("result", True, 1)]),
        ({"result": 0.0}, {"result": 0}, []),
    ],
    ids=str,
)
def test_responses_are_compared_field_by_field(ours: Any, geth: Any, found: list[Any]) -> None:
    assert list(compare(ours, geth, {"size"})) == found


def difference(path: str, ours: Any = 1, geth: Any = 2, method: str = "eth_call") -> Difference:
    return Difference("calls", 0, Request(method, ["latest"]), path, ours, geth)


@pytest.mark.parametrize(
    ("entry", "found", "is_covered"),
    [
        (Known("", "", 0, path="result"), difference("result"), True),
        (Known("", "", 0, path="result"), difference("result.gas"), False),
        (Known("", "", 0, method="eth_.*"), difference("result", method="debug_x"), False),
        (Known("", "", 0, params="latest"), difference("result"), True),
        (Known("", "", 0, ours="^2"), difference("result"), False),
        (Known("", "", 0), difference("refused", {"code": -32603}), False),
        (Known("", "", 0, ours="-32603"), difference("refused", {"code": -32603}), True),
        (Known("", "", 0, within=0.015), difference("result", "0x3d9", "0x3e8"), True),
        (Known("", "", 0, within=0.015), difference("result", "0x3d8", "0x3e8"), False),
        (Known("", "", 0, within=0.015), difference("result", "1016", "1000"), False),
        (Known("", "", 0, within=0.015), difference("result", 0.99, 1), True),
    ],
)
def test_listed_difference_covers_what_its_conditions_say(entry: Known, found: Difference, is_covered: bool) -> None:
    assert entry.covers(found) == is_covered


def test_new_differences_gone_ones_and_other_counts_are_found() -> None:
    known = [Known("a", "to do", 2, path="a"), Known("b", "to do", 1, path="b"), Known("c", "to do", 1, path="c")]
    comparison = beside_list([[difference("a")], [difference("c"), difference("d")], []], known)
    new, fewer, gone = comparison.findings()
    assert new.startswith("new: calls 0: eth_call")
    assert fewer.startswith("1 requests instead of 2")
    assert gone.startswith("gone, so remove it")
    assert comparison.kinds == Counter(value=2, equal=1)
    assert corrected("count = 2\ncount = 1\ncount = 1\n", comparison) == "count = 1\ncount = 1\ncount = 1\n"


def test_kind_of_a_response_is_its_strongest_difference() -> None:
    assert kind_of([]) == "equal"
    assert kind_of([difference("error.message")]) == "text"
    assert kind_of([difference("error.message"), difference("error.code")]) == "code"
    assert kind_of([difference("error.message"), difference("refused")]) == "value"


def test_record_of_a_changed_script_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripts, "digest", lambda self, subject: "of another script")
    with pytest.raises(StaleRecord, match="make judges"):
        read_record(GETH, "fees")


def test_judges_that_are_missing_are_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise NoJudge("go was not found")

    monkeypatch.setattr("tests.judges.geth_node._program", missing)
    assert main(["geth"]) == 2
    assert "geth: NOT RUN: go was not found" in capsys.readouterr().out
