"""Sources that foundry.toml gives to another package's compiler, and actors with its code in Solidity tests."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.script import _script
from hypervisor_tools.soltest.compile import solc
from hypervisor_tools.soltest.compile.compiler import CompileError, Solc
from hypervisor_tools.soltest.compile.compiling import CompiledSource
from hypervisor_tools.soltest.compile.solc import COMPILERS_GROUP
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.mutate.builds import with_compiled
from hypervisor_tools.soltest.project.project import Project, load_project
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.hypervisor_tools.soltest.conftest import Results
from tests.hypervisor_tools.soltest.contracts import call_of_cheatcode, in_memory
from tests.runtimes.postfix import COUNTER, installed_postfix

COMPILER = """#!{python}
import json, re, sys
if "--version" in sys.argv:
    sys.exit(print("Version: 0.8.30"))
asked = json.load(sys.stdin)
test = {{"type": "function", "name": "test", "inputs": [], "outputs": [], "stateMutability": "nonpayable"}}
made = {{"abi": [test], "evm": {{"bytecode": {{"object": "{code}"}}, "deployedBytecode": {{"object": "{code}"}}}}}}
names = {{name: re.findall(r"contract (\\w+)", found["content"]) for name, found in asked["sources"].items()}}
contracts = {{file: dict.fromkeys(names[file], made) for file in asked["settings"]["outputSelection"]}}
print(json.dumps({{"contracts": contracts, "sources": {{file: {{"id": 0, "ast": {{}}}} for file in names}}}}))
"""
POSTFIX: Solc


def compiler(path: Path, code: str) -> Path:
    """Write a program that compiles each contract to this code."""
    path.write_text(COMPILER.format(python=sys.executable, code=code), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SuiteSession]:
    """Return a function that opens a project whose sources the compiler of this name compiles, too."""
    own = Solc("0.8.30", compiler(tmp_path / "postfix", COUNTER.hex()), False)
    monkeypatch.setitem(globals(), "POSTFIX", own)
    for name in ("Counter", "Other"):
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / f"{name}.sol").write_text(f"contract {name} {{}}", encoding="utf-8")

    def opened(
        name: str, *, version: str = "1.0", brutalizes: bool = False, said: list[str] | None = None
    ) -> SuiteSession:
        point = EntryPoint("postfix", f"{__name__}:POSTFIX", COMPILERS_GROUP)
        vars(point)["dist"] = SimpleNamespace(name="resin", version=version)
        monkeypatch.setattr(solc, "entry_points_of", lambda group: EntryPoints((point,)).select(group=group))
        text = f'[profile.default]\ncompilers.{name} = ["src/Counter.sol"]\n'
        (tmp_path / "foundry.toml").write_text(text, encoding="utf-8")
        use = compiler(tmp_path / "solc", "60016000")
        options = Options(use=str(use), brutalizes=brutalizes)
        return SuiteSession(load_project(tmp_path), SuiteFilter(), options, print if said is None else said.append)

    return opened


def test_chosen_sources_have_the_code_of_both_compilers(session: Callable[..., SuiteSession]) -> None:
    artifacts = session("postfix").compiled()
    found = {name: [each.creation.object for each in artifacts.search(name)] for name in (
        "Counter.sol", "Counter.sol:Counter", "Counter.sol:Counter@postfix", "Other@postfix",
    )}  # fmt: skip
    assert found == {
        "Counter.sol": ["60016000"], "Counter.sol:Counter": ["60016000"],
        "Counter.sol:Counter@postfix": [COUNTER.hex()], "Other@postfix": [],
    }  # fmt: skip


def test_contracts_of_another_compiler_are_no_tests(session: Callable[..., SuiteSession]) -> None:
    artifacts = session("postfix").compiled()
    suites, _ = find_suites(artifacts, ["src/Counter.sol", "src/Other.sol"], SuiteFilter())
    assert [suite.contract for suite in suites] == ["Counter", "Other"]
    assert _script(artifacts, "src/Counter.sol", "").name == "Counter"


def test_mutant_of_a_source_has_the_contract_of_another_compiler(session: Callable[..., SuiteSession]) -> None:
    mutant = with_compiled(session("postfix").compiled(), {"src/Counter.sol": CompiledSource("", (), {})})
    assert mutant.find("Counter@postfix") is not None


def test_another_version_of_the_package_compiles_again(session: Callable[..., SuiteSession]) -> None:
    said: list[str] = []
    for version in ("1.0", "1.0", "1.1"):
        session("postfix", version=version, said=said).compiled()
    assert said == [
        "Compiling 2 files with Solc 0.8.30", "Compiling 1 files with postfix (resin 1.0)",
        "Compiling 1 files with postfix (resin 1.1)",
    ]  # fmt: skip


def test_brutalized_projects_have_the_contracts_of_other_compilers(session: Callable[..., SuiteSession]) -> None:
    assert session("postfix", brutalizes=True).compiled().find("Counter@postfix") is not None


def test_errors_of_another_compiler_name_it(session: Callable[..., SuiteSession], tmp_path: Path) -> None:
    opened = session("postfix")
    (tmp_path / "postfix").write_text('#!/bin/sh\necho \'{"errors": [{"severity": "error"}]}\'\n', encoding="utf-8")
    with pytest.raises(CompileError, match=r"the compiler postfix \(resin 1.0\): "):
        opened.compiled()


def test_another_compiler_runs_in_the_project_without_node_options(
    session: Callable[..., SuiteSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--require=./own.js")
    opened = session("postfix")
    (tmp_path / "postfix").write_text('#!/bin/sh\necho "in $PWD $NODE_OPTIONS" >&2; exit 1\n', encoding="utf-8")
    with pytest.raises(CompileError) as failed:
        opened.compiled()
    assert str(failed.value) == f"the compiler postfix (resin 1.0): in {tmp_path}"


def test_missing_compiler_is_refused_with_the_installed_ones(session: Callable[..., SuiteSession]) -> None:
    with pytest.raises(InvalidInput, match=r"the compiler 'resin', which is not installed: .* one of: postfix"):
        session("resin").compiled()


@pytest.mark.parametrize(("rules", "isolate"), [("filecoin", False), ("ethereum", False), ("ethereum", True)])
def test_solidity_test_creates_an_actor_with_the_code_of_another_compiler(
    run_contracts: Callable[..., Results],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rules: str,
    isolate: bool,
) -> None:
    """The actor counts the calls of a contract, also those that are transactions of their own."""
    runtime = bytes.fromhex(f"60205f5f5f5f5f3573ff{'00' * 19}175af15060205ff3")  # it calls the actor of the given ID
    made = bytes.fromhex(f"61{len(runtime):04x}80600a5f395ff3") + runtime
    creates = [*in_memory(made), f"60{len(made):02x}5f5ff0"]
    deploys = call_of_cheatcode("deployActor(string,bytes)", "T.t.sol:Counter@postfix", b"")
    keeps_id, calls = "60205f5f3e", "6020602060205f5f855af1"
    counts = ["602051", "6002", "14", "16", "@good", "57", "5f5ffd", "good:", "00"]
    counter = {"abi": [], "bytecode": {"object": COUNTER.hex()}, "deployedBytecode": {"object": COUNTER.hex()}}
    with installed_postfix(tmp_path, monkeypatch):
        suite = {"testCounts()": [*creates, *deploys, keeps_id, calls, "50", calls, *counts]}
        contracts, project = {"Suite": suite, "Counter@postfix": counter}, Project(tmp_path, isolate=isolate)
        found = run_contracts(contracts, rules=rules, project=project)["Suite"]["testCounts()"]
    assert (found.status, found.reason) == (CaseStatus.SUCCESS, None)
