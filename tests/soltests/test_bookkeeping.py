"""Bookkeeping of the comparisons with forge and halmos; the comparisons themselves need those programs.

They are `make bench-fuzz`, the thirty planted bugs, and the verdicts on halmos' tests.
"""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.soltests import fuzzing
from tests.soltests.bugs import __main__ as bugs
from tests.soltests.fuzzing import Campaign, bug_of, duration, record_of, signature, state_file
from tests.soltests.halmos import DIFFERENCES, Result, different

KNOWN = next(iter(DIFFERENCES))


def failed(success: bool) -> dict[str, Any]:
    """Return a failed test whose sequence ends with `transfer(address,uint256)`, and the end of its last trace."""
    traces = [["Execution", {"arena": [{"trace": {"success": end}}]}] for end in (False, success)]
    return {"counterexample": {"Sequence": [9, [{"calldata": "0xa9059cbb00"}]]}, "traces": traces}


def test_a_bug_is_the_failed_function_or_the_invariant() -> None:
    functions = ["approve(address,uint256)", "transfer(address,uint256)"]  # selector a9059cbb, as of any ERC-20
    assert bug_of("invariant_sum()", failed(success=True), functions) == "transfer"
    assert bug_of("invariant_sum()", failed(success=False), functions) == "invariant_sum"


def test_durations_of_forge_are_seconds() -> None:
    assert duration("1m 2s 345ms 6µs 7ns") == pytest.approx(62.345006007)


def test_signatures_spell_out_tuples() -> None:
    parts = [{"type": "uint8"}, {"type": "bytes"}]
    inputs = [{"type": "tuple[]", "components": parts}, {"type": "address"}]
    assert signature({"name": "f", "inputs": inputs}) == "f((uint8,bytes)[],address)"


def test_the_record_names_bugs_that_only_forge_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "FOLDER", tmp_path)
    (tmp_path / "drips").mkdir()
    for seed in (1, 2):
        forge = {"invariant_canary": 2.0 * seed, "first": 5.0, **({"second": 8.0} if seed == 1 else {})}
        here = {"invariant_canary": 4.0 * seed}
        for runner, found in (("forge", forge), ("here", here)):
            text = json.dumps(asdict(Campaign(60.0, found, 1)))
            state_file("drips", runner, seed).write_text(text, encoding="utf-8")
    record = record_of(["drips"], range(1, 3), 7200)
    assert record.findings == []
    assert record.details["found by forge with each seed, and here with none"] == ["drips: first"]
    assert record.details["seeds with at least forge's number of bugs"] == 0
    assert record.details["bugs, median over the seeds"] == {"drips": {"forge": 2.5, "here": 1}}
    assert record.details["bugs"]["drips"]["invariant_canary"]["here"] == {"seeds": 2, "median seconds": 6.0}


def test_there_are_thirty_bugs_of_both_kinds_by_turns() -> None:
    names = bugs.bugs()
    assert len(set(names)) == len(names) == 30
    assert sum(map(bugs.is_invariant, names)) == 11
    assert 3 <= sum(map(bugs.is_invariant, names[:10])) <= 5


def test_missing_forge_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bugs, "FORGE", (tmp_path / "forge",))
    monkeypatch.setattr("sys.argv", ["bugs"])
    assert bugs.main() == 2
    assert capsys.readouterr().out.startswith("NOT RUN: forge or npm's solc is missing")


def test_runs_before_the_find_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:

    def test(status: str, kind: dict[str, Any]) -> dict[str, Any]:
        return {"test_results": {"t()": {"status": status, "kind": kind}}}

    said = {
        "test/Stateful.t.sol:QueueEnd": test("Failure", {"Invariant": {"runs": 3}}),
        "test/Stateful.t.sol:PairProduct": test("Success", {"Invariant": {"runs": 50}}),
        "test/Stateless.t.sol:Flags": test("Failure", {"Fuzz": {"runs": 7}}),
        "test/Stateless.t.sol:Window": test("Success", {"Fuzz": {"runs": 1000}}),
    }
    done = subprocess.CompletedProcess([], 1, f"Compiling\n{json.dumps(said)}\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    names = ["QueueEnd", "PairProduct", "Flags", "Window"]
    found = bugs.found(["program"], names, 1, 1000)
    assert found == {"QueueEnd": 3, "PairProduct": 50, "Flags": 7, "Window": 1000}
    with pytest.raises(RuntimeError, match="ran 4 of 5 bugs"):
        bugs.found(["program"], [*names, "Percent"], 1, 1000)


@pytest.mark.parametrize(
    ("name", "halmos", "here", "is_finding"),
    [
        ("check_a", "PASS", "PASS", False),
        ("check_a", "PASS", "FAIL", True),
        ("check_a", "FAIL", "PASS", True),
        ("check_a", "PASS", "NOT DECIDED: the time limit", True),
        ("check_a", "FAIL", "NOT DECIDED: the time limit", True),
        ("check_a", "NOT DECIDED", "NOT DECIDED: the time limit", False),
        (KNOWN, "FAIL", "NOT DECIDED: an invented signature", False),
        (KNOWN, "FAIL", "PASS", True),
        (KNOWN, "PASS", "NOT DECIDED: an invented signature", True),
    ],
)
def test_another_verdict_is_a_finding_unless_it_is_known(name: str, halmos: str, here: str, is_finding: bool) -> None:
    test = ("simple", ("test/A.t.sol", "ATest", name))
    found = [*different({test: {"halmos": Result(halmos, 1.0), "here": Result(here, 1.0)}})]
    assert found == ([f"simple ATest.{name}: {halmos} by halmos, {here} here"] if is_finding else [])
