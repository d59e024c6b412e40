"""`hypervisor test`: messages and exit status, also for invalid input; the documented JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.execution.results import SuiteResult
from hypervisor_tools.soltest.run import session
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.contracts import FAIL, PASS, artifact, forge_out


def refused(*arguments: str) -> str:
    found = run_command("test", *arguments)
    assert found.exit_code == 2
    return found.stderr.removeprefix("error: ").rstrip()


def one_line(box: str) -> str:
    """Return the text of an error in a box without its line breaks."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", box).split())


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    assert refused(str(tmp_path / "tset")) == f"there is no file or folder {tmp_path / 'tset'}"


def test_a_folder_without_a_project_is_named(tmp_path: Path) -> None:
    assert refused(str(tmp_path)).startswith(f"there is no foundry.toml in {tmp_path} or its parents")


def test_a_setting_that_is_none_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text('[profile.default]\noptimizer_runs = "many"\n')
    assert refused(str(tmp_path)) == f"{tmp_path / 'foundry.toml'}: optimizer_runs is 'many', expected a number"


@pytest.mark.slow
def test_a_key_that_is_unknown_is_named_and_the_tests_run(project: Path) -> None:
    with (project / "foundry.toml").open("a", encoding="utf-8") as file:
        file.write("[fuzz]\nrnus = 3\n")
    found = run_command("test", str(project), "--mc", "Good")
    warning = "warning: foundry.toml: unknown key fuzz.rnus: did you mean fuzz.runs?\n"
    assert (found.exit_code, found.stderr) == (0, warning)
    assert "Suite result: ok" in found.stdout


def test_a_project_without_sources_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsrc = "contracts"\n')
    words = f"{tmp_path} has no Solidity sources: its folders are contracts, test, script; set src in foundry.toml"
    assert refused(str(tmp_path)) == words


@pytest.mark.parametrize("options", [(), ("--compare", "nv27,nv28")])
def test_filters_that_leave_no_source_find_no_test(tmp_path: Path, options: Sequence[str]) -> None:
    (tmp_path / "foundry.toml").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "A.t.sol").write_text("contract A { function testA() public {} }")
    found = run_command("test", str(tmp_path), "--match-path", "other/*", *options)
    assert (found.exit_code, found.stdout, found.stderr) == (
        0,
        "",
        "no tests found in the project by --match-path 'other/*'\n",
    )


@pytest.mark.slow
def test_names_of_symbolic_tests_are_in_the_help_and_in_the_message_without_one(project: Path) -> None:
    names = ("check_*", "prove_*", "invariant*", "statefulFuzz*")
    missing = run_command("test", str(project), "--symbolic").stderr
    shown = run_command("test", "--help", env={"COLUMNS": "250"}).output
    (line,) = (line for line in shown.splitlines() if " --symbolic " in line)
    assert [name for name in names if name not in missing or name not in line] == []


@pytest.mark.slow
def test_symbolic_tests_alone_need_the_option(project: Path) -> None:
    text = "pragma solidity ^0.8.0; contract Only { function check_a(uint8) public {} }"
    (project / "test" / "Only.t.sol").write_text(text)
    words = "; to run check_* and prove_* tests, add --symbolic\n"
    found = run_command("test", str(project), "--mc", "Only")
    assert found.stderr.endswith(f"no tests found in the project by --match-contract 'Only'{words}")
    (project / "cache").mkdir(exist_ok=True)
    (project / "cache" / "test-failures").write_text("check_a")
    found = run_command("test", str(project), "--rerun")
    assert (found.exit_code, found.stderr) == (0, f"no tests found in the project by --rerun{words}")


@pytest.mark.slow
def test_an_unmatched_test_filter_is_answered_with_the_nearest_test(project: Path) -> None:
    found = run_command("test", str(project), "--mc", "Good", "--mt", "testFine$")
    words = "by --match-test 'testFine$' --match-contract 'Good'; did you mean `testFine`?"
    assert (found.exit_code, words in found.stderr) == (0, True)
    assert run_command("test", str(project), "--mt", "testFine..$").stderr == ""


def test_the_official_evm_is_refused_where_rules_are_ethereums(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    words = "the rules 'ethereum' need this project's own EVM: choose another --evm, or --rules filecoin"
    assert refused(str(tmp_path), "--evm", "official", "--bundle", "v18") == words


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ("nan", "--timeout nan is not a number of seconds"),
        ("inf", "inf is out of range (0.1 to 86400)"),
        ("86401", "86401 is out of range (0.1 to 86400)"),
    ],
)
def test_a_timeout_beyond_a_day_is_refused(tmp_path: Path, seconds: str, reason: str) -> None:
    (tmp_path / "foundry.toml").touch()
    assert reason in refused(str(tmp_path), "--timeout", seconds)


