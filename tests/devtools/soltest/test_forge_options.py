"""What `hypervisor test` has of the options of `forge test` (1.7.1), and what it says of the others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devtools.cli.forge_options import NOT_HERE
from devtools.cli.main import app
from devtools.soltest import session
from devtools.soltest.results import CaseKind, CaseStatus, SuiteResult, TestResult
from tests.devtools.soltest.contracts import PASS, artifact, forge_out

FORGE = """
    --allow-failure --block-base-fee-per-gas --block-coinbase --block-number --block-timestamp --chain
    --code-size-limit --contracts --debug --decode-internal --evm-version --fail-fast --ffi --flamegraph
    --force --fork-block-number --fuzz-runs --fuzz-seed --fuzz-timeout --gas-price --gas-report
    --gas-snapshot-check --gas-snapshot-emit --initial-balance --isolate --json --junit --lib-paths
    --libraries --list --match-contract --match-path --match-test --no-cache --no-match-contract
    --no-match-path --no-match-test --optimize --optimizer-runs --out --remappings --rerun --root --rpc-url
    --sender --show-progress --skip --summary --threads --use --verbosity --via-ir --watch
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "foundry.toml").write_text('[profile.default]\nsolc = "0.8.30"\n')
    (tmp_path / "test").mkdir()
    text = "contract A {} contract B {}"
    (tmp_path / "test" / "T.t.sol").write_text(text, encoding="utf-8")
    made = {"A": artifact({"testOne()": PASS}), "B": artifact({"testThree()": PASS, "testTwo()": PASS})}
    forge_out(tmp_path, "test/T.t.sol", text, made)
    return tmp_path


def test_every_usual_option_of_forge_is_there_or_refused_with_the_remedy() -> None:
    shown = CliRunner().invoke(app, ["test", "--help"], env={"COLUMNS": "200"}).output
    known = set(re.findall(r"--[a-z-]+", shown))
    assert set(FORGE.split()) <= known | set(NOT_HERE)
    assert not known & set(NOT_HERE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fork-url", "http://127.0.0.1:1"], "`forge test --fork-url URL` runs them on a fork of `hypervisor node`"),
        (["--root", "."], "--root is an option of forge that this command does not have: the project is the argument"),
        (["-w"], "what has not changed is not compiled again"),
        (["--via-ir"], "foundry.toml: via_ir"),
    ],
)
def test_an_option_that_is_not_there_says_what_to_use(options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["test", *options])
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


def test_a_list_has_the_tests_by_file_and_contract(project: Path) -> None:
    done = CliRunner().invoke(app, ["test", str(project), "--list", "-j", "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout == "test/T.t.sol\n  A\n    testOne\n\n  B\n    testThree\n    testTwo\n\n"
    found = json.loads(CliRunner().invoke(app, ["test", str(project), "-l", "--json"]).stdout)
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
    done = CliRunner().invoke(app, ["test", str(project), *options])
    assert (done.exit_code, ended) == (1, [True])
    assert done.stdout.count("Suite result: FAILED") == count
