"""`make supply-chain`: a licence that is not allowed or not known, and a known defect, are findings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import supply_chain
from tests.packaging.supply_chain import Table, advisory_findings, licence_findings, main, several_versions, was_run

TABLE = Table(frozenset({"MIT", "Apache-2.0", "BSD-3-Clause"}), {"silent": "MIT"})
SILENT: dict[str, Any] = {"name": "silent"}


def package(*licences: dict[str, Any]) -> dict[str, Any]:
    return {"name": "one", "licenses": list(licences)}


def named(name: str) -> dict[str, Any]:
    return {"license": {"name": name}}


@pytest.mark.parametrize(
    "licence",
    [
        {"license": {"id": "MIT"}},
        {"expression": "MIT OR GPL-3.0-only"},
        {"expression": "(Apache-2.0 OR GPL-2.0-only) AND MIT"},
        named("License :: OSI Approved :: Apache Software License"),
    ],
)
def test_allowed_licence_yields_no_finding(licence: dict[str, Any]) -> None:
    assert licence_findings([package(licence), SILENT], TABLE) == []


@pytest.mark.parametrize(
    ("licence", "shown"),
    [
        ({"license": {"id": "GPL-3.0-only"}}, "GPL-3.0-only"),
        ({"expression": "MIT AND AGPL-3.0-only"}, "MIT AND AGPL-3.0-only"),
        (named("License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"), "MPL-2.0"),
    ],
)
def test_another_licence_is_a_finding(licence: dict[str, Any], shown: str) -> None:
    assert licence_findings([package(licence), SILENT], TABLE) == [f"one: {shown} is not among the allowed licences"]


def test_all_licences_of_a_package_count() -> None:
    both = package({"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}})
    assert licence_findings([both, SILENT], TABLE) == ["one: GPL-3.0-only is not among the allowed licences"]


@pytest.mark.parametrize("licences", [[], [named("License :: OSI Approved :: BSD License")]])
def test_a_package_that_does_not_say_needs_a_row(licences: list[dict[str, Any]]) -> None:
    (found,) = licence_findings([package(*licences), SILENT], TABLE)
    assert found.startswith("one: its metadata name no licence")


def test_a_row_that_no_package_needs_is_a_finding() -> None:
    (found,) = licence_findings([], TABLE)
    assert found.startswith("silent: no package needs this row")


def test_a_row_may_be_needed_on_another_python_alone(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("silent==1.0 ; python_full_version < '3.12'\nsilent==1.1 ; python_full_version >= '3.12'\none==2\n")
    assert several_versions([lock]) == {"silent"}
    assert licence_findings([], TABLE, several_versions([lock])) == []


def test_rows_are_of_allowed_licences() -> None:
    table = Table.read()
    assert {*table.stated.values()} <= table.allowed


DEFECT = {"id": "PYSEC-2026-1", "fix_versions": ["1.2", "2.0"], "aliases": [], "description": "text"}
SKIPPED = {"name": "one", "skip_reason": "not found"}


def test_known_vulnerability_is_reported_with_fix_versions() -> None:
    known = {"name": "one", "version": "1.0", "vulns": [DEFECT, {**DEFECT, "id": "X", "fix_versions": []}]}
    report = {"dependencies": [known, {"name": "two", "version": "1", "vulns": []}, SKIPPED]}
    assert was_run(report)
    assert advisory_findings(report) == [
        "one 1.0: PYSEC-2026-1, mended in 1.2 or 2.0",
        "one 1.0: X, mended in no version yet",
    ]


@pytest.mark.parametrize("report", [{"dependencies": []}, {"dependencies": [SKIPPED]}])
def test_audit_without_any_checked_package_does_not_count(report: dict[str, Any]) -> None:
    assert not was_run(report)


ANSWERS = {
    "known": ({"dependencies": [{"name": "one", "version": "1.0", "vulns": [DEFECT]}]}, 1, "one 1.0: PYSEC-2026-1"),
    "none": ({"dependencies": [{"name": "one", "version": "1.0", "vulns": []}]}, 0, "advisories: none"),
    "unreachable": (None, 0, "advisories: NOT RUN"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_supply_chain_command_reports_findings(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report, status, words = ANSWERS[case]
    components = [{"name": name} for name in Table.read().stated]

    def answered(command: list[Path], **_: Any) -> subprocess.CompletedProcess[str]:
        answer = {"components": components} if command[0].name == "cyclonedx-py" else report
        return subprocess.CompletedProcess(command, 0, "" if answer is None else json.dumps(answer), "")

    monkeypatch.setattr(supply_chain, "run", answered)
    assert main() == status
    shown = capsys.readouterr().out
    assert words in shown
    assert "licences: all allowed" in shown