@pytest.mark.parametrize(
    "other", [["--gas-report"], ["--coverage"], ["--lcov", "found.info"], ["--list"], ["--watch"], ["--debug"]]
)
def test_a_comparison_and_another_mode_are_refused(tmp_path: Path, other: list[str]) -> None:
    (tmp_path / "foundry.toml").touch()
    words = "cannot be used together: run them separately"
    assert words in one_line(refused(str(tmp_path), "--compare", "nv27,nv28", *other))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["osaka"], "names one set of rules: expected two, such as osaka,amsterdam"),
        (["osaka,nv29"], "mixes networks"),
        (["osaka,osaka"], "both runs have the rules of Osaka"),
        (["osaka,moon"], "moon"),
        (["nv27,nv28", "--network", "nv27"], "--compare names both network versions: remove --network"),
        (["nv27,nv28", "--rules", "ethereum"], "runs under Filecoin's rules: remove --rules"),
        (["prague,osaka", "--rules", "filecoin"], "runs under Ethereum's rules, not filecoin: remove --rules"),
    ],
)
def test_invalid_rules_to_compare_are_refused(tmp_path: Path, options: list[str], reason: str) -> None:
    (tmp_path / "foundry.toml").touch()
    assert reason in one_line(refused(str(tmp_path), "--compare", *options))


def test_several_network_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    words = "expected for example nv29 (to compare two: --compare)"
    assert words in one_line(refused(str(tmp_path), "--network", "nv27,nv28"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project compiled by forge: a contract whose tests pass, one whose tests do not."""
    text = "contract Good {}\ncontract Bad {}\n"
    (tmp_path / "foundry.toml").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "P.t.sol").write_text(text)
    few = artifact({"testFine()": PASS, "testFuzz(uint8)": PASS})
    forge_out(tmp_path, "test/P.t.sol", text, {"Good": few, "Bad": artifact({"testBroken(uint8)": FAIL})})
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    found = run_command("test", *arguments, "--workers", "1", "--fuzz-runs", "3")
    return found.exit_code, found.stdout


@pytest.mark.slow
def test_exit_status_reports_whether_all_tests_passed(project: Path) -> None:
    status, text = run(project, "--match-contract", "Good")
    assert (status, "2 tests passed, 0 failed, 0 skipped (2 total tests)" in text) == (0, True)
    status, text = run(project)
    assert (status, "Encountered a total of 1 failing tests, 2 tests succeeded" in text) == (1, True)


@pytest.mark.slow
def test_a_test_that_fails_on_both_sides_is_no_difference(project: Path) -> None:
    said = "nv27 and nv28: 3 tests, no other outcomes, 1 fail in both runs\n"
    assert run(project, "--compare", "nv27,nv28") == (0, said)
    status, text = run(project, "--compare", "nv27,nv28", "--json")
    assert (status, json.loads(text)["failing_on_both"]) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["", "--json", "--junit"])
def test_comparison_ends_with_1_if_an_outcome_differs(tmp_path: Path, form: str) -> None:
    text = "contract C {}"
    (tmp_path / "foundry.toml").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "P.t.sol").write_text(text)
    made = {"C": artifact({"testCopy()": ["5f5f5f5e00"], "testFine()": PASS})}
    forge_out(tmp_path, "test/P.t.sol", text, made, version="shanghai")
    status, text = run(tmp_path, "--compare", "shanghai,osaka", *([form] if form else []))
    assert status == 1
    assert "EIP-5656" in text
    if form == "--json":
        (change,) = [each for each in json.loads(text)["changes"] if "outcome" in each["kinds"]]
        assert (change["test"], change["divergence_reasons"][0]["sources"]) == ("testCopy()", ["EIP-5656"])
    if form == "--junit":
        assert text.count("<failure message=") == 1


@pytest.mark.slow
def test_fuzz_seed_is_printed_on_failure_and_accepted_back(project: Path) -> None:
    text = run(project)[1]
    (seed,) = re.findall(r"^Fuzz seed: (0x[0-9a-f]+) \(use `--fuzz-seed` to reproduce\)$", text, re.MULTILINE)
    assert f"Fuzz seed: {seed} " in run(project, "--fuzz-seed", seed)[1]
    assert "Fuzz seed" not in run(project, "--match-contract", "Good")[1]


@pytest.mark.slow
def test_json_has_a_result_for_each_test(project: Path) -> None:
    status, text = run(project, "--json")
    suites: dict[str, Any] = json.loads(text)
    *lines, last = text.splitlines()
    assert {name for line in lines for name in json.loads(f"{{{line[1:]}}}")} == {*suites}  # a suite per line
    assert (len(lines), last) == (2, "}")
    assert (status, set(suites)) == (1, {"test/P.t.sol:Good", "test/P.t.sol:Bad"})
    good, bad = suites["test/P.t.sol:Good"], suites["test/P.t.sol:Bad"]
    assert set(good) == {"duration", "warnings", "test_results"}
    tests = good["test_results"] | bad["test_results"]
    assert set(tests) == {"testFine()", "testFuzz(uint8)", "testBroken(uint8)"}
    assert [test["status"] for test in tests.values()] == ["Success", "Success", "Failure"]
    assert set(tests["testFine()"]["kind"]["Unit"]) == {"gas"}
    assert set(tests["testFuzz(uint8)"]["kind"]["Fuzz"]) == {
        "first_case",
        "runs",
        "mean_gas",
        "median_gas",
        "failed_corpus_replays",
    }
    assert tests["testFuzz(uint8)"]["kind"]["Fuzz"]["runs"] == 3
    call = tests["testBroken(uint8)"]["counterexample"]["Single"]
    assert (call["args"], call["raw_args"]) == ("0", "0")
    assert call["sender"] is call["contract_name"] is call["warp"] is None


@pytest.mark.slow
def test_json_has_the_suites_that_ended_before_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_suites = SuiteSession.run

    def run_one(session: SuiteSession) -> Iterator[SuiteResult]:
        yield next(run_suites(session))
        raise InvalidInput("the node does not answer")

    monkeypatch.setattr(SuiteSession, "run", run_one)
    done = run_command("test", str(project), "--json")
    assert len(json.loads(f"{done.stdout}}}")) == 1
    assert (done.exit_code, done.stderr) == (2, "error: the node does not answer\n")


@pytest.mark.slow
@pytest.mark.parametrize("test", ["testFine", "testFuzz", "testBroken"])
def test_the_gas_of_one_test_is_drawn_into_the_cache(project: Path, test: str) -> None:
    status, text = run(project, "--match-test", test, "--flamechart")
    contract = "Bad" if test == "testBroken" else "Good"
    file = project / "cache" / f"flamechart_{contract}_{test}.svg"
    assert (status, text.splitlines()[-1]) == (int(contract == "Bad"), f"Saved to {file}")
    assert f"<title>{contract}.{test}(" in file.read_text(encoding="utf-8")


SKIP = [
    "63dd82d13e60e01b5f526001602353",  # the calldata of skip(true)
    "5f5f60245f5f737109709ecfa91a80626ff3989d68f67f5b1dd12d5af1",
    "3d5f5f3e3d5ffd",
]
"""Code that calls `vm.skip(true)` and reverts with its data."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ({"setUp()": FAIL, "testFine()": PASS}, "cannot start: setUp() of Suite fails: EvmError: Revert"),
        ({"testFine(uint8)": SKIP}, "testFine is skipped: there is no call to show"),
    ],
    ids=["a setUp that fails", "a fuzz test that is skipped"],
)
def test_undrawable_flamegraph_is_reported_after_all_results(
    tmp_path: Path, functions: dict[str, list[str]], words: str
) -> None:
    (tmp_path / "foundry.toml").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "P.t.sol").write_text("contract Suite {}")
    forge_out(tmp_path, "test/P.t.sol", "contract Suite {}", {"Suite": artifact(functions)})
    kept = tmp_path / "kept"
    kept.write_text("Other:testGone() (gas: 5)\n")
    with_snapshot = ["--flamegraph", "--allow-failure", "--snapshot", "write", "--snap", str(kept)]
    found = run_command("test", str(tmp_path), *with_snapshot)
    assert found.exit_code == 2
    assert "total tests)" in found.stdout
    assert words in " ".join(found.stderr.split())
    assert "Other" not in kept.read_text()  # with --allow-failure, forge writes a snapshot of failing tests too


