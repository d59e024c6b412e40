"""Options of `forge test` (1.7.1) that `hypervisor test` supports, and messages about the others."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.runs import Reports, SuiteRuns
from hypervisor_tools.cli.foundry.settings import ALIASES, UNSUPPORTED
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.project import sources
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.project.sources import changed_files, file_states
from hypervisor_tools.soltest.run import session
from tests.command import run as run_command
from tests.docs.forge_names import later_names, recorded
from tests.hypervisor_tools.soltest.contracts import FAIL, PASS, artifact, forge_out


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\n')
    (tmp_path / "test").mkdir()
    text = "contract A {} contract B {}"
    (tmp_path / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    made = {"A": artifact({"testOne()": PASS}), "B": artifact({"testThree()": PASS, "testTwo()": PASS})}
    forge_out(tmp_path, "test/T.t.sol", text, made)
    return tmp_path


@pytest.mark.slow
def test_forge_options_are_supported_or_rejected_with_remedy() -> None:
    shown = run_command("test", "--help", env={"COLUMNS": "200"}).output
    known = set(re.findall(r"--[a-z][a-z0-9-]*", shown))
    assert {*recorded()["test"], *later_names()["test"]} <= known | set(UNSUPPORTED) | set(ALIASES)
    assert not known & (set(UNSUPPORTED) | set(ALIASES))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-k"], "-k is an option of forge that this command does not have: certificates are always verified"),
        (
            ["--live-log"],
            "there is no option --live-log; --live-logs is an option of forge that this command does not have",
        ),
        (["--optimise"], "Possible options: --optimize"),
        (
            ["--symbolic-solver", "cvc5"],
            "--symbolic-solver is an option of forge that this command does not have: symb",
        ),
        (
            ["--fuzz-run=3"],
            "--fuzz-run is an option of forge that this command does not have: a failure names its seed",
        ),
    ],
)
def test_unknown_option_suggests_alternative(options: list[str], words: str) -> None:
    done = run_command("test", *options)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("command", "option", "words"),
    [
        ("test", "--lab", "there is no option --lab here: select labs with --rules, as in --rules lab:rent"),
        ("create", "--no-cache", "--no-cache is an option of forge that this command does not have: results"),
        ("verify-bytecode", "--no-cache", "--no-cache is an option of forge that this command does not have: results"),
        ("script", "--no-cache", "--no-cache is an option of forge that this command does not have: results"),
        ("create", "--nonc", "there is no option --nonc; --nonce is an option of forge that this command"),
    ],
)
def test_the_hint_is_of_the_option_that_was_given(command: str, option: str, words: str) -> None:
    done = run_command(command, option, "rent")
    assert (done.exit_code, words in " ".join(done.stderr.split())) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("test", "--labs"),
        ("script", "--lab"),
        ("create", "--farce"),
        ("verify-bytecode", "--chase"),
        ("node", "--mine"),
    ],
)
def test_option_unlike_forge_options_gets_plain_error(command: str, option: str) -> None:
    done = run_command(command, option, "rent")
    assert (done.exit_code, "No such option" in done.stderr) == (2, True), done.stderr
    assert "is an option of" not in done.stderr


def test_a_list_has_the_tests_by_file_and_contract(project: Path) -> None:
    done = run_command("test", str(project), "--list", "-j", "1")
    assert done.exit_code == 0, done.output
    assert done.stdout == "test/T.t.sol\n  A\n    testOne\n\n  B\n    testThree\n    testTwo\n\n"
    found = json.loads(run_command("test", str(project), "-l", "--json").stdout)
    assert found == {"test/T.t.sol": {"A": ["testOne"], "B": ["testThree", "testTwo"]}}


@pytest.mark.parametrize(("options", "count"), [([], 2), (["--fail-fast"], 1)])
def test_fail_fast_ends_behind_the_first_suite_that_fails(
    project: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], count: int
) -> None:
    ended = []

    def suites(*_: object) -> Iterator[SuiteResult]:
        try:
            for name in ("A", "B"):
                test = TestResult("testOne()", CaseKind.UNIT, CaseStatus.FAILURE, "no")
                yield SuiteResult("test/T.t.sol", name, [test])
        finally:
            ended.append(True)

    monkeypatch.setattr(session, "run_suites", suites)
    done = run_command("test", str(project), *options)
    assert (done.exit_code, ended) == (1, [True])
    assert done.stdout.count("Suite result: FAILED") == count


# --- effects of options ---------------------------------------------------------------------------------------------


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """A project with a test of each status."""
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\n')
    (tmp_path / "test").mkdir()
    text = "contract Few {} contract Many {}"
    (tmp_path / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    small = ["600435", "6103e8", "11", "@good", "57", *FAIL, "good:", "00"]  # the number must be below 1,000
    made = {
        "Few": artifact({"testOne()": PASS}),
        "Many": artifact({"testBroken()": FAIL, "testOther()": PASS, "testSmall(uint256)": small}),
    }
    forge_out(tmp_path, "test/T.t.sol", text, made)
    return tmp_path


def run(project: Path, *options: str, status: int = 0) -> str:
    done = run_command("test", str(project), "-j", "1", "--fuzz-runs", "8", "--fuzz-seed", "1", *options)
    assert done.exit_code == status, done.output
    return done.stdout


@pytest.mark.slow
def test_a_summary_is_forges_table(failing: Path) -> None:
    text = run(failing, "--summary", status=1)
    assert (
        """
