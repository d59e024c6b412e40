"""Discovery of suites and tests, filters, and inline settings, compared with forge."""

import json
import re
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution import discovery
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.inline import configured, inline_settings
from hypervisor_tools.soltest.execution.results import CaseKind
from hypervisor_tools.soltest.project.globs import fits, in_project
from hypervisor_tools.soltest.project.project import CompilerSettings, FuzzSettings, InvariantSettings, Project
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, write
from tests.patience import slowness

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
        (SuiteFilter(path="./test/{deep/A,C}.t.sol"), {"Ab", "C"}),
        (SuiteFilter(path="deep/*"), set()),
        (SuiteFilter(path="C.t"), {"C"}),
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


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("test/[{]*", {"test/{1}.t.sol"}),
        (r"test/\{1\}.t.sol", {"test/{1}.t.sol"}),
        ("test/[R,S].t.sol", {"test/R.t.sol", "test/S.t.sol"}),
        ("test/[!R{]*", {"test/S.t.sol", "test/in/R.t.sol"}),
        ("test/**/R.t.sol", {"test/R.t.sol", "test/in/R.t.sol"}),
        ("{**/R,test/S}.t.sol", {"test/R.t.sol", "test/S.t.sol", "test/in/R.t.sol"}),
        ("test/in/**", {"test/in/R.t.sol"}),
    ],
)
def test_globs_select_the_paths_that_forge_selects(glob: str, paths: set[str]) -> None:
    """Selected paths by forge 1.7.1 and --match-path."""
    every = ("test/{1}.t.sol", "test/R.t.sol", "test/S.t.sol", "test/in/R.t.sol")
    assert {path for path in every if fits(path, glob)} == paths


def test_glob_may_begin_with_the_projects_root(tmp_path: Path) -> None:
    assert in_project(f"{tmp_path}/test/*.sol", tmp_path) == "test/*.sol"
    assert in_project("/elsewhere/test/*.sol", tmp_path) == "/elsewhere/test/*.sol"


@pytest.mark.parametrize("glob", ["test/{a", "test/a}", "test/[b-a]", "{" * 1001])
def test_a_filter_with_an_invalid_glob_is_refused(glob: str) -> None:
    with pytest.raises(InvalidInput, match="glob"):
        SuiteFilter(no_path=glob).check()


@pytest.mark.parametrize("glob", ["test/[", "[]", "[!]", "[^]", "[!]a"])
def test_an_unclosed_set_of_characters_is_named(glob: str) -> None:
    with pytest.raises(InvalidInput, match="without ']'"):
        SuiteFilter(path=glob).check()


@pytest.mark.parametrize("glob", ["*a" * 7 + "*b", "*a" * 400 + "*b", "*{*,a}" * 160 + "b", "{a,*}" * 190 + "b"])
def test_a_glob_of_many_stars_is_matched_in_proportional_time(glob: str) -> None:
    begin = perf_counter()
    assert not fits("a" * 500, glob)
    assert perf_counter() - begin < 2 * slowness()


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
    project = Project(Path(), profiles=("default", "fast"))
    first, second = inline_settings(COMMENTS, "First"), inline_settings(COMMENTS, "Second")
    assert configured(project, first, "testFuzz_A").fuzz.runs == 3
    assert configured(project, first, "testFuzz_Other").fuzz.runs == 7
    assert configured(project, second, "testFuzz_A").fuzz.runs == 1
    assert configured(project, second, "testFuzz_Other").fuzz.runs == 256
    invariant = configured(project, first, "invariant_b").invariant
    assert (invariant.depth, invariant.fail_on_revert) == (5, True)


def test_comment_of_the_profile_takes_precedence_over_one_of_the_default_profile() -> None:
    project = Project(Path(), profile="fast", profiles=("default", "fast"))
    assert configured(project, inline_settings(COMMENTS, "First"), "testFuzz_A").fuzz.runs == 99


