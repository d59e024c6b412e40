"""`make supply-chain`: licences of all dependencies, and known vulnerabilities of their versions.

The packages are those of the test environment, which has the lock's versions. cyclonedx-py reads their licences from
the metadata; licences.toml lists the allowed ones. pip-audit finds vulnerabilities of the versions in the locks. The
exit status is 0 without findings, else 1 with a line for each. If the package index offers no advisories, the last line
says that advisories were NOT RUN.
"""

import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, run
from typing import Any, Final

from tests.packaging import PROJECT

_TOOLS: Final = PROJECT / "build" / "tools" / "audit" / "bin"
_TABLE: Final = Path(__file__).with_name("licences.toml")
_LOCKS: Final = (
    "requirements.lock",
    "requirements-audit.lock",
    "requirements-docs.lock",
    "requirements-mutation.lock",
    "requirements-release.lock",
)
_CLASSIFIER: Final = "License :: OSI Approved :: "
_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Classifiers that stand for one licence; `BSD License` stands for several."""


@dataclass(frozen=True, slots=True)
class Table:
    """Allowed licences, and licences of packages without usable metadata, as SPDX names."""

    allowed: frozenset[str]
    stated: Mapping[str, str]

    @classmethod
    def read(cls, path: Path = _TABLE) -> "Table":
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(table["allowed"]), table["stated"])


def main() -> int:
    found = [*licence_findings(_packages(), Table.read(), several_versions(PROJECT / lock for lock in _LOCKS))]
    print(f"licences: {len(found)} findings" if found else "licences: all allowed")
    reports = [_audit(lock) for lock in _LOCKS]
    asked = [report for report in reports if was_run(report)]
    advisories = [line for report in asked for line in advisory_findings(report)]
    for line in (*found, *advisories):
        print(line)
    if len(asked) < len(reports):
        print("advisories: NOT RUN, the package index here does not answer what is known of a version")
    else:
        print(f"advisories: {len(advisories)} findings" if advisories else "advisories: none for these versions")
    return 1 if found or advisories else 0


def licence_findings(packages: Iterable[Mapping[str, Any]], table: Table, elsewhere: Collection[str] = ()) -> list[str]:
    """Return a line for each package (a CycloneDX component) whose licence is not allowed or unknown.

    A table row that no package needs is a finding, too, unless its package has another version for another Python
    (`elsewhere`).
    """
    found, needed = [], set()
    for package in packages:
        name, names = package["name"], licences(package)
        if not names:
            needed.add(name)
            if name not in table.stated:
                found.append(
                    f"{name}: its metadata name no licence; read its licence file and add a row to {_TABLE.name}"
                )
                continue
            names = {table.stated[name]}
        found += [f"{name}: {one} is not among the allowed licences" for one in sorted(names) if not _fits(one, table)]
    unneeded = sorted({*table.stated} - needed - {*elsewhere})
    return found + [f"{name}: no package needs this row of {_TABLE.name}" for name in unneeded]


def several_versions(locks: Iterable[Path]) -> set[str]:
    """Return the packages that a lock pins to more than one version, each for some of the supported Pythons."""
    found: set[str] = set()
    for lock in locks:
        pinned = Counter(re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==", lock.read_text(encoding="utf-8"), re.MULTILINE))
        found |= {name for name, versions in pinned.items() if versions > 1}
    return found


def licences(package: Mapping[str, Any]) -> set[str]:
    """Return the SPDX names or expressions of a package's metadata; empty if it only names a family."""
    found = set()
    for entry in package.get("licenses", ()):
        named = entry.get("license", {})
        spdx = entry.get("expression") or named.get("id") or _CLASSIFIERS.get(named["name"].removeprefix(_CLASSIFIER))
        if spdx is not None:
            found.add(spdx)
    return found


def _fits(expression: str, table: Table) -> bool:
    """Return True if an SPDX expression is allowed: one side of each OR, all of an AND."""
    sides = re.sub(r"[()]", " ", expression)
    return all(
        any(" ".join(choice.split()) in table.allowed for choice in part.split(" OR ")) for part in sides.split(" AND ")
    )


def was_run(report: Mapping[str, Any]) -> bool:
    """Return True if pip-audit's report has a result for any package."""
    return any("skip_reason" not in package for package in report["dependencies"])


def advisory_findings(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each vulnerability in a report of pip-audit, with the fixed versions."""
    return [
        f"{package['name']} {package['version']}: {defect['id']}, mended in "
        f"{' or '.join(defect['fix_versions']) or 'no version yet'}"
        for package in report["dependencies"]
        for defect in package.get("vulns", ())
    ]


def _packages() -> Sequence[Mapping[str, Any]]:
    command: list[str | Path] = [_TOOLS / "cyclonedx-py", "environment", "--output-reproducible", sys.executable]
    bill: dict[str, Any] = json.loads(run(command, stdout=PIPE, check=True).stdout)
    return [package for package in bill["components"] if package["name"] != "fvm-hypervisor"]


def _audit(lock: str) -> dict[str, Any]:
    """Return pip-audit's report of a lock, or one without packages if it failed, after printing its reason."""
    command: list[str | Path] = [
        _TOOLS / "pip-audit",
        "--requirement",
        PROJECT / lock,
        "--disable-pip",
        "--format=json",
    ]
    done = run(command, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        print("".join(done.stderr.splitlines(keepends=True)[-1:]).rstrip())
        return {"dependencies": []}
    return report


if __name__ == "__main__":
    sys.exit(main())
