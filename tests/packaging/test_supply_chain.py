"""`make supply-chain`: findings for disallowed or unknown licences and known vulnerabilities."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import supply_chain
from tests.packaging.supply_chain import Table, licence_findings, main

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


DEFECT = {"id": "PYSEC-2026-1", "fix_versions": ["1.2", "2.0"], "aliases": [], "description": "text"}


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
        result = {"components": components} if command[0].name == "cyclonedx-py" else report
        return subprocess.CompletedProcess(command, 0, "" if result is None else json.dumps(result), "")

    monkeypatch.setattr(supply_chain, "run", answered)
    assert main() == status
    shown = capsys.readouterr().out
    assert words in shown
    assert "licences: all allowed" in shown
