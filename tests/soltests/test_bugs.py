"""The planted bugs are thirty, and what looks for them says where it cannot run, and counts as both programs do."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.soltests.bugs import __main__ as bugs


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