@pytest.mark.parametrize("option", ["--flamegraph", "--flamechart", "--debug"])
def test_single_test_option_reports_number_of_matches(project: Path, option: str) -> None:
    assert refused(str(project), option).startswith(
        f"{option} needs exactly one test, but 3 match (Bad.testBroken, Good.testFine, Good.testFuzz, ...): select it "
    )
    assert not (project / "cache" / "flamegraph_Good_testFine.svg").exists()


def test_an_invariant_test_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").touch()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "P.t.sol").write_text("contract Suite {}")
    forge_out(tmp_path, "test/P.t.sol", "contract Suite {}", {"Suite": artifact({"invariantFew()": PASS})})
    words = "--flamegraph does not support invariant tests, such as Suite.invariantFew"
    assert refused(str(tmp_path), "--flamegraph") == words


def test_forge_artifacts_are_ignored_with_force(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []
    monkeypatch.setattr(SolcChoice, "required_version", lambda _: "0.8.30")

    def of_forge(*_: object) -> dict[str, object]:
        requests.append("forge's")
        return {}

    monkeypatch.setattr(session, "forge_artifacts", of_forge)
    usual, forced = (
        run_command("test", str(project), "--use", str(project / "none"), *options) for options in ([], ["--force"])
    )
    assert requests == ["forge's"]
    assert (forced.exit_code, forced.output) == (usual.exit_code, usual.output), "both come as far as the compiler"
    assert str(project / "none") in forced.output.replace("\n", "")


def test_missing_compiler_of_foundry_toml_is_named_although_all_is_compiled(project: Path) -> None:
    (project / "foundry.toml").write_text('[profile.default]\nsolc = "./missing"\n', encoding="utf-8")
    done = run_command("test", str(project), "--workers", "1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: solc of foundry.toml is ./missing, but there is no {project / 'missing'}: correct the path, name a "
        "version such as 0.8.37, or pass --use\n"
    )


@pytest.mark.slow
def test_a_picture_is_of_one_run(project: Path) -> None:
    for other in ("--flamegraph", "--list", "--debug", "--watch"):
        assert "draw a single run" in refused(str(project), "--flamechart", other)
