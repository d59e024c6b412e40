"""Files under `snapshots/` equal forge's byte for byte, and differences are reported in its words."""

from pathlib import Path

import pytest

from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.project.project import load_project
from fvm_hypervisor.soltest.report.gas import differences, measurements, write
from hypervisor.errors import InvalidInput

# forge 1.7.1 for the values of testValues of cheatcodes/contracts/Metering.t.sol
FORGES = """{
  "a": "115792089237316195423570985008687907853269984665640564039457584007913129639935",
  "b": "13"
}"""


def suites(**values: int) -> list[SuiteResult]:
    found = tuple(("MeteringTest", name, value) for name, value in values.items())
    test = TestResult("testValues()", CaseKind.UNIT, CaseStatus.SUCCESS, measured=(*found, ("group", "c", 0)))
    return [SuiteResult("test/Metering.t.sol", "MeteringTest", [test])]


def test_a_group_is_a_file_as_forge_writes_it(tmp_path: Path) -> None:
    write(measurements(suites(b=13, a=2**256 - 1)), tmp_path / "snapshots")
    assert (tmp_path / "snapshots" / "MeteringTest.json").read_text(encoding="utf-8") == FORGES
    assert (tmp_path / "snapshots" / "group.json").read_text(encoding="utf-8") == '{\n  "c": "0"\n}'


def test_no_measurement_creates_no_folder(tmp_path: Path) -> None:
    write(measurements([]), tmp_path / "snapshots")
    assert not (tmp_path / "snapshots").exists()


def test_differing_values_are_reported_and_new_ones_are_not(tmp_path: Path) -> None:
    write(measurements(suites(b=14, first=1)), tmp_path)
    found = list(differences(measurements(suites(b=13, first=27278, new=1)), tmp_path))
    assert found == [
        "\n[MeteringTest] Failed to match snapshots:",
        "- [b] 14 → 13",
        "- [first] 1 → 27278",
    ]
    assert list(differences(measurements(suites(b=14)), tmp_path)) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"b": 1}'])
def test_a_file_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "MeteringTest.json").write_text(content)
    with pytest.raises(InvalidInput, match="gas snapshots of"):
        list(differences(measurements(suites(b=14)), tmp_path))


def test_foundry_toml_and_forges_variables_switch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foundry.toml").write_text('[profile.default]\ngas_snapshot_check = true\nsnapshots = "gas"')
    found = load_project(tmp_path)
    assert (found.snapshots, found.gas_snapshot_check, found.gas_snapshot_emit) == ("gas", True, True)
    monkeypatch.setenv("FORGE_SNAPSHOT_EMIT", "false")
    monkeypatch.setenv("FORGE_SNAPSHOT_CHECK", "false")
    found = load_project(tmp_path)
    assert (found.gas_snapshot_check, found.gas_snapshot_emit) == (False, False)
    monkeypatch.setenv("FORGE_SNAPSHOT_CHECK", "perhaps")
    with pytest.raises(InvalidInput, match="FORGE_SNAPSHOT_CHECK is 'perhaps', expected true or false"):
        load_project(tmp_path)
