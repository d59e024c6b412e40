"""What forge and `hypervisor test` have compiled, each with npm's compiler, serves the other."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.soltest.compiler import choose_solc
from devtools.soltest.compiling import compiled_sources
from devtools.soltest.project import load_project
from devtools.soltest.sources import own_sources, read_sources
from tests.clients.conftest import EXAMPLE, run, start

pytestmark = pytest.mark.long
PROJECT = Path(__file__).resolve().parent / "covered"
SOURCE, TEST = "src/Till.sol", "test/Till.t.sol"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "covered"))


def add_line(file: Path) -> None:
    file.write_text(file.read_text(encoding="utf-8") + "\n// one line\n", encoding="utf-8")


def passes(clients: Path, project: Path) -> str:
    """What `hypervisor test` prints, all tests passed."""
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    done = start(clients, program, "test", "--use", solc, folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(clients: Path, project: Path) -> str:
    return run(clients, "forge", "build", "--use", EXAMPLE / "solc.mjs", folder=project)


def test_what_forge_has_compiled_in_several_runs_is_not_compiled_again(clients: Path, project: Path) -> None:
    build(clients, project)
    add_line(project / TEST)
    build(clients, project)
    assert len(list((project / "out" / "build-info").iterdir())) == 2
    assert "Compiling" not in passes(clients, project)
    add_line(project / TEST)
    assert "Compiling 1 files" in passes(clients, project)
    assert "Compiling" not in passes(clients, project)


@pytest.mark.parametrize("via_ir", [False, True], ids=["legacy", "ir"])
def test_the_code_of_what_changed_is_that_of_compiling_everything(clients: Path, project: Path, via_ir: bool) -> None:
    """To the byte, the metadata's hash at its end included."""
    loaded = load_project(project)
    loaded = replace(loaded, compiler=replace(loaded.compiler, optimizer=True, via_ir=via_ir))
    solc = choose_solc(loaded, str(clients / "node_modules" / "solc"))

    def codes(cache: str, told: list[str]) -> dict[tuple[str, str], list[str]]:
        sources = read_sources(loaded, own_sources(loaded))
        found = compiled_sources(replace(loaded, cache=cache), sources, sources.texts, solc, told.append)
        made = {
            (place.file, place.name): json.loads(place.path.read_bytes())
            for one in found.values()
            for place in one.places
        }
        return {
            key: [one["bytecode"]["object"], one["deployedBytecode"]["object"], one["rawMetadata"]]
            for key, one in made.items()
        }

    told: list[str] = []
    codes("kept", told)
    add_line(project / SOURCE)
    found = codes("kept", told)
    assert found == codes("empty", told)
    assert [line.split(" files ")[0] for line in told] == ["Compiling 3", "Compiling 2", "Compiling 3"]