def test_comment_of_a_profile_with_a_hyphen_applies() -> None:
    project = Project(Path(), profile="my-ci", profiles=("default", "my-ci"))
    comment = "contract A {\n/// forge-config: my-ci.fuzz.max-test-rejects = 9\nfunction testB() public {} }"
    assert configured(project, inline_settings(comment, "A"), "testB").fuzz.max_test_rejects == 9


def test_long_comment_before_no_function_is_read_once() -> None:
    assert inline_settings(20_000 * "/// forge-config: default.fuzz.runs = 1\n" + "uint x;", "First") == {}


def commented(line: str) -> Project:
    text = f"contract A {{\n    /// forge-config: {line}\n    function testB(uint256 x) public {{}}\n}}"
    return configured(Project(Path(), fs_permissions=(("read", "."),)), inline_settings(text, "A"), "testB")


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("default.fs_permissions = []", {"fs_permissions": ()}),
        ('default.fs_permissions = [{ access = "write", path = "./x y" }]', {"fs_permissions": (("write", "./x y"),)}),
        ("default.isolate = true", {"isolate": True}),
        ("default.assertions_revert = false", {"assertions_revert": False}),
        ("default.allow-internal-expect-revert = true", {"allow_internal_expect_revert": True}),
        ("default.always_use_create_2_factory = true", {"always_use_create_2_factory": True}),
        (f'default.sender = "0x{"12" * 20}"', {"sender": "0x" + "12" * 20}),
        ('default.rpc_endpoints = { here = "http://127.0.0.1:9" }', {"rpc_endpoints": {"here": "http://127.0.0.1:9"}}),
        ('default.evm_version = "Shanghai"', {"compiler": CompilerSettings(evm_version="shanghai")}),
        ('default.fuzz.seed = "0x5"', {"fuzz": FuzzSettings(seed=5)}),
        ('default.fuzz.failure_persist_dir = "x"', {"fuzz": FuzzSettings(failures="x")}),
        ("default.invariant.show-metrics = false", {"invariant": InvariantSettings(shows_metrics=False)}),
    ],
)
def test_inline_comment_sets_each_key_that_forge_applies(line: str, changed: dict[str, Any]) -> None:
    """The keys are those that `TestRunnerConfig::reconfigure_with` and `CheatsConfig` of forge 1.7.1 read."""
    assert commented(line) == replace(Project(Path(), fs_permissions=(("read", "."),)), **changed)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('default.fuzz.runs = "many"', "fuzz.runs is 'many', expected a number"),
        ("default.fuzz.runs = many", "is not valid TOML"),
        ('default.fuzz.corpus_dir = "../x"', "forge-config: fuzz.corpus_dir"),
        ("default.block_timestamp = 1234", "block_timestamp cannot be set in a comment: set it in foundry.toml"),
        ("default.ffi = true", "ffi cannot be set in a comment"),
        ("default.via_ir = true", "via_ir cannot be set in a comment"),
        ("default.labels = { a = 1 }", "labels cannot be set in a comment"),
        ("default.legacy_assertions = true", "legacy_assertions cannot be set in a comment"),
        ("default.invariant.call_override = true", "invariant.call_override is not supported"),
        ('default.evm_version = "nonesuch"', "evm_version is 'nonesuch'"),
        ("default = 1", "expected profile.key = value"),
        ('default.fs_permissions = [{ access = "read", path = "../x" }]', "../x is outside of the project"),
        ("other.fuzz.runs = 9", "invalid profile other; valid profiles: default"),
        ("fuzz.runs = 9", "invalid profile fuzz; valid profiles: default"),
    ],
)
def test_inline_comment_that_cannot_apply_is_refused_by_name(line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(reason)):
        commented(line)


@pytest.mark.parametrize("key", ["foo", "fuzz.runz"])
def test_unknown_key_of_inline_comment_is_a_warning(key: str) -> None:
    assert commented(f"default.{key} = 1").unknown_keys == (f"forge-config: unknown key {key}",)