╭------------+--------+--------+---------╮
| Test Suite | Passed | Failed | Skipped |
+========================================+
| Few        | 1      | 0      | 0       |
|------------+--------+--------+---------|
| Many       | 1      | 2      | 0       |
╰------------+--------+--------+---------╯
"""
        in text
    )
    assert re.search(r"\| Many +\| 1 +\| 2 +\| 0 +\| test/T\.t\.sol \| [\d.]+m?s +\|", run(
        failing, "--detailed", status=1
    ))  # fmt: skip


@pytest.mark.slow
def test_junit_has_a_case_for_each_test(failing: Path) -> None:
    root = ElementTree.fromstring(run(failing, "--junit", status=1))
    assert (root.get("name"), root.get("tests"), root.get("failures")) == ("Test run", "4", "2")
    few, many = root.findall("testsuite")
    assert (few.get("name"), many.get("name")) == ("test/T.t.sol:Few", "test/T.t.sol:Many")
    cases = {case.get("name"): [part.tag for part in case] for case in many.findall("testcase")}
    assert cases == {
        "testBroken()": ["failure", "system-out"],
        "testOther()": ["system-out"],
        "testSmall(uint256)": ["failure", "system-out"],
    }


@pytest.mark.slow
def test_a_rerun_takes_the_tests_that_failed(failing: Path) -> None:
    assert "Ran 3 tests for test/T.t.sol:Many" in run(failing, "--rerun", status=1)  # no failures are known: all run
    assert (failing / "cache" / "test-failures").read_text() == "testBroken|testSmall"
    text = run(failing, "--rerun", status=1)
    assert "Ran 2 tests for test/T.t.sol:Many" in text
    assert "T.t.sol:Few" not in text
    assert "Tip: Run `hypervisor test --rerun` to retry only the 2 failed tests" in text


@pytest.mark.slow
def test_a_run_begins_with_the_input_that_failed_before(failing: Path) -> None:
    """The file is forge's: see `tests/hypervisor_tools/soltest/fuzz/test_stored_failures.py`."""
    run(failing, "--mt", "Small", status=1)
    kept = failing / "cache" / "fuzz" / "failures" / "Many" / "testSmall"
    content = json.loads(kept.read_text())
    assert (content["raw_args"], content["args"], content["sender"]) == ("1000", "1000", None)
    other = content["calldata"].replace(f"{1000:064x}", f"{777_777:064x}")
    kept.write_text(json.dumps({**content, "calldata": other}))
    assert "(runs: 0, " in run(failing, "--mt", "Small", "--fuzz-seed", "2", status=1)  # the first run fails


