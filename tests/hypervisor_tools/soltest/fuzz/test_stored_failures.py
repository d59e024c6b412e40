"""Failures stored by forge 1.7.1 are replayed, and damaged files are named."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.fuzz.stored_failures import failed_names, load_failing_input, load_failing_sequence
from hypervisor_tools.soltest.project.project import FuzzSettings, InvariantSettings, Project
from tests.hypervisor_tools.soltest.contracts import artifact, counting_suite

Run = Callable[..., dict[str, dict[str, TestResult]]]

OF_A_FUZZ_TEST = (
    '{"warp":null,"roll":null,"sender":null,"addr":null,"calldata":"0xb39e4d030000000000000000000000000000000000000'
    '000000000000000002ab6a0e2bb","contract_name":null,"func_name":null,"signature":null,"args":"183452623547 [1.83'
    '4e11]","raw_args":"183452623547"}'
)
"""A file written by forge."""


def kept(root: Path, place: str, content: str) -> None:
    file = root / "cache" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def step(calldata: str, contract: str) -> dict[str, object]:
    """Return a call in forge's format."""
    return {
        "warp": None, "roll": None, "sender": "0x469dcfe3e9267e3cbcb9540b07b5ffb637f7cbe2", "addr": contract,
        "calldata": calldata, "contract_name": "test/T.t.sol:Counter", "func_name": "up", "signature": "up()",
        "args": "", "raw_args": "",
    }  # fmt: skip


def test_stored_forge_failure_input_is_read(tmp_path: Path) -> None:
    kept(tmp_path, "fuzz/failures/CounterTest/testFuzz_broken", OF_A_FUZZ_TEST)
    found = load_failing_input(Project(tmp_path), "CounterTest", "testFuzz_broken(uint64)")
    assert found == bytes.fromhex("b39e4d03") + (183452623547).to_bytes(32, "big")
    assert load_failing_input(Project(tmp_path), "CounterTest", "testFuzz_other(uint64)") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"calldata": 5}', '{"calldata": "0xzz"}', "[" * 100_000, OF_A_FUZZ_TEST[:90], "\x00\x1f"],
)
def test_damaged_stored_failure_is_named(tmp_path: Path, content: str) -> None:
    kept(tmp_path, "fuzz/failures/A/testA", content)
    kept(tmp_path, "invariant/failures/A/invariantA", content)
    fuzz, invariant = (
        tmp_path / "cache" / name for name in ("fuzz/failures/A/testA", "invariant/failures/A/invariantA")
    )
    with pytest.raises(InvalidInput, match=rf"{re.escape(str(fuzz))} cannot be used: .*; repair or remove it$"):
        load_failing_input(Project(tmp_path), "A", "testA(uint256)")
    with pytest.raises(InvalidInput, match=rf"{re.escape(str(invariant))} cannot be used: .*; repair or remove it$"):
        load_failing_sequence(Project(tmp_path), "A", "invariantA()")


def test_results_name_a_damaged_stored_failure(run_contracts: Run, tmp_path: Path) -> None:
    kept(tmp_path, "fuzz/failures/Suite/testFuzz", "{")
    kept(tmp_path, "invariant/failures/Suite/invariantFew", "{")
    project = Project(tmp_path, fuzz=FuzzSettings(runs=2), invariant=InvariantSettings(runs=1, depth=2))
    suite = artifact({"testFuzz(uint256)": ["00"], "invariantFew()": ["00"], "up()": ["00"]})
    found = run_contracts({"Suite": suite}, project=project)["Suite"]
    files = {
        "testFuzz(uint256)": "fuzz/failures/Suite/testFuzz",
        "invariantFew()": "invariant/failures/Suite/invariantFew",
    }
    for name, file in files.items():
        path = tmp_path / "cache" / file
        assert found[name].notices == (
            f"the stored failure {path} cannot be used: it is not valid JSON; repair or remove it",
        )


def test_a_name_leads_to_no_other_folder(tmp_path: Path) -> None:
    kept(tmp_path, "fuzz/testA", OF_A_FUZZ_TEST)
    assert load_failing_input(Project(tmp_path), "A", "../../testA(uint256)") is None


def test_names_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert failed_names(Project(tmp_path)) is None
    (tmp_path / "cache" / "test-failures").mkdir(parents=True)
    assert failed_names(Project(tmp_path)) is None


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_stored_failing_sequence_is_reused_without_search(run_contracts: Run, tmp_path: Path, evm: str) -> None:
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    suite = counting_suite(counter, "60035f5110")  # count() is less than 3
    first = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"]
    where = first.counterexample[0].address
    up = f"0x{selector('up()').hex()}"
    project = Project(tmp_path, invariant=InvariantSettings(runs=4, depth=20))

    def again(*steps: dict[str, object]) -> TestResult:
        kept(tmp_path, "invariant/failures/Suite/invariantFew", json.dumps({"call_sequence": steps}))
        found = run_contracts({"Suite": suite, "Counter": counter}, project=project, evm=evm)
        return found["Suite"]["invariantFew()"]

    found = again(*[step(up, where)] * 5)
    assert (found.status, found.is_replayed) == (CaseStatus.FAILURE, True)
    assert (found.runs, found.calls, found.reverts, found.metrics) == (1, 1, 1, ())
    assert [call.sender for call in found.counterexample] == ["0x469DCFE3e9267E3CBcB9540B07B5Ffb637F7CbE2"] * 3
    for steps in ([step(up, where)] * 2, [step(up, f"0x{7:040x}")] * 3, [step("0x01020304", where)] * 3):
        found = again(*steps)  # it no longer fails, or is of other contracts: searched again
        assert (found.status, found.is_replayed) == (CaseStatus.FAILURE, False)


def test_an_invariants_calls_are_counted_by_function(run_contracts: Run) -> None:
    """Forge counts a call with a failed assumption as a call and a rejection, not as a revert."""
    counter = artifact({
        "up()": ["5f546001015f5500"],
        "no()": ["5f5ffd"],
        "count()": ["5f545f5260205ff3"],
    })  # fmt: skip
    suite = counting_suite(counter, "61ffff5f5110")
    test = run_contracts({"Suite": suite, "Counter": counter})["Suite"]["invariantFew()"]
    rows = {row.function: row for row in test.metrics}
    assert sum(row.calls for row in test.metrics) == test.calls == 80
    assert (rows["no"].reverts, rows["no"].discards) == (rows["no"].calls, 0)
    assert rows["up"].reverts == rows["up"].discards == 0
    assert test.reverts == rows["no"].reverts > 0
