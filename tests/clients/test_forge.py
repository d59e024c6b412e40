"""Tests that forge and `hypervisor test` can use each other's artifacts."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.compiling import compiled_sources
from fvm_hypervisor.soltest.project import load_project
from fvm_hypervisor.soltest.solc_choice import SolcChoice
from fvm_hypervisor.soltest.sources import own_sources, read_sources
from tests.clients.conftest import EXAMPLE, run, start

COVERED = Path(__file__).resolve().parent / "covered"
SOURCE, TEST = "src/Till.sol", "test/Till.t.sol"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(COVERED, tmp_path / "covered"))


def add_line(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8") + "\n// one line\n", encoding="utf-8")


def passes(clients: Path, project: Path, *options: str) -> str:
    """Return the output of `hypervisor test`, whose tests must all pass."""
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    done = start(clients, program, "test", "--use", solc, *options, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(clients: Path, project: Path) -> str:
    return run(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=project)


def test_forge_artifacts_of_several_runs_are_reused(clients: Path, project: Path) -> None:
    build(clients, project)
    add_line(project / TEST)
    build(clients, project)
    assert len(list((project / "out" / "build-info").iterdir())) == 2
    assert "Compiling" not in passes(clients, project)
    add_line(project / TEST)
    assert "Compiling 1 files" in passes(clients, project)
    assert "Compiling" not in passes(clients, project)


def test_forge_has_nothing_to_compile_after_hypervisor_test(clients: Path, project: Path) -> None:
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write('remappings = ["sources/=src/"]\n')
    assert "Compiling 4 files" in passes(clients, project)
    assert "No files changed, compilation skipped" in build(clients, project)
    add_line(project / TEST)
    assert "Compiling 1 files" in passes(clients, project)
    assert "Compiling" not in passes(clients, project)
    assert "No files changed, compilation skipped" in build(clients, project)
    add_line(project / SOURCE)
    assert "Compiling 2 files" in build(clients, project)
    assert "Compiling" not in passes(clients, project)


def test_partial_test_run_does_not_hide_changes_from_forge(clients: Path, project: Path) -> None:
    text = (project / TEST).read_text(encoding="utf-8")
    (project / "test" / "Other.t.sol").write_text(
        text.replace("contract TillTest", "contract OtherTest"), encoding="utf-8"
    )
    build(clients, project)
    add_line(project / SOURCE)
    assert "Compiling 2 files" in passes(clients, project, "--match-path", TEST)
    assert "Compiling 1 files" in build(clients, project)  # Other.t.sol
    assert "Compiling" not in passes(clients, project)


def test_forge_compiles_for_itself_where_its_settings_are_others(clients: Path, project: Path) -> None:
    assert "Compiling 4 files" in passes(clients, project)
    with (project / "foundry.toml").open("a", encoding="utf-8") as config:
        config.write("optimizer = true\n")
    assert "Compiling 4 files" in build(clients, project)


@pytest.mark.parametrize("via_ir", [False, True], ids=["legacy", "ir"])
def test_incremental_compilation_yields_same_code_as_full(clients: Path, project: Path, via_ir: bool) -> None:
    """The comparison includes the metadata hash at the end of the code."""
    loaded = load_project(project)
    loaded = replace(loaded, compiler=replace(loaded.compiler, optimizer=True, via_ir=via_ir))
    solc = SolcChoice(loaded, str(clients / "node_modules" / "solc")).solc()

    def codes(cache: str, lines: list[str]) -> dict[tuple[str, str], list[str]]:
        sources = read_sources(loaded, own_sources(loaded))
        found = compiled_sources(replace(loaded, cache=cache), sources, sources.texts, solc, lines.append)
        made = {
            (place.file, place.name): json.loads(place.path.read_bytes())
            for one in found.values()
            for place in one.locations
        }
        return {
            key: [one["bytecode"]["object"], one["deployedBytecode"]["object"], one["rawMetadata"]]
            for key, one in made.items()
        }

    lines: list[str] = []
    codes("kept", lines)
    add_line(project / SOURCE)
    found = codes("kept", lines)
    assert found == codes("empty", lines)
    assert [line.split(" files ")[0] for line in lines] == ["Compiling 4", "Compiling 2", "Compiling 4"]