@pytest.mark.slow
def test_nothing_is_printed_quietly_and_a_failure_can_be_allowed(failing: Path) -> None:
    assert run(failing, "--quiet", status=1) == ""
    assert "2 failed" in run(failing, "--allow-failure")


@pytest.mark.slow
def test_progress_is_a_line_for_each_suite_before_the_results(failing: Path) -> None:
    text = run(failing, "--show-progress", status=1)
    assert text.index("test/T.t.sol:Many\n  ↪ Suite result: FAILED. 1 passed; 2 failed") < text.index("Ran 1 test for")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--junit", "--json"], "--json and --junit cannot be used together"),
        (["--watch", "--json"], "--watch prints text results only"),
        (["--block-number", "many"], "command line: block_number is 'many', expected a number"),
        (["--sender", "0x12"], "command line: sender is '0x12', expected an address"),
        (["--out", "../elsewhere"], "command line"),
        (["--fuzz-input-file", "nowhere"], "there is no file nowhere"),
        (["--fuzz-input-file", __file__], "test_forge_options.py cannot be used: it is not valid JSON; repair or"),
        (["--snapshot", "check"], "there is no gas snapshot"),
        (["--snap", "gas"], "--snap names the file of --snapshot: add --snapshot write, check or diff"),
        (["--tolerance", "3", "--snapshot", "diff"], "--tolerance applies to --snapshot check"),
        (["--fork-block-number", "3"], "--fork-block-number needs a node: pass --fork-url, or set"),
        (["--lib-paths", "nope"], "there is no folder nope in"),
        (["--optimize", "yes"], "'yes' is not a value of --optimize: expected true or false"),
        (["--evm-version", "moon"], "command line: evm_version is 'moon', expected one of amsterdam, "),
        (["--root", "nowhere"], "there is no foundry.toml in nowhere"),
    ],
)
def test_invalid_options_are_named(project: Path, options: list[str], words: str) -> None:
    done = run_command("test", *([] if "--root" in options else [str(project)]), *options)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.slow
