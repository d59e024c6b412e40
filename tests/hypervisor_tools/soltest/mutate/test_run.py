"""Mutation tests of a project with seeded gaps, compiled by recorded answers of solc."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.precompiles import Precompile
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.mutate.results import MutantResult, MutantStatus, MutationResult
from hypervisor_tools.soltest.mutate.run import BaselineFailed, MutantDrive, MutationRun, has_tests
from hypervisor_tools.soltest.project.project import FuzzSettings, Project, load_project
from hypervisor_tools.soltest.project.test_settings import MutationSettings
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.contracts import PASS, artifact, write
from tests.hypervisor_tools.soltest.mutate.recorded import INPUTS, compiler, copied, mutated
from tests.hypervisor_tools.worker_processes import live_workers

pytestmark = pytest.mark.slow
WANTED = SuiteFilter(contract="VaultTest")
GAPS = {
    (22, "<=", "<"),  # no test deposits exactly the limit
    (24, "emit Deposited(msg.sender, amount);", "{}"),  # no test expects the event
    (28, "amount < 100", "false"),  # no test asks for the fee of 50 to 100
    (28, "<", "<="),
    (28, "100", "(100 + 1)"),
    (28, "100", "0"),
}
UNCOVERED = {(33, "delete balances[msg.sender];", "{}")}  # no test closes the vault


def changes(found: MutationResult, status: MutantStatus) -> set[tuple[int, str, str]]:
    results = (result.mutant for result in found.results if result.status is status)
    return {(mutant.line, mutant.original, mutant.replacement) for mutant in results}


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*.sol") if file.is_file()}


def test_survivors_are_exactly_the_seeded_gaps(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = contents(root)
    found = mutated(root, str(compiler(tmp_path)), wanted=WANTED)
    assert changes(found, MutantStatus.SURVIVED) == GAPS
    assert changes(found, MutantStatus.NOT_COVERED) == UNCOVERED
    counts = Counter(result.status for result in found.results)
    assert counts[MutantStatus.KILLED] == len(found.results) - len(GAPS) - len(UNCOVERED) == 19
    assert found.score() == pytest.approx(100 * 19 / 26)
    assert contents(root) == before


def test_a_second_run_only_runs_what_changed(tmp_path: Path) -> None:
    root, use = copied(tmp_path), str(compiler(tmp_path))
    first = mutated(root, use, wanted=WANTED)
    compiler(tmp_path, dies="2")  # in every source: only cached results are left
    again = mutated(root, use, wanted=WANTED)
    assert [result.status for result in again.results] == [result.status for result in first.results]
    cached = {result.is_cached for result in again.results if result.status is not MutantStatus.NOT_COVERED}
    assert cached == {True}
    fewer = mutated(root, use, wanted=SuiteFilter(test="testFee", contract="VaultTest"))
    assert {result.mutant.line for result in fewer.results if result.is_cached} == {28, 29}  # only testFee covers them


@pytest.mark.parametrize("contract", ["FileTest", "VariableTest"])
def test_results_that_depend_on_files_or_the_environment_are_not_cached(
    tmp_path: Path, contract: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, use, wanted = copied(tmp_path, INPUTS), str(compiler(tmp_path)), SuiteFilter(contract=contract)
    (root / "expected.txt").write_text("10", encoding="utf-8")
    monkeypatch.setenv("SUM_IS_CHECKED", "true")
    assert mutated(root, use, wanted=wanted).score() == 100
    (root / "expected.txt").write_text("", encoding="utf-8")
    monkeypatch.setenv("SUM_IS_CHECKED", "false")
    assert mutated(root, use, wanted=wanted).score() == 20  # of five mutants, only `value - 7` reverts


def test_results_of_other_tests_of_a_project_are_cached(tmp_path: Path) -> None:
    root, use = copied(tmp_path, INPUTS), str(compiler(tmp_path))
    for is_cached in (False, True):
        found = mutated(root, use, wanted=SuiteFilter(contract="PlainTest"))
        assert {result.is_cached for result in found.results} == {is_cached}
        assert found.score() == 100


def test_a_failing_compiler_fails_only_its_mutant(tmp_path: Path) -> None:
    root, use = copied(tmp_path), str(compiler(tmp_path, dies="amount < limit", hangs="amount == limit"))
    found = mutated(root, use, MutationSettings(jobs=2, seconds=15), WANTED)
    assert changes(found, MutantStatus.INVALID) == {(22, "<=", "<")}
    assert changes(found, MutantStatus.TIMED_OUT) == {(22, "<=", "==")}
    assert changes(found, MutantStatus.SURVIVED) == GAPS - {(22, "<=", "<")}
    (invalid,) = (result for result in found.results if result.status is MutantStatus.INVALID)
    assert "printed no JSON; its exit code is 1: out of memory" in invalid.detail


@pytest.mark.parametrize("folder", ["src", "."])
def test_write_access_to_sources_is_refused(tmp_path: Path, folder: str) -> None:
    root = copied(tmp_path)
    with (root / "foundry.toml").open("a", encoding="utf-8") as file:
        file.write(f'fs_permissions = [{{ access = "read-write", path = "{folder}" }}]\n')
    with pytest.raises(InvalidInput, match="contains sources"):
        mutated(root, None)


PRECOMPILE = Precompile("one", f"0x{'0d' * 20}", 60, function=bytes)


@pytest.mark.parametrize(
    ("project", "options", "fork_url", "words"),
    [
        ({}, {}, None, ""),
        ({"fork_block_number": 7}, {}, "https://node.example", ""),
        ({}, {}, "https://node.example", "fork without fork_block_number"),
        ({"fork_block_number": 7}, {}, "http://127.0.0.1:8545", "of a node on this machine"),
        ({"precompiles": (PRECOMPILE,)}, {}, None, "a precompile is a Python function"),
        ({}, {"precompiles": ("installed",)}, None, "a precompile is a Python function"),
        ({}, {"bundle": "v18"}, None, ""),
        ({}, {"bundle": Path(__file__)}, None, "--bundle names a file"),
        ({"fuzz": FuzzSettings(input_file="x.json")}, {}, None, "--fuzz-input-file names a file"),
    ],
)
def test_settings_by_which_nothing_is_cached(
    tmp_path: Path, project: dict[str, Any], options: dict[str, Any], fork_url: str | None, words: str
) -> None:
    run = MutationRun(Project(tmp_path, **project), WANTED, Options(**options), MutationSettings())
    reason = run._uncacheable(fork_url)
    assert words in reason
    assert bool(reason) is bool(words)


def test_a_failing_baseline_is_named(tmp_path: Path) -> None:
    root, use = copied(tmp_path), str(compiler(tmp_path))
    found = run_command("test", str(root), "--use", use, "--gas-limit", "30000", "--mutate")
    assert found.exit_code == 1
    assert "fails without a change" in found.stderr


def test_json_lists_survivors_and_a_low_score_fails(tmp_path: Path) -> None:
    root, use = copied(tmp_path), str(compiler(tmp_path))
    arguments = [
        "test",
        str(root),
        "--use",
        use,
        "--json",
        "--mutation-min-score",
        "90",
        "--mc",
        "VaultTest",
        "--mutate",
    ]
    found = run_command(*arguments, "src/Vault.sol")
    assert found.exit_code == 1, found.stderr
    response = json.loads(found.stdout)
    assert response["summary"]["survived"] == len(GAPS)
    shown = {(row["line"], row["original"], row["mutant"]) for row in response["survived_mutants"]["src/Vault.sol"]}
    assert shown == GAPS


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ["--mutate", "--mutate-contract", "Nope"],
            2,
            "no contract of the mutated sources matches",
        ),
        (["--mutate", "lib"], 2, "no such source or folder in {root}; pass the project's folder before --mutate"),
        (["--mutate", "/"], 2, "no such source or folder in {root}; pass the project's folder before --mutate"),
        (["--mutate", "test"], 2, "--mutate test names no source of the project that can be mutated"),
        (["--match-test", "nothing", "--mutate"], 1, "no test matches --match-test 'nothing'"),
        (["--mutate", "--mutation-min-score", "101"], 2, "--mutation-min-score is 101: expected 0 to 100"),
        (["--mutate", "--mutation-timeout", "inf"], 2, "--mutation-timeout is inf: expected 0.1 to 86400"),
        (["--mutate", "--mutation-jobs", "-1"], 2, "--mutation-jobs is -1: expected 0 to 1024"),
    ],
)
def test_an_error_names_the_option(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    root = copied(tmp_path)
    found = run_command("test", str(root), "--use", str(compiler(tmp_path)), *arguments)
    assert found.exit_code == status
    text = " ".join(re.sub(r"[│╭╰─╮╯]", " ", found.stderr).split())
    assert words.format(root=root) in text


def test_a_folder_and_a_source_select_sources(tmp_path: Path) -> None:
    own = ["src/A.sol", "src/math/B.sol", "src/mathC.sol"]
    assert MutationSettings(("src/math",)).files(own) == ["src/math/B.sol"]
    assert MutationSettings(("src/A.sol", "src/math")).files(own) == ["src/A.sol", "src/math/B.sol"]
    assert MutationSettings((".",)).files(own) == own


def test_the_second_compilation_is_for_coverage(tmp_path: Path) -> None:
    lines: list[str] = []
    options, settings = Options(use=str(compiler(tmp_path))), MutationSettings(contract="Vault")
    project = replace(load_project(copied(tmp_path)), unknown_keys=("warning: one",), force=True)
    MutationRun(project, WANTED, options, settings, lines.append).run()
    said = "Compiling 2 files with Solc 0.8.30"
    assert [line for line in lines if "mutants" not in line] == ["warning: one", said, f"{said}, for coverage"]


def test_idle_processes_end_with_a_failing_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, before = MutantDrive.result, live_workers()

    def failing(drive: MutantDrive, *arguments: Any) -> MutantResult:
        run(drive, *arguments)
        raise InvalidInput("the disk is full")

    monkeypatch.setattr(MutantDrive, "result", failing)
    with pytest.raises(InvalidInput, match="the disk is full"):
        mutated(copied(tmp_path), str(compiler(tmp_path)), MutationSettings(("src/Vault.sol",), jobs=1), WANTED)
    assert live_workers() <= before


def test_an_interrupted_run_counts_the_mutants_without_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, done = MutantDrive.result, Counter[str]()

    def interrupted(drive: MutantDrive, *arguments: Any) -> MutantResult:
        done["mutants"] += 1
        if done["mutants"] == 9:
            raise KeyboardInterrupt
        return run(drive, *arguments)

    monkeypatch.setattr(MutantDrive, "result", interrupted)
    found = mutated(copied(tmp_path), str(compiler(tmp_path)), MutationSettings(jobs=1), WANTED)
    assert (len(found.results), found.untested) == (8, 18)


def test_output_is_the_documented_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "mutation-tests.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    use = str(compiler(tmp_path))
    found = run_command("test", str(copied(tmp_path)), "--use", use, "--mc", "VaultTest", "--mutate")
    assert found.exit_code == 0, found.stderr
    assert shown in found.stdout


def test_sources_that_serve_tests_are_not_mutated(tmp_path: Path) -> None:
    run = MutationRun(load_project(copied(tmp_path)), WANTED, Options(), MutationSettings())
    names = ["src/A.sol", "src/test/B.sol", "src/a/mocks/C.sol", "src/mocked/D.sol", "src/E.t.sol", "test/F.sol"]
    assert run._mutable_sources(names) == ["src/A.sol", "src/mocked/D.sol"]


@pytest.mark.parametrize(
    ("names", "inputs", "expected"),
    [
        (["add"], (), False),
        (["testAdd"], (), True),  # inherited, or a getter: the ABI is forge's criterion
        (["invariant"], (), True),
        (["tableOf"], (), True),
        (["statefulFuzzSum"], (), True),
        (["invariant"], ("address",), False),  # forge cannot deploy it
        (["latest"], (), False),
    ],
)
def test_only_contracts_that_forge_runs_as_tests_are_excluded(
    tmp_path: Path, names: list[str], inputs: tuple[str, ...], expected: bool
) -> None:
    content = artifact({f"{name}()": PASS for name in names})
    content["abi"].append({"type": "constructor", "inputs": [{"name": "", "type": kind} for kind in inputs]})
    place = ArtifactLocation("src/A.sol", "A", write(tmp_path, {"A": content}) / "A.json")
    assert has_tests(Artifacts(tmp_path, [place], {}).load(place)) is expected


def test_excluded_contracts_are_named(tmp_path: Path) -> None:
    made = write(tmp_path, {"A": artifact({"testA()": PASS}), "B": artifact({"add()": PASS})})
    places = [ArtifactLocation("src/A.sol", name, made / f"{name}.json") for name in ("A", "B")]
    lines: list[str] = []
    run = MutationRun(Project(tmp_path), WANTED, Options(), MutationSettings(), lines.append)
    assert run._test_contracts(Artifacts(tmp_path, places, {}), ["src/A.sol"]) == {"src/A.sol": ["A"]}
    assert lines == ["src/A.sol:A is not mutated, because it contains tests"]


@pytest.mark.parametrize(
    ("given", "jobs"), [([], 3), (["--mutation-jobs", "0"], os.cpu_count()), (["--mutation-jobs", "1"], 1)]
)
def test_jobs_are_the_workers_or_all_cores(
    tmp_path: Path, given: list[str], jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[MutationSettings] = []

    def stopped(run: MutationRun) -> MutationResult:
        found.append(run.settings)
        raise BaselineFailed("stopped")

    monkeypatch.setattr(MutationRun, "run", stopped)
    arguments = ["test", str(copied(tmp_path)), "--workers", "3", *given, "--mutate"]
    assert run_command(*arguments).exit_code == 1
    assert [settings.jobs for settings in found] == [jobs]


def test_a_killed_run_leaves_the_sources_unchanged(tmp_path: Path) -> None:
    root = copied(tmp_path)
    before = contents(root)
    program = [sys.executable, "-c", "from hypervisor_tools.cli.main import main; main()"]
    use = str(compiler(tmp_path, hangs="amount == limit"))  # so the run has not ended when it is killed
    command = [*program, "test", str(root), "--use", use, "--mutate"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr is not None
    for line in run.stderr:
        if "mutants of" in line:
            break
    time.sleep(2)  # in the middle of the mutants
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    assert contents(root) == before
