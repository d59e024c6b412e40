"""Campaigns: interrupted ones end like others, a change begins again, findings have unit tests that reproduce them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.campaign.page import page_lines
from hypervisor_tools.soltest.campaign.run import QUIET_ROUNDS, Campaign, TimeOver, open_campaign
from hypervisor_tools.soltest.campaign.state import Finding
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import (
    BlockDelay,
    CaseKind,
    CaseStatus,
    CounterExample,
    SuiteResult,
    TestResult,
)
from hypervisor_tools.soltest.mutate.results import MutationResult
from hypervisor_tools.soltest.mutate.run import MutationRun
from hypervisor_tools.soltest.project.consent import write_inside
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.report.counterexample_tests import write_tests
from hypervisor_tools.soltest.run.workers import run_suites
from tests.command import run
from tests.hypervisor_tools.soltest.contracts import artifact, counting_suite, forge_out

TEXT = "contract A {} contract B {}"
FAILS_ABOVE = ["600435", "640100000000", "11", "@low", "57", "5f5ffd", "low:", "00"]
BLOCKHASH = "5f4050"
"""An instruction that the solver does not model."""
BRANCHES = [
    BLOCKHASH,
    "600435",
    "600116",
    "@odd",
    "57",
    "00",
    "odd:",
    "60043560ff16602a14",
    "@rare",
    "57",
    "00",
    "rare:",
    "00",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A compiled project; `ffi` excludes mutants, which need a compiler."""
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\nffi = true\n[fuzz]\nruns = 60\n')
    make(tmp_path, TEXT)
    return tmp_path


