"""Bookkeeping of campaigns; the campaigns themselves need forge and the targets (`make bench-fuzz`)."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Any

import pytest

from tests.soltests import fuzzing
from tests.soltests.fuzzing import Campaign, bug_of, duration, record_of, signature, state_file


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
            text = dumps(asdict(Campaign(60.0, found, 1)))
            state_file("drips", runner, seed).write_text(text, encoding="utf-8")
    record = record_of(["drips"], range(1, 3), 7200)
    assert record.findings == []
    assert record.details["found by forge with each seed, and here with none"] == ["drips: first"]
    assert record.planted_defect == {"canary": {"drips": 2}}
    assert record.details["seeds with at least forge's number of bugs"] == 0
    assert record.details["bugs, median over the seeds"] == {"drips": {"forge": 2.5, "here": 1}}
    assert record.details["bugs"]["drips"]["invariant_canary"]["here"] == {"seeds": 2, "median seconds": 6.0}
