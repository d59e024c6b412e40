"""Discovery of suites and tests, filters, and inline settings, compared with forge."""

import json
from pathlib import Path

import pytest

from fvm_hypervisor.soltest import discovery
from fvm_hypervisor.soltest.artifact import ArtifactLocation, Artifacts
from fvm_hypervisor.soltest.discovery import SuiteFilter, find_suites
from fvm_hypervisor.soltest.inline import inline_settings, with_settings
from fvm_hypervisor.soltest.project import Project
from fvm_hypervisor.soltest.results import CaseKind
from hypervisor.errors import InvalidInput
from tests.fvm_hypervisor.soltest.contracts import PASS, artifact, write

FUNCTIONS = ["setUp()", "testOne()", "test_Two()", "testFailThree()", "testFuzz(uint256,address)", "invariant_four()"]


def artifacts(folder: Path, files: dict[str, str]) -> Artifacts:
    write(folder, {name: artifact(dict.fromkeys(FUNCTIONS, PASS)) for name in files})
    return Artifacts(
        folder, [ArtifactLocation(file, name, folder / f"{name}.json") for name, file in files.items()], {}
    )


def test_solidity_case_kind_follows_name_and_parameters(tmp_path: Path) -> None:
    (suite,) = find_suites(artifacts(tmp_path, {"A": "test/A.t.sol"}), ["test/A.t.sol"], SuiteFilter())[0]
    assert {test.signature: (test.kind, test.should_fail) for test in suite.tests} == {
        "testOne()": (CaseKind.UNIT, False),
        "test_Two()": (CaseKind.UNIT, False),
        "testFailThree()": (CaseKind.UNIT, True),
        "testFuzz(uint256,address)": (CaseKind.FUZZ, False),
        "invariant_four()": (CaseKind.INVARIANT, False),
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (SuiteFilter(contract="^A"), {"A", "Ab"}),
        (SuiteFilter(contract="A", no_contract="b$"), {"A"}),
        (SuiteFilter(path="test/deep/*"), {"Ab"}),
        (SuiteFilter(no_path="*deep*"), {"A", "C"}),
        (SuiteFilter(inside="test/deep"), {"Ab"}),
        (SuiteFilter(inside="test/A.t.sol"), {"A"}),
        (SuiteFilter(test="Nothing"), set()),
        (SuiteFilter(test="One", no_test="test"), set()),
    ],
)
def test_suite_filters_match_forge(tmp_path: Path, wanted: SuiteFilter, found: set[str]) -> None:
    files = {"A": "test/A.t.sol", "Ab": "test/deep/A.t.sol", "C": "test/C.t.sol", "Lib": "lib/x/L.t.sol"}
    own = [file for file in files.values() if file.startswith("test/")]
    assert {suite.contract for suite in find_suites(artifacts(tmp_path, files), own, wanted)[0]} == found


def test_symbolic_tests_are_checks_of_contracts_outside_written_files(tmp_path: Path) -> None:
    functions = ["check_a()", "prove_b(uint256)", "checkRole(uint256)", "proven()", "test_c(uint256)", "test_d()"]
    made = artifact(dict.fromkeys(functions, PASS))
    library = {**made, "deployedBytecode": {"object": f"0x73{'00' * 20}30146080604052"}}
    write(tmp_path, {"A": made, "ACounterexamples": made, "Lib": library})
    files = {"A": "src/A.sol", "ACounterexamples": "test/found/src/A.ACounterexamples.t.sol", "Lib": "src/Lib.sol"}
    places = [ArtifactLocation(file, name, tmp_path / f"{name}.json") for name, file in files.items()]
    found = {
        wanted: [
            (suite.contract, {test.name for test in suite.tests})
            for suite in find_suites(Artifacts(tmp_path, places, {}), files.values(), SuiteFilter(symbolic=wanted))[0]
        ]
        for wanted in ("checks", "fuzz")
    }
    assert found == {"checks": [("A", {"check_a", "prove_b"})], "fuzz": [("A", {"check_a", "prove_b", "test_c"})]}


def test_invalid_regular_expression_is_rejected() -> None:
    with pytest.raises(InvalidInput, match=r"'\(' is not a valid regular expression"):
        SuiteFilter(test="(").check()


@pytest.mark.parametrize(
    "content",
    [b"not json", b"[]", b"{}", b'{"abi": 7}', b'{"abi": [7]}', b'{"abi": [], "bytecode": {"object": "0xzz"}}'],
)
def test_a_corrupt_artifact_is_named_and_the_others_are_found(tmp_path: Path, content: bytes) -> None:
    found = artifacts(tmp_path, {"A": "test/A.t.sol", "B": "test/B.t.sol"})
    (tmp_path / "A.json").write_bytes(content)
    suites, corrupt = find_suites(found, ["test/A.t.sol", "test/B.t.sol"], SuiteFilter())
    assert [suite.contract for suite in suites] == ["B"]
    ((file, contract, reason),) = corrupt
    assert (file, contract) == ("test/A.t.sol", "A")
    assert "corrupt" in reason


def test_find_accepts_get_code_artifact_names(tmp_path: Path) -> None:
    found = artifacts(tmp_path, {"A": "src/A.sol", "B": "src/deep/A.sol"})
    for words in ("A", "A.sol:A", "src/A.sol:A", "A.sol", "out/A.sol/A.json"):
        named = found.find(words)
        assert named is not None
        assert named.name == "A"
    assert found.find("Nobody") is None


def test_tests_of_a_contract_are_read_from_its_interface_alone(tmp_path: Path) -> None:
    content = artifact({"testA()": PASS})
    (tmp_path / "A.json").write_text(json.dumps(content), encoding="utf-8")
    found = Artifacts(tmp_path, [ArtifactLocation("A.sol", "A", tmp_path / "A.json")], {}).get("A.sol", "A")
    assert [test.name for test in discovery.tests_of(found, "")] == ["testA"]


COMMENTS = """
/// forge-config: default.fuzz.runs = 7
contract First {
    /// Something.
    /// forge-config: default.fuzz.runs = 3
    /// forge-config: fast.fuzz.runs = 99
    function testFuzz_A(uint256 x) public {}

    /**
     * forge-config: default.invariant.depth = 5
     * forge-config: default.invariant.fail-on-revert = true
     */
    function invariant_b() public {}
}

contract Second {
    /// forge-config: default.fuzz.runs = 1
    function testFuzz_A(uint256 x) public {}
}
"""


def test_inline_comments_configure_named_tests() -> None:
    project = Project(Path())
    first, second = inline_settings(COMMENTS, "First"), inline_settings(COMMENTS, "Second")
    assert with_settings(project, first, "testFuzz_A")[0].runs == 3
    assert with_settings(project, first, "testFuzz_Other")[0].runs == 7
    assert with_settings(project, second, "testFuzz_A")[0].runs == 1
    assert with_settings(project, second, "testFuzz_Other")[0].runs == 256
    invariant = with_settings(project, first, "invariant_b")[1]
    assert (invariant.depth, invariant.fail_on_revert) == (5, True)


def test_a_comment_with_no_number_is_refused() -> None:
    text = "contract A {\n    /// forge-config: default.fuzz.runs = many\n    function testB(uint256 x) public {}\n}"
    with pytest.raises(InvalidInput, match="'many', expected a number"):
        with_settings(Project(Path()), inline_settings(text, "A"), "testB")
