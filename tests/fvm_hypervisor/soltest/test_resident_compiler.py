"""npm's compiler as a process that several compilations share; the compilers count their calls."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.compile.compiler import Solc
from fvm_hypervisor.soltest.execution.discovery import SuiteFilter
from fvm_hypervisor.soltest.execution.job import Options
from fvm_hypervisor.soltest.project.project import load_project
from fvm_hypervisor.soltest.resident_compiler import ResidentCompiler
from fvm_hypervisor.soltest.run.session import SuiteSession

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")

COUNTING = (
    "let calls = 0; module.exports = { _solidity_reset() {}, cwrap: () => (input) => "
    "JSON.stringify({ calls: ++calls, asked: JSON.parse(input), contracts: {}, sources: {} }) };"
)


@pytest.fixture
def resident() -> Iterator[ResidentCompiler]:
    made = ResidentCompiler()
    yield made
    made.close()


def solc(folder: Path, version: str = "0.8.30") -> Solc:
    """Return a compiler in a new folder, which is npm's package too."""
    folder.mkdir()
    (folder / "soljson.js").write_text(COUNTING, encoding="utf-8")
    (folder / "package.json").write_text(f'{{"version": "{version}"}}', encoding="utf-8")
    return Solc(version, folder / "soljson.js", True)


def test_compilations_share_a_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    outputs = [resident.run(compiler).compile({"number": number}) for number in range(3)]
    assert [output["calls"] for output in outputs] == [1, 2, 3]
    assert [output["asked"] for output in outputs] == [{"number": number} for number in range(3)]


@pytest.mark.slow
def test_another_compiler_gets_another_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    first = resident.run(solc(tmp_path / "old"))
    assert first.compile({})["calls"] == 1
    assert resident.run(solc(tmp_path / "new", "0.8.31")).compile({})["calls"] == 1
    assert first.has_ended


def test_ended_process_is_replaced(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    run = resident.run(compiler)
    run.stop()
    run.discard()
    assert resident.run(compiler).compile({})["calls"] == 1


@pytest.mark.slow
def test_process_is_replaced_after_many_compilations(
    resident: ResidentCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fvm_hypervisor.soltest.resident_compiler._MAX_COMPILATIONS", 2)
    compiler = solc(tmp_path / "solc")
    assert [resident.run(compiler).compile({})["calls"] for _ in range(5)] == [1, 2, 1, 2, 1]


def test_closing_ends_the_process(tmp_path: Path) -> None:
    made = ResidentCompiler()
    run = made.run(solc(tmp_path / "solc"))
    made.close()
    assert run.has_ended


def test_sessions_share_the_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    source = tmp_path / "project" / "src" / "A.sol"
    source.parent.mkdir(parents=True)
    (tmp_path / "project" / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    options = Options(use=str(compiler.path.parent))
    for number in range(2):
        source.write_text(f"contract A{number} {{}}", encoding="utf-8")
        project = load_project(tmp_path / "project")
        SuiteSession(project, SuiteFilter(), options, resident=resident).prepare()
    assert resident.run(Solc("0.8.30", compiler.path.resolve(), True)).compile({})["calls"] == 3
