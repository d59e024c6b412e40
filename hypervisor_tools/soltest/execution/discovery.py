"""Discovery of suites and tests, and the user's filters.

Rules: forge's. A suite is a contract with code, of the project's own sources, without constructor arguments, that has a
function whose name begins with `test`, `table`, `invariant` or `statefulFuzz`. A `test` with parameters is a fuzz test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact
from hypervisor_tools.soltest.execution.results import CaseKind, is_invariant
from hypervisor_tools.soltest.project.globs import fits

COUNTEREXAMPLES: Final = "Counterexamples.t.sol"
"""Ending of the names of files with counterexamples of symbolic tests, which are not run symbolically again."""
_LIBRARY: Final = f"73{'00' * 20}3014"
"""First bytes of a library's compiled code in hex: a comparison of its address, which deployment inserts."""


@dataclass(frozen=True, slots=True)
class TestFunction:
    """A test: its ABI entry, its signature, and whether it is expected to fail."""

    __test__ = False  # keeps pytest from collecting it

    name: str
    signature: str
    entry: Mapping[str, Any]
    kind: CaseKind
    should_fail: bool = False


class SuiteFilter(NamedTuple):
    """Filters: regular expressions for tests and contracts, globs for paths; None for no filter."""

    test: str | None = None
    no_test: str | None = None
    contract: str | None = None
    no_contract: str | None = None
    path: str | None = None
    no_path: str | None = None
    inside: str | None = None
    """A test file, or a folder of tests."""
    symbolic: Literal["", "checks", "fuzz"] = ""
    """Symbolic tests, without or with fuzz tests, instead of all others."""
    is_rerun: bool = False
    """True if `test` selects the tests that failed in the last run."""

    def check(self) -> None:
        """Raise InvalidInput for an invalid regular expression or glob."""
        for pattern in (self.test, self.no_test, self.contract, self.no_contract):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise InvalidInput(f"'{pattern}' is not a valid regular expression: {error}") from None
        for glob in (self.path, self.no_path):
            fits("", glob or "")

    def text(self) -> str:
        """Return the filters as command-line options; empty without filters."""
        options = {
            "--match-test": None if self.is_rerun else self.test, "--no-match-test": self.no_test,
            "--match-contract": self.contract, "--no-match-contract": self.no_contract,
            "--match-path": self.path, "--no-match-path": self.no_path,
        }  # fmt: skip
        return " ".join(
            [
                *([self.inside] if self.inside else []),
                *(["--rerun"] if self.is_rerun else []),
                *(f"{key} '{pattern}'" for key, pattern in options.items() if pattern),
            ]
        )

    def matches_path(self, file: str) -> bool:
        """Return True if tests in this source match the path filters."""
        if self.inside is not None and file != self.inside and not file.startswith(f"{self.inside}/"):
            return False
        return (self.path is None or fits(file, self.path)) and (self.no_path is None or not fits(file, self.no_path))

    def matches_contract(self, name: str) -> bool:
        """Return True if tests of this contract match the contract filters."""
        return _matches(name, self.contract, self.no_contract)

    def matches_test(self, signature: str) -> bool:
        """Return True if this test matches the test filters."""
        return _matches(signature, self.test, self.no_test)


def _matches(text: str, yes: str | None, no: str | None) -> bool:
    return (yes is None or re.search(yes, text) is not None) and (no is None or re.search(no, text) is None)


class Suite(NamedTuple):
    """A contract with tests."""

    file: str
    contract: str
    tests: tuple[TestFunction, ...]
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    """Seed of its inputs, instead of the job's."""


def signature(entry: Mapping[str, Any]) -> str:
    """Return a function's signature, `name(types)`, which identifies a test in forge."""
    return f"{entry['name']}({','.join(type_of(item) for item in entry.get('inputs', ()))})"


def type_of(entry: Mapping[str, Any]) -> str:
    """Return the type of a parameter as signatures spell it."""
    kind = str(entry["type"])
    if kind.startswith("tuple"):
        return f"({','.join(type_of(part) for part in entry['components'])}){kind[5:]}"
    return kind


def tests_of(artifact: ContractArtifact, symbolic: str) -> list[TestFunction]:
    """Return the test functions of a contract, sorted by signature; `symbolic` as in `SuiteFilter`."""
    found = []
    for entry in artifact.abi:
        kind = None if entry.get("type") != "function" else _kind(entry, symbolic)
        if kind is not None:
            should_fail = str(entry["name"]).startswith("testFail")
            found.append(TestFunction(str(entry["name"]), signature(entry), entry, kind, should_fail))
    return sorted(found, key=lambda test: test.signature)


