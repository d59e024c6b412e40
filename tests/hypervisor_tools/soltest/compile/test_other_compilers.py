"""Sources that foundry.toml gives to another package's compiler, and actors with its code in Solidity tests."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile import solc
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.solc import COMPILERS_GROUP
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import CaseStatus
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.run.session import SuiteSession
from tests.hypervisor_tools.soltest.conftest import Results
from tests.hypervisor_tools.soltest.contracts import call_of_cheatcode
from tests.runtimes.postfix import COUNTER, installed_postfix

COMPILER = """#!{python}
import json, re, sys
if "--version" in sys.argv:
    sys.exit(print("Version: 0.8.30"))
asked = json.load(sys.stdin)
made = {{"abi": [], "evm": {{"bytecode": {{"object": "{code}"}}, "deployedBytecode": {{"object": "{code}"}}}}}}
names = {{name: re.findall(r"contract (\\w+)", found["content"]) for name, found in asked["sources"].items()}}
contracts = {{file: dict.fromkeys(names[file], made) for file in asked["settings"]["outputSelection"]}}
print(json.dumps({{"contracts": contracts, "sources": {{file: {{"id": 0}} for file in names}}}}))
"""
POSTFIX: Solc


def compiler(path: Path, code: str) -> Path:
    """Write a program that compiles each contract to this code."""
    path.write_text(COMPILER.format(python=sys.executable, code=code), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SuiteSession]:
    """Return a function that opens a project whose sources the compiler of this name compiles, too."""
    point = EntryPoint("postfix", f"{__name__}:POSTFIX", COMPILERS_GROUP)
    monkeypatch.setattr(solc, "entry_points_of", lambda group: EntryPoints((point,)).select(group=group))
    own = Solc("0.8.30", compiler(tmp_path / "postfix", COUNTER.hex()), False)
    monkeypatch.setitem(globals(), "POSTFIX", own)
    for name in ("Counter", "Other"):
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / f"{name}.sol").write_text(f"contract {name} {{}}", encoding="utf-8")

    def opened(name: str) -> SuiteSession:
        text = f'[profile.default]\ncompilers.{name} = ["src/Counter.sol"]\n'
        (tmp_path / "foundry.toml").write_text(text, encoding="utf-8")
        use = compiler(tmp_path / "solc", "60016000")
        return SuiteSession(load_project(tmp_path), SuiteFilter(), Options(use=str(use)))

    return opened


def test_chosen_sources_have_the_code_of_both_compilers(session: Callable[[str], SuiteSession]) -> None:
    artifacts = session("postfix").compiled()
    found = {name: [each.creation.object for each in artifacts.search(name)] for name in (
        "Counter.sol", "Counter.sol:Counter", "Counter.sol:Counter@postfix", "Other@postfix",
    )}  # fmt: skip
    assert found == {
        "Counter.sol": ["60016000"], "Counter.sol:Counter": ["60016000"],
        "Counter.sol:Counter@postfix": [COUNTER.hex()], "Other@postfix": [],
    }  # fmt: skip


def test_missing_compiler_is_refused_with_the_installed_ones(session: Callable[[str], SuiteSession]) -> None:
    with pytest.raises(InvalidInput, match=r"the compiler 'resin', which is not installed: .* one of: postfix"):
        session("resin").compiled()


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_solidity_test_creates_an_actor_with_the_code_of_another_compiler(
    run_contracts: Callable[..., Results],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rules: str,
) -> None:
    deploys = call_of_cheatcode("deployActor(string,bytes)", "T.t.sol:Counter@postfix", b"")
    calls = f"60205f5f3e60205f5f5f5f5f5173ff{'00' * 19}175af1"  # its masked ID
    counts = ["5f51", "6001", "14", "16", "@good", "57", "5f5ffd", "good:", "00"]
    counter = {"abi": [], "bytecode": {"object": COUNTER.hex()}, "deployedBytecode": {"object": COUNTER.hex()}}
    with installed_postfix(tmp_path, monkeypatch):
        suite = {"testCounts()": [*deploys, calls, *counts]}
        found = run_contracts({"Suite": suite, "Counter@postfix": counter}, rules=rules)["Suite"]["testCounts()"]
    assert (found.status, found.reason) == (CaseStatus.SUCCESS, None)
