"""Tests under Amsterdam's rules: slot numbers (EIP-7843) and state gas (EIP-8037).

Sources: the EIPs and go-ethereum 1.17.10; getfoundry.sh/reference/cheatcodes/roll-slot.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import SuiteResult, TestResult
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from hypervisor_tools.soltest.report.collecting import merge
from hypervisor_tools.soltest.report.gas import gas_json, gas_lines
from tests.hypervisor_tools.soltest.contracts import call_of_cheatcode

Run = Callable[..., dict[str, dict[str, TestResult]]]
LAST = 2**64 - 1
EXPECT_LAST = [f"67{LAST:016x}", "14", "@good", "57", "5f5ffd", "good:", "00"]
GET = [f"63{selector('getSlotNumber()').hex()}60e01b5f52", f"60205f60045f5f73{VM_ADDRESS.hex()}5af1", "@got", "57",
       "3d5f5f3e3d5ffd", "got:", "5f51"]  # fmt: skip
SLOTS = {
    "test_opcode()": [*call_of_cheatcode("rollSlot(uint64)", LAST), "4b", *EXPECT_LAST],
    "test_getter()": [*call_of_cheatcode("rollSlot(uint64)", LAST), *GET, *EXPECT_LAST],
    "test_begins_at_zero()": ["4b", "@bad", "57", "00", "bad:", "5f5ffd"],
}


def project(folder: Path, version: str) -> Project:
    return Project(folder, compiler=CompilerSettings(evm_version=version))


@pytest.mark.parametrize("evm", ["fast", "py-evm"])
def test_rolled_slot_is_seen_by_code_and_cheatcode(run_contracts: Run, tmp_path: Path, evm: str) -> None:
    found = run_contracts({"Suite": SLOTS}, project=project(tmp_path, "amsterdam"), evm=evm)["Suite"]
    assert {test: result.reason for test, result in found.items()} == dict.fromkeys(SLOTS)


@pytest.mark.parametrize("cheatcode", ["rollSlot(uint64)", "getSlotNumber()"])
def test_slots_need_amsterdam(run_contracts: Run, tmp_path: Path, cheatcode: str) -> None:
    call = call_of_cheatcode(cheatcode, 7) if "uint64" in cheatcode else GET
    name = cheatcode.partition("(")[0]
    for rules, reason in (("ethereum", f"`{name}` is not supported before the Amsterdam hard fork; see EIP-7843"),
                          ("filecoin", "Filecoin's rules have no slot numbers")):  # fmt: skip
        suite = {"Suite": {"test_slot()": [*call, "00"]}}
        found = run_contracts(suite, project=project(tmp_path, "osaka"), rules=rules, evm="fast")["Suite"]
        assert (found["test_slot()"].reason or "").startswith(f"vm.{name}: {reason}")


@pytest.mark.parametrize("version", ["amsterdam", "cancun"])
def test_rules_do_not_change_within_a_test(run_contracts: Run, tmp_path: Path, version: str) -> None:
    suite = {"Suite": {"test_set()": [*call_of_cheatcode("setEvmVersion(string)", version), "00"]}}
    found = run_contracts(suite, project=project(tmp_path, "osaka"), evm="fast")["Suite"]
    assert "set evm_version in foundry.toml" in (found["test_set()"].reason or "")


STATE_OF_SLOT = 64 * 1_530
"""EIP-8037: bytes of a new slot, and the price of a byte."""
INNER = f"63{selector('inner()').hex()}5f52" + "5f5f6004601c5f305af150"
WRITES = {
    "test_keeps()": [INNER, "00"],
    "test_reverts()": [INNER, "5f5ffd"],
    "inner()": ["60015f55", "00"],
}


def test_traces_and_gas_reports_have_the_state_gas_of_calls(run_contracts: Run, tmp_path: Path) -> None:
    for version, state in (("amsterdam", STATE_OF_SLOT), ("osaka", 0)):
        suites: list[SuiteResult] = []
        how = {"project": project(tmp_path, version), "evm": "fast", "suites_found": suites}
        traced = run_contracts({"Suite": WRITES}, verbosity=5, **how)["Suite"]
        kept = traced["test_keeps()"].trace
        assert kept.count(f", state {state}] ") == (2 if state else 0)  # the test and its call
        assert traced["test_reverts()"].trace.count(f", state {state}] ") == (1 if state else 0)
        suites.clear()
        run_contracts({"Suite": WRITES}, report="gas", **how)
        (use,) = merge(part for suite in suites for part in suite.collected).gas.values()
        assert use.state.get("inner()", 0) == 2 * state
        report = {"Suite": replace(use, functions={"inner()": use.functions["inner()"]})}
        (found,) = gas_json(report)
        assert found["functions"]["inner()"].get("state", 0) == state
        assert any("Avg State" in line for line in gas_lines(report)) == bool(state)
