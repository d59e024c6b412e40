"""Which contracts are suites, which of their functions are tests, and which of those the user wants to run.

Rules: forge's. A suite is a contract with code, of the project's own sources, without constructor arguments, that has a
function whose name begins with `test`, `table`, `invariant` or `statefulFuzz`. A `test` with parameters is a fuzz test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from fvm_hypervisor.soltest.artifact import Artifacts, ContractArtifact
from fvm_hypervisor.soltest.results import CaseKind
from hypervisor.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TestFunction:
    """A test: its ABI entry, its signature, and whether it has to fail."""

    __test__ = False  # for pytest, which takes the name for one of its own

    name: str
    signature: str
    entry: Mapping[str, Any]
    kind: CaseKind
    should_fail: bool = False


@dataclass(frozen=True, slots=True)
class SuiteFilter:
    """Regular expressions of tests and contracts, globs of paths; None where there is none."""

    test: str | None = None
    no_test: str | None = None
    contract: str | None = None
    no_contract: str | None = None
    path: str | None = None
    no_path: str | None = None
    inside: str | None = None
    """A file, or a folder of tests."""

    def check(self) -> None:
        """Raise InvalidInput for what is no regular expression."""
        for pattern in (self.test, self.no_test, self.contract, self.no_contract):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise InvalidInput(f"'{pattern}' is not a valid regular expression: {error}") from None

    def text(self) -> str:
        """As the command line has it; empty where everything is wanted."""
        options = {
            "--match-test": self.test, "--no-match-test": self.no_test,
            "--match-contract": self.contract, "--no-match-contract": self.no_contract,
            "--match-path": self.path, "--no-match-path": self.no_path,
        }  # fmt: skip
        return " ".join(
            [
                *([self.inside] if self.inside else []),
                *(f"{key} '{pattern}'" for key, pattern in options.items() if pattern),
            ]
        )

    def takes_path(self, file: str) -> bool:
        """Whether tests in this source are wanted."""
        if self.inside is not None and file != self.inside and not file.startswith(f"{self.inside}/"):
            return False
        return (self.path is None or _fits(file, self.path)) and (self.no_path is None or not _fits(file, self.no_path))

    def takes_contract(self, name: str) -> bool:
        """Whether tests of this contract are wanted."""
        return _wanted(name, self.contract, self.no_contract)

    def takes_test(self, signature: str) -> bool:
        """Whether this test is wanted."""
        return _wanted(signature, self.test, self.no_test)


def _wanted(text: str, yes: str | None, no: str | None) -> bool:
    return (yes is None or re.search(yes, text) is not None) and (no is None or re.search(no, text) is None)


def _fits(file: str, glob: str) -> bool:
    pattern = glob.removeprefix("./")
    return fnmatch(file, pattern) or fnmatch(file, f"*/{pattern}")


@dataclass(frozen=True, slots=True)
class Suite:
    """A contract with tests."""

    file: str
    contract: str
    tests: tuple[TestFunction, ...]
    warnings: tuple[str, ...] = ()


def signature(entry: Mapping[str, Any]) -> str:
    """`name(types)`, by which forge knows a test."""
    return f"{entry['name']}({','.join(type_of(item) for item in entry.get('inputs', ()))})"


def type_of(entry: Mapping[str, Any]) -> str:
    """The type of a parameter in the form that signatures have."""
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        return f"({','.join(type_of(part) for part in entry['components'])}){kind[5:]}"
    return kind


def tests_of(artifact: ContractArtifact) -> list[TestFunction]:
    """The test functions of a contract, by their signatures."""
    found = []
    for entry in artifact.abi:
        kind = None if entry.get("type") != "function" else _kind(entry)
        if kind is not None:
            should_fail = str(entry["name"]).startswith("testFail")
            found.append(TestFunction(str(entry["name"]), signature(entry), entry, kind, should_fail))
    return sorted(found, key=lambda test: test.signature)


def _kind(entry: Mapping[str, Any]) -> CaseKind | None:
    name = str(entry.get("name", ""))
    if name.startswith(("invariant", "statefulFuzz")):
        return CaseKind.INVARIANT
    if name.startswith("test"):
        return CaseKind.FUZZ if entry.get("inputs") else CaseKind.UNIT
    return CaseKind.TABLE if name.startswith("table") else None


def special_functions(artifact: ContractArtifact, name: str) -> list[Mapping[str, Any]]:
    """Return the ABI entries of a contract's functions of a name, such as `setUp`, in any case of its letters."""
    return [
        entry
        for entry in artifact.abi
        if entry.get("type") == "function" and str(entry["name"]).lower() == name.lower()
    ]


def has_special(artifact: ContractArtifact, name: str) -> bool:
    """Return whether forge calls the contract's function of a name: there is one, and in this spelling."""
    return [entry["name"] for entry in special_functions(artifact, name)] == [name]


def suite_defect(artifact: ContractArtifact) -> tuple[str, str] | None:
    """Return the function and the reason for which forge runs none of a contract's tests; None if it runs them."""
    for name in ("setUp", "afterInvariant"):
        if len(special_functions(artifact, name)) > 1:
            return f"{name}()", f"multiple {name} functions"
    return None


def suite_warnings(artifact: ContractArtifact) -> tuple[str, ...]:
    """Return forge's warnings about a contract's functions that look like special ones and are not called."""
    return tuple(
        f'Found invalid {words} function "{signature(entry)}" did you mean "{name}()"?'
        for name, words in (("setUp", "setup"), ("afterInvariant", "afterInvariant"))
        for entry in special_functions(artifact, name)
        if entry["name"] != name
    )


def find_suites(
    artifacts: Artifacts, own: Iterable[str], wanted: SuiteFilter
) -> tuple[list[Suite], list[tuple[str, str, str]]]:
    """The suites that the user wants, and the artifacts that cannot be read: file, contract, reason."""
    mine = frozenset(own)
    suites, corrupt = [], []
    for place in artifacts.places:
        warnings: tuple[str, ...] = ()
        if place.file not in mine or not wanted.takes_path(place.file) or not wanted.takes_contract(place.name):
            continue
        try:
            artifact = artifacts.load(place)
            found = tests_of(artifact) if _can_be_made(artifact) else []
            warnings = suite_warnings(artifact) if found else ()
        except (InvalidInput, KeyError, TypeError) as error:
            corrupt.append((place.file, place.name, str(error)))
            continue
        tests = tuple(test for test in found if wanted.takes_test(test.signature))
        if tests:
            suites.append(Suite(place.file, place.name, tests, warnings))
    return suites, corrupt


def _can_be_made(artifact: ContractArtifact) -> bool:
    constructor = next((entry for entry in artifact.abi if entry.get("type") == "constructor"), {})
    return bool(artifact.creation.object) and not constructor.get("inputs")