def test_an_option_takes_the_place_of_its_key(project: Path) -> None:
    """The code reads the block's number, timestamp and gas limit, and the chain ID: each must be as given."""
    asked = {"43": 77, "42": 88, "45": 99_000_000, "46": 123}
    checks = [
        part for opcode, value in asked.items() for part in (opcode, f"63{value:08x}", "14", "15", "@bad", "57")
    ]  # fmt: skip
    text = "contract A {}"
    (project / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    for file in (project / "out").rglob("*.json"):
        file.unlink()
    (project / "out" / "build-info").rmdir()
    forge_out(project, "test/T.t.sol", text, {"A": artifact({"testOne()": [*checks, "00", "bad:", *FAIL]})})
    run(project, status=1)
    run(project, "--block-number", "77", "--block-timestamp", "88", "--gas-limit", "99000000", "--chain-id", "0x7b")
    run(project, "--block-number=77", "--block-timestamp=88", "--gas-limit=99000000", "--chain=124", status=1)


@pytest.mark.slow
def test_the_optimizer_may_be_named_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(session.SuiteSession, "prepare", lambda self: seen.append(self.project.compiler))
    for options in (["--optimize"], ["--optimize", "false"], ["--optimize=true", "--via-ir", "--no-metadata"]):
        run_command("test", *options, "--root", str(project))
    assert [one.optimizer for one in seen] == [True, False, True]
    assert [one.via_ir for one in seen] == [False, False, True]
    assert [one.cbor_metadata for one in seen] == [True, True, False]


@pytest.mark.slow
def test_gas_of_all_tests_is_written_and_compared(failing: Path) -> None:
    """Lines and messages equal those of forge 1.7.1's `forge snapshot`."""
    good = ("--nmt", "Broken|Small")
    run(failing, *good, "--snapshot", "write")
    file = failing / ".gas-snapshot"
    (few, many) = file.read_text().split("\n")
    line = re.fullmatch(r"Few:testOne\(\) \(gas: (\d+)\)", few)
    assert line is not None
    gas = int(line[1])
    assert re.fullmatch(r"Many:testOther\(\) \(gas: \d+\)", many)
    run(failing, *good, "--snapshot", "check")
    file.write_text(f"Few:testOne() (gas: {gas - 10})\n{many}")
    done = run_command("test", str(failing), "-j", "1", *good, "--snapshot", "check")
    words = f'Diff in "Few::testOne()": consumed "(gas: {gas})" gas, expected "(gas: {gas - 10})" gas '
    assert (done.exit_code, words in done.stderr.split("\n")) == (1, True)
    run(failing, *good, "--snapshot", "check", "--tolerance", "20")
    share = f"{1000 / (gas - 10):.3f}"
    text = run(failing, *good, "--snapshot", "diff")
    assert f"↑ Few::testOne() (gas: {gas - 10} → {gas} | 10 {share}%)" in text
    assert "Total tests: 2, ↑ 1, ↓ 0, ━ 1" in text


def test_a_change_runs_the_tests_of_its_file(project: Path) -> None:
    other = project / "test" / "Other.t.sol"
    before = file_states(load_project(project))
    other.write_text("contract C {}", encoding="utf-8")
    after = file_states(load_project(project))
    assert changed_files(before, after) == [str(other)]
    loaded = load_project(project)
    runs = SuiteRuns(loaded, SuiteFilter(test="x"), Options(), Reports())
    assert runs._affected_suites([str(other)], failed_first=False) == SuiteFilter(test="x", path="test/Other.t.sol")
    assert runs._affected_suites([str(project / "foundry.toml")], failed_first=False) is runs.wanted
    (project / "cache").mkdir(exist_ok=True)
    (project / "cache" / "test-failures").write_text("testOne")
    assert runs._affected_suites([str(other)], failed_first=True) == SuiteFilter(test="testOne")


def test_files_written_by_run_are_not_changes(project: Path) -> None:
    """`src` is the project's folder, which also contains out/ and cache/."""
    loaded = replace(load_project(project), src=".")
    before = file_states(loaded)
    for name in ("cache/test-failures", "cache/A.sol", "out/B.sol", ".git/C.sol", "notes.txt"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("changed", encoding="utf-8")
    assert file_states(loaded) == before
    for name in ("D.sol", "remappings.txt"):
        (project / name).write_text("", encoding="utf-8")
    assert changed_files(before, file_states(loaded)) == [str(project / "D.sol"), str(project / "remappings.txt")]


def test_watching_runs_again_on_a_change_and_outlives_errors(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = iter([[str(project / "test" / "T.t.sol")], [str(project / "foundry.toml")]])

    def wait(*_: object) -> list[str]:
        files = next(waits, None)
        if files is None:
            raise KeyboardInterrupt
        return files

    wanted = []

    def once(_: SuiteRuns, chosen: SuiteFilter | None = None) -> int:
        wanted.append(chosen)
        raise InvalidInput("the sources do not compile")

    monkeypatch.setattr(sources, "wait_for_change", wait)
    monkeypatch.setattr(SuiteRuns, "once", once)
    runs = SuiteRuns(load_project(project), SuiteFilter(), Options(), Reports())
    with pytest.raises(KeyboardInterrupt):
        runs.watch(lambda: load_project(project))
    assert wanted == [SuiteFilter(), SuiteFilter(path="test/T.t.sol"), SuiteFilter()]
    assert capsys.readouterr().err.count("error: the sources do not compile") == 3