def _kind(entry: Mapping[str, Any], symbolic: str) -> CaseKind | None:
    name = str(entry.get("name", ""))
    if symbolic:
        is_wanted = (
            name.startswith(("check_", "prove_"))
            or is_invariant(name)
            or (symbolic == "fuzz" and name.startswith("test") and bool(entry.get("inputs")))
        )
        return CaseKind.SYMBOLIC if is_wanted else None
    if is_invariant(name):
        return CaseKind.INVARIANT
    if name.startswith("test"):
        return CaseKind.FUZZ if entry.get("inputs") else CaseKind.UNIT
    return CaseKind.TABLE if name.startswith("table") else None


def is_reserved(entry: Mapping[str, Any]) -> bool:
    """Return True for a test, a fixture or a special function such as `setUp`."""
    name = str(entry["name"])
    if name.lower() in ("afterinvariant", "beforetestsetup") or name.startswith("fixture"):
        return True
    return _kind(entry, "") is not None or (name.lower() == "setup" and not entry.get("inputs"))


def special_functions(artifact: ContractArtifact, name: str) -> list[Mapping[str, Any]]:
    """Return the ABI entries of a contract's functions with this name, such as `setUp`, ignoring case."""
    return [
        entry
        for entry in artifact.abi
        if entry.get("type") == "function" and str(entry["name"]).lower() == name.lower()
    ]


def has_special(artifact: ContractArtifact, name: str) -> bool:
    """Return True if forge calls the contract's function `name`: it exists once, in this spelling."""
    return [entry["name"] for entry in special_functions(artifact, name)] == [name]


def suite_defect(artifact: ContractArtifact) -> tuple[str, str] | None:
    """Return the function and the reason that keep forge from running a contract's tests, or None."""
    for name in ("setUp", "afterInvariant"):
        if len(special_functions(artifact, name)) > 1:
            return f"{name}()", f"multiple {name} functions"
    return None


def suite_warnings(artifact: ContractArtifact) -> tuple[str, ...]:
    """Return forge's warnings about functions that are spelled like special ones but are not called."""
    return tuple(
        f'Found invalid {label} function "{signature(entry)}" did you mean "{name}()"?'
        for name, label in (("setUp", "setup"), ("afterInvariant", "afterInvariant"))
        for entry in special_functions(artifact, name)
        if entry["name"] != name
    )


def _ignored_results(artifact: ContractArtifact, tests: Iterable[TestFunction]) -> Iterator[str]:
    """Yield a warning, as forge 1.8, for each invariant test whose result of type `bool` has no effect."""
    names = {test.signature for test in tests if test.kind is CaseKind.INVARIANT}
    for entry in artifact.abi:
        if [item.get("type") for item in entry.get("outputs", ())] == ["bool"] and signature(entry) in names:
            yield (
                f"Invariant function `{signature(entry)}` returns `bool`, but its return value is ignored; "
                "use assertions or revert to indicate failure."
            )


def find_suites(
    artifacts: Artifacts, own: Iterable[str], wanted: SuiteFilter
) -> tuple[list[Suite], list[tuple[str, str, str]]]:
    """Return the suites that match the filter, and the unreadable artifacts: file, contract, reason."""
    mine = frozenset(own)
    suites, corrupt = [], []
    for location in artifacts.locations:
        warnings: tuple[str, ...] = ()
        if (
            location.is_foreign
            or location.file not in mine
            or not wanted.matches_path(location.file)
            or not wanted.matches_contract(location.name)
        ):
            continue
        try:
            artifact = artifacts.load(location)
            is_suite = _is_deployable(artifact) and not (wanted.symbolic and _is_excluded(artifact))
            found = tests_of(artifact, wanted.symbolic) if is_suite else []
            warnings = suite_warnings(artifact) if found else ()
        except (InvalidInput, KeyError, TypeError) as error:
            corrupt.append((location.file, location.name, str(error)))
            continue
        tests = tuple(test for test in found if wanted.matches_test(test.signature))
        if tests:
            warnings = (*warnings, *_ignored_results(artifact, tests))
            suites.append(Suite(location.file, location.name, tests, warnings))
    return suites, corrupt


def _is_deployable(artifact: ContractArtifact) -> bool:
    constructor = next((entry for entry in artifact.abi if entry.get("type") == "constructor"), {})
    return bool(artifact.creation.object) and not constructor.get("inputs")


def _is_excluded(artifact: ContractArtifact) -> bool:
    """Return True for contracts without symbolic tests: libraries, and counterexamples of earlier runs."""
    return artifact.file.endswith(COUNTEREXAMPLES) or artifact.runtime.object.startswith(_LIBRARY)