def make(root: Path, text: str, contracts: Mapping[str, Any] | None = None) -> None:
    rmtree(root / "out", ignore_errors=True)
    (root / "test").mkdir(exist_ok=True)
    (root / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    usual = {"A": artifact({"testBranches(uint256)": BRANCHES}), "B": artifact({"testLow(uint256)": FAILS_ABOVE})}
    forge_out(root, "test/T.t.sol", text, contracts or usual)


def campaign(root: Path, **limits: Any) -> Campaign:
    loaded = load_project(root)
    where, known = open_campaign(loaded, root / "campaign", 3)
    return Campaign(loaded, SuiteFilter(), Options(evm="fast"), where, known, **limits)


def outcome(root: Path) -> dict[str, Any]:
    """Return what a campaign has found, without times."""
    _, found = open_campaign(load_project(root), root / "campaign", None)
    corpus = {file.relative_to(root).as_posix(): file.read_text() for file in root.glob("campaign/corpus/**/*.json")}
    findings = [{**asdict(finding), "seconds": 0} for finding in found.findings]
    return {
        "runs": found.runs, "steps": found.steps, "findings": findings, "corpus": corpus,
        "history": [row[1:] for row in found.history],
    }  # fmt: skip


@pytest.mark.slow
def test_a_campaign_killed_ten_times_ends_like_one_that_was_not(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign(project, rounds=3).run()
    expected = outcome(project)
    assert [finding["test"] for finding in expected["findings"]] == ["testLow(uint256)"]
    assert len(expected["corpus"]) >= 3
    other = tmp_path_factory.mktemp("killed")
    (other / "foundry.toml").write_bytes((project / "foundry.toml").read_bytes())
    make(other, TEXT)
    writes, kills = count(1), 0

    def killed(*arguments: Any) -> None:
        if next(writes) % 2 and kills < 10:
            raise KeyboardInterrupt
        write_inside(*arguments)

    monkeypatch.setattr("hypervisor_tools.soltest.campaign.state.write_inside", killed)
    while True:
        try:
            begun = campaign(other)
            if len(begun.state.history) >= 3:
                break
            begun.rounds = 1
            begun.run()
        except KeyboardInterrupt:
            kills += 1
    assert kills == 10
    assert outcome(other) == expected


@pytest.mark.slow
def test_a_campaign_ends_when_nothing_new_appears_and_begins_again_after_a_change(project: Path) -> None:
    run_ = campaign(project)
    run_.run()
    assert run_.state.quiet == QUIET_ROUNDS
    assert "mutation tests cannot run with ffi" in run_.state.notes[0]
    assert any("testLow(uint256)" in line for line in page_lines(run_.state))
    campaign(project, rounds=1).run()
    assert len(outcome(project)["history"]) == len(run_.state.history) + 1
    corpus = outcome(project)["corpus"].keys()
    make(project, TEXT + " // changed")
    again = campaign(project, rounds=1)
    again.run()
    assert (again.state.steps, len(again.state.findings)) == (3, 1)
    assert outcome(project)["corpus"].keys() == corpus  # which the round began with


@pytest.mark.slow
@pytest.mark.parametrize("end", [KeyboardInterrupt, TimeOver])
def test_jobs_that_ended_before_an_interruption_are_not_repeated(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    campaign(project, rounds=2).run()
    other, shown = tmp_path_factory.mktemp("interrupted"), list[str]()
    (other / "foundry.toml").write_bytes((project / "foundry.toml").read_bytes())
    make(other, TEXT)

    def interrupted(*arguments: Any, **settings: Any) -> Iterator[SuiteResult]:
        yield from islice(run_suites(*arguments, **settings), 3)
        raise end

    monkeypatch.setattr("hypervisor_tools.soltest.campaign.run.run_suites", interrupted)
    for _ in range(4):  # 8 jobs of the first round and 4 of the second, 3 at a time
        with suppress(KeyboardInterrupt):
            campaign(other, rounds=1, show=shown.append).run()
    monkeypatch.undo()
    assert sum(line.startswith("FOUND") for line in shown) == 1
    campaign(other, rounds=1).run()
    assert outcome(other) == outcome(project)


@pytest.mark.slow
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_printed_counterexample_is_that_of_its_unit_test(
    project: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    """All seeds fail the test with different inputs, and their jobs end in any order."""
    shown: list[str] = []
    fails_at_random = ["60043560641c600316600114", "@bad", "57", "00", "bad:", "5f5ffd"]  # bits 100 and 101 are 1
    make(project, TEXT, {"A": artifact({"testBits(uint256)": fails_at_random}), "B": artifact({"testNone()": ["00"]})})

    def ending(job: Job, suites: Sequence[Suite], *arguments: Any, **settings: Any) -> Iterator[SuiteResult]:
        found = list(run_suites(job, suites, *arguments, **settings))
        yield from sorted(found, key=lambda suite: order.index(((suite.tests[0].seed or 0) - 3) % 4))

    monkeypatch.setattr("hypervisor_tools.soltest.campaign.run.run_suites", ending)
    run_ = campaign(project, rounds=1, show=shown.append)
    run_.run()
    (finding,) = run_.state.findings
    assert [line.startswith("FOUND") for line in shown].count(True) == 1
    arguments = re.findall(r"args=\[(\d+)", "\n".join(shown))
    assert len(arguments) == 1
    assert f"{int(arguments[0]):064x}" in (project / finding.file).read_text()


def with_slow_invariant(project: Path) -> None:
    """Make a project of a fuzz test and an invariant test that would run for days."""
    settings = (project / "foundry.toml").read_text()
    (project / "foundry.toml").write_text(f"{settings}[invariant]\nruns = 1000000\ndepth = 500\n")
    counter = artifact({"up()": ["5f546001015f5500"], "count()": ["5f545f5260205ff3"]})
    contracts = {"A": artifact(counting_suite(counter, "6001")), "B": artifact({"testFast(uint256)": ["00"]})}
    make(project, TEXT + " contract C {}", contracts | {"C": counter})


@pytest.mark.slow
def test_slow_invariant_test_leaves_time_for_fuzz_tests(project: Path) -> None:
    with_slow_invariant(project)
    run_ = campaign(project, seconds=20)
    run_.options = run_.options._replace(workers=1)
    run_.run()
    assert run_.state.steps or any("testFast" in name for name in run_.state.ended)


@pytest.mark.parametrize(("workers", "share"), [(1, 10), (2, 20), (8, 80), (99, 80)])
def test_jobs_of_a_round_share_the_time_of_the_campaign(
    project: Path, monkeypatch: pytest.MonkeyPatch, workers: int, share: int
) -> None:
    """Eight jobs may use 80 of 100 seconds of each worker. Each test runs once before any of them again."""
    with_slow_invariant(project)
    seen: list[tuple[Job, list[Suite]]] = []

    def ending(job: Job, suites: list[Suite], *_: Any, **__: Any) -> Iterator[SuiteResult]:
        seen.append((job, suites))
        yield from ()
        raise TimeOver

    monkeypatch.setattr("hypervisor_tools.soltest.campaign.run.run_suites", ending)
    monkeypatch.setattr("hypervisor_tools.soltest.campaign.run.monotonic", lambda: 5.0)
    run_ = campaign(project, seconds=100)
    run_.options = run_.options._replace(workers=workers)
    run_.run()
    ((job, suites),) = seen
    assert (job.project.fuzz.timeout, job.project.invariant.timeout) == (share, share)
    assert [(suite.tests[0].name, suite.seed) for suite in suites] == [
        (name, seed) for seed in range(3, 7) for name in ("testFast", "invariantFew")
    ]


@pytest.mark.slow
def test_page_of_a_campaign_that_begins_again_has_new_counts(project: Path) -> None:
    run_ = campaign(project, rounds=2)
    run_.run()
    before = run_.state
    make(project, TEXT + " // changed")
    again = campaign(project, rounds=1)
    again.run()
    assert len(again.state.history) == 1
    assert again.state.runs < before.runs
    lines = list(page_lines(again.state))
    assert lines[0].startswith("1 rounds in ")
    assert again.state.history[0][0] <= again.state.seconds < before.seconds + again.state.seconds


@pytest.mark.parametrize("name", ["src", "test", "script", "lib", "out", "cache", "contracts", "contracts/inner", "up"])
def test_folder_with_sources_of_the_project_is_refused(project: Path, name: str) -> None:
    (project / "src").mkdir()
    (project / "contracts" / "inner").mkdir(parents=True)
    (project / "contracts" / "inner" / "A.sol").touch()
    (project / "up" / "lib").mkdir(parents=True)
    (project / "foundry.toml").write_text('[profile.default]\nlibs = ["lib", "up/lib"]\n')
    before = sorted(project.rglob("*"))
    with pytest.raises(InvalidInput, match=f"{re.escape(name)}.* of the project: name a folder for the campaign alone"):
        open_campaign(load_project(project), project / name, None)
    assert sorted(project.rglob("*")) == before


def test_mutants_name_the_tests_that_are_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(MutationRun, "run", lambda _: MutationResult([], {}, 0.0, 0))
    run_ = campaign(project, tell=told.append)
    run_.state.findings = [
        Finding("test/T.t.sol:B", name, "fuzz", "", [], 3, 0.0)
        for name in ("testLow(uint256)", "testLow(bool)", "testB()")
    ]
    run_.state.steps, run_.state.found = 2, 3
    run_._mutate()
    line = "Mutants are tested without tests of these names, which have findings: testB, testLow"
    assert line in told
    assert line in page_lines(run_.state)
    _, stored = open_campaign(load_project(project), project / "campaign", None)
    assert line in page_lines(stored)


MAGIC = 0x1234567890ABCDEF
IS_MAGIC = [f"60043567{'55' * 8}18", f"67{MAGIC ^ int('55' * 8, 16):016x}14"]
"""A condition on the first argument. The code does not contain the number, which the fuzzer would try."""
SEARCHED = [
    *IS_MAGIC, "@magic", "57", "600435600714", "@seven", "57", "00", "magic:", "602435600114",
    "@deep", "57", "00", "deep:", "00", "seven:", BLOCKHASH, "00",
]  # fmt: skip
"""A branch at the number and, behind it, at 1; not decided because of a branch at 7."""


@pytest.mark.slow
def test_solver_reaches_branches_for_the_corpus_and_proven_tests_are_left_out(tmp_path: Path) -> None:
    pytest.importorskip("z3")
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\nffi = true\n[fuzz]\nruns = 60\n')
    make(tmp_path, TEXT, {
        "A": artifact({"testSearched(uint256,uint256)": SEARCHED}),
        "B": artifact({"testProven(uint256)": ["00"], "testProvenForLengths(bytes)": ["00"]}),
    })  # fmt: skip
    run_ = campaign(tmp_path, rounds=2)
    run_.run()
    inputs = [json.loads(text)[0]["calldata"] for text in outcome(tmp_path)["corpus"].values()]
    arguments = [(int(data[10:74], 16), int(data[74:138], 16)) for data in inputs if len(data) == 138]
    assert (MAGIC, 1) in arguments
    assert any(first == MAGIC and second != 1 for first, second in arguments)
    assert run_.state.proofs is not None
    assert [run_.state.proofs[f"test/T.t.sol:B {name}"] for name in (
        "testProven(uint256)", "testProvenForLengths(bytes)")] == ["proven"] * 2  # fmt: skip
    assert "BLOCKHASH" in run_.state.proofs["test/T.t.sol:A testSearched(uint256,uint256)"]
    # the first round runs three tests with four seeds, the second one without the proven test
    assert run_.state.runs == 60 * 4 * (3 + 2)


@pytest.mark.slow
def test_input_of_an_undecided_path_that_fails_is_a_finding(project: Path) -> None:
    pytest.importorskip("z3")
    behind = [*IS_MAGIC, "@magic", "57", "00", "magic:", BLOCKHASH, "5f5ffd"]
    make(
        project, TEXT, {"A": artifact({"testBehind(uint256)": behind}), "B": artifact({"testProven(uint256)": ["00"]})}
    )
    run_ = campaign(project, rounds=1)
    run_.run()
    (finding,) = run_.state.findings
    assert (finding.test, finding.kind, finding.reason) == ("testBehind(uint256)", "symbolic", "EvmError: Revert")
    assert f"{MAGIC:064x}" in finding.calls[0]
    assert f"{MAGIC:064x}" in (project / finding.file).read_text()


@pytest.mark.slow
def test_solver_leaves_out_tests_with_a_finding(project: Path) -> None:
    pytest.importorskip("z3")
    run_ = campaign(project, rounds=1)
    run_.run()
    assert list(run_.state.proofs or ()) == ["test/T.t.sol:A testBranches(uint256)"]


@pytest.mark.slow
def test_another_setting_begins_a_campaign_again(project: Path) -> None:
    campaign(project, rounds=1).run()
    for number in range(2):
        if number:
            (project / "foundry.toml").write_text((project / "foundry.toml").read_text().replace("60", "61"))
        again = campaign(project, rounds=1)
        again.wanted = SuiteFilter(contract="B")
        again.run()
        assert (again.state.steps, again.state.found) == (3, 1)


@pytest.mark.slow
def test_tests_share_no_inputs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = project / "campaign" / "corpus" / "a" / "1-0.json"
    known.parent.mkdir(parents=True)
    known.touch()
    corpus = [("campaign/corpus/a/2-9.json", b"x"), ("campaign/corpus/b/1-9.json", b"x")]
    result = SuiteResult("test/T.t.sol", "A", corpus=corpus)
    monkeypatch.setattr(
        "hypervisor_tools.soltest.campaign.run.run_suites", lambda *_, **__: (each for each in [result])
    )
    campaign(project, rounds=1).run()
    assert {"campaign/corpus/a/2-0.json", "campaign/corpus/b/1-0.json"} <= outcome(project)["corpus"].keys()


@pytest.mark.slow
def test_the_best_sequence_of_all_seeds_and_rounds_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "campaign/corpus/a/optimization_best.json"
    for values, best in (((9, 25, 100, 30), 100), ((7, 99), 100), ((3, 101), 101)):
        corpus = [(place, json.dumps({"best_value": str(value)}).encode()) for value in values]
        results = [SuiteResult("test/T.t.sol", "A", corpus=[each]) for each in corpus]
        monkeypatch.setattr(
            "hypervisor_tools.soltest.campaign.run.run_suites", lambda *_, found=results, **__: (each for each in found)
        )
        again = campaign(project, rounds=1)
        again.run()
        assert json.loads((project / place).read_text())["best_value"] == str(best)
        assert again.state.history[-1][1] == 0  # it is no input


@pytest.mark.slow
def test_the_command_prints_findings_and_its_status_says_so(project: Path) -> None:
    found = run("campaign", project / "campaign", "--root", project, "--rounds", 1, "--seed", 3, "--workers", 1)
    assert found.exit_code == 1, found.output
    assert "FOUND test/T.t.sol:B testLow(uint256): EvmError: Revert" in found.stdout
    (test,) = project.glob("campaign/tests/**/*.t.sol")
    assert f"reproduced by {test.relative_to(project)}" in found.stdout
    assert "<svg" in (project / "campaign" / "campaign.html").read_text()
    assert run("campaign", project / "campaign", "--root", project, "--seed", 4).exit_code == 2
    assert run("campaign", project.parent, "--root", project).exit_code == 2


def test_a_failing_sequence_becomes_a_unit_test(tmp_path: Path) -> None:
    sender, target = "0x" + "11" * 20, "0x" + "22" * 20
    calls = [
        CounterExample(bytes.fromhex(data), "", sender, "A", target, "f()", delay=BlockDelay(seconds, blocks))
        for data, seconds, blocks in (("26121ff0", 0, 0), ("e2179b8e", 60, 5))
    ]
    failed = TestResult("invariant_a()", CaseKind.INVARIANT, CaseStatus.FAILURE, counterexample=tuple(calls))
    victim, link = tmp_path / "victim", tmp_path / "found" / "test" / "T.ACounterexamples.t.sol"
    victim.touch()
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    (file,) = write_tests([SuiteResult("test/T.t.sol", "A", [failed])], tmp_path, tmp_path / "found")
    assert (file, victim.read_text()) == (link, "")
    text = file.read_text()
    parts = [f"prank({sender})", 'call(hex"26121ff0")', "timestamp + 60", "number + 5", 'call(hex"e2179b8e")']
    invariant = f'delegatecall(hex"{selector("invariant_a()").hex()}")'
    places = [text.index(part) for part in (*parts, invariant)]
    assert places == sorted(places)


def test_a_run_without_time_has_a_page(project: Path) -> None:
    found = run("campaign", project / "campaign", "--root", project, "--for", "0s", "--trust")
    assert found.exit_code == 0, found.output
    assert (project / "campaign" / "campaign.txt").is_file()


@pytest.mark.parametrize("path", ["foundry.toml", "campaign/corpus/../../foundry.toml", "campaign/corpus/foundry.toml"])
def test_opening_a_campaign_removes_no_file_outside_of_its_corpus(
    project: Path, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    elsewhere, folder = tmp_path_factory.mktemp("elsewhere"), project / "campaign"
    (elsewhere / "foundry.toml").touch()
    folder.mkdir()
    (folder / "corpus").symlink_to(elsewhere)
    state = {"format": 1, "findings": [], "history": [], "seed": 3}
    (folder / "commit.json").write_text(json.dumps({"state": state, "files": {path: ""}}))
    with pytest.raises(InvalidInput, match=r"not an input|outside the project"):
        open_campaign(load_project(project), folder, None)
    assert (project / "foundry.toml").exists()
    assert (elsewhere / "foundry.toml").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("campaign.json", "3"),
        ("campaign.json", '{"format": 1, "findings": [], "history": [], "seed": 3, "steps": "x"}'),
        ("campaign.json", '{"format": 1, "findings": [], "history": [], "seed": 3, "mutants": {"score": 1}}'),
        ("commit.json", "[]"),
        ("commit.json", '{"state": {}, "files": {}}'),
    ],
)
def test_a_damaged_campaign_is_refused(project: Path, name: str, text: str) -> None:
    (project / "campaign").mkdir()
    (project / "campaign" / name).write_text(text)
    found = run("campaign", project / "campaign", "--root", project)
    assert (found.exit_code, f"{name} is damaged" in found.output) == (2, True), found.output
