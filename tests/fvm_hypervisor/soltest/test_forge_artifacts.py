"""Forge's artifacts replace compilation only if those of a source are complete, intact and current."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.soltest.compiled_cache import CompiledSource
from fvm_hypervisor.soltest.forge_artifacts import forge_artifacts
from fvm_hypervisor.soltest.project.project import CompilerSettings, Project
from fvm_hypervisor.soltest.project.sources import Sources, declared_contracts
from store.keccak import keccak
from tests.fvm_hypervisor.soltest.contracts import forge_out, write

FILE = "test/Pair.t.sol"
TEXT = "contract ATest { function test_a() public {} }\ncontract BTest { function test_b() public {} }\n"
OTHER, OTHER_TEXT = "src/C.sol", "contract C {}\n"
EMPTY: dict[str, Any] = {"abi": [], "bytecode": {"object": "0x00"}}


def found(root: Path, **settings: Any) -> CompiledSource | None:
    project = Project(root, compiler=replace(CompilerSettings(), **settings))
    return forge_artifacts(project, Sources({FILE: TEXT}, frozenset({FILE}), ()), "0.8.30").get(FILE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Forge's output for the source: a file for each contract."""
    return forge_out(tmp_path, FILE, TEXT, {"ATest": EMPTY, "BTest": EMPTY})


def test_whole_artifacts_are_taken(tmp_path: Path, out: Path) -> None:
    there = found(tmp_path)
    assert there is not None
    assert [(place.file, place.name, place.path.parent) for place in there.locations] == [
        (FILE, "ATest", out),
        (FILE, "BTest", out),
    ]
    assert there.numbers == {0: FILE}


def test_missing_artifact_among_others_of_source_is_recompiled(tmp_path: Path, out: Path) -> None:
    (out / "BTest.json").unlink()
    assert found(tmp_path) is None


@pytest.mark.parametrize("content", ["{bad", "", "[]", "{}", '{"abi": [], "metadata": 7}'])
def test_damaged_artifact_is_recompiled(tmp_path: Path, out: Path, content: str) -> None:
    (out / "BTest.json").write_text(content, encoding="utf-8")
    assert found(tmp_path) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": True},
        {"via_ir": True},
        {"evm_version": "paris"},
        {"bytecode_hash": "none"},
        {"cbor_metadata": False},
        {"optimizer_details": {"yul": False}},
    ],
    ids=str,
)
def test_artifacts_with_other_settings_are_recompiled(tmp_path: Path, out: Path, settings: dict[str, Any]) -> None:
    assert found(tmp_path, **settings) is None


@pytest.mark.parametrize("content", ["", "[]", '{"source_id_to_path": {"x": "y"}}', '{"source_id_to_path": []}'])
def test_artifact_without_source_ids_is_recompiled(tmp_path: Path, out: Path, content: str) -> None:
    (build,) = (tmp_path / "out" / "build-info").iterdir()
    build.write_text(content, encoding="utf-8")
    assert found(tmp_path) is None


@pytest.mark.parametrize("number", [1, None, "0", []], ids=str)
def test_artifact_with_differing_source_id_is_recompiled(tmp_path: Path, out: Path, number: Any) -> None:
    content = json.loads((out / "BTest.json").read_text(encoding="utf-8"))
    write(out, {"BTest": {**content, "id": number}})
    assert found(tmp_path) is None


def second_build(root: Path) -> None:
    """Write forge's output for another source, compiled alone: its index is 0, too."""
    metadata = {
        "compiler": {"version": "0.8.30+commit.73712a01"},
        "settings": {"compilationTarget": {OTHER: "C"}, "evmVersion": "osaka"},
        "sources": {OTHER: {"keccak256": f"0x{keccak(OTHER_TEXT.encode()).hex()}"}},
    }
    write(root / "out" / "C.sol", {"C": {**EMPTY, "metadata": metadata, "id": 0}})
    build = root / "out" / "build-info" / "bbbbbbbbbbbbbbbb.json"
    build.write_text(json.dumps({"source_id_to_path": {"0": OTHER}}), encoding="utf-8")


def test_each_run_of_the_compiler_has_its_own_numbers(tmp_path: Path, out: Path) -> None:
    second_build(tmp_path)
    made = {"Pair.t.sol/ATest": "61a89ac0d564c2e4", "Pair.t.sol/BTest": "61a89ac0d564c2e4", "C.sol/C": "b" * 16}
    files: dict[str, Any] = {}
    for place, build in made.items():
        file = OTHER if place.startswith("C") else FILE
        artifacts = files.setdefault(file, {"artifacts": {}})["artifacts"]
        artifacts[place.partition("/")[2]] = {"0.8.30": {"default": {"path": f"{place}.json", "build_id": build}}}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "solidity-files-cache.json").write_text(json.dumps({"files": files}), encoding="utf-8")
    sources = Sources({FILE: TEXT, OTHER: OTHER_TEXT}, frozenset({FILE, OTHER}), ())
    there = forge_artifacts(Project(tmp_path), sources, None)
    assert {file: source.numbers for file, source in there.items()} == {FILE: {0: FILE}, OTHER: {0: OTHER}}
    assert there[FILE].build != there[OTHER].build


def test_ids_of_several_runs_are_not_guessed_without_forge_cache(tmp_path: Path, out: Path) -> None:
    second_build(tmp_path)
    assert found(tmp_path) is None


def test_changed_files_and_importers_are_recompiled_rest_reused(tmp_path: Path, out: Path) -> None:
    texts = {FILE: TEXT, OTHER: OTHER_TEXT}
    unlinked = Sources(texts, frozenset(texts), ())
    assert forge_artifacts(Project(tmp_path), unlinked, "0.8.30").keys() == {FILE}
    linked = Sources(texts, frozenset(texts), (), {FILE: (OTHER,)})
    assert forge_artifacts(Project(tmp_path), linked, "0.8.30").keys() == set()


def test_declared_contracts_are_found_in_source_text() -> None:
    text = """abstract contract A {} contract B is A { string s = "x"; } // contract No {}
/* library No2 {} */
library L$ { function f() internal {} }
    interface I_1 {}"""
    assert declared_contracts(text) == {"A", "B", "L$", "I_1"}


def test_a_cache_that_leads_out_of_the_artifacts_leads_nowhere(tmp_path: Path, out: Path) -> None:
    """Its paths are untrusted: files elsewhere are not opened."""
    (build,) = (path.stem for path in (tmp_path / "out" / "build-info").iterdir())
    outside = (out / "BTest.json").rename(tmp_path / "BTest.json")

    def with_path(path: str) -> CompiledSource | None:
        places = {"ATest": f"{Path(FILE).name}/ATest.json", "BTest": path}
        artifacts = {name: {"0.8.30": {"default": {"path": at, "build_id": build}}} for name, at in places.items()}
        (tmp_path / "cache").mkdir(exist_ok=True)
        cache = tmp_path / "cache" / "solidity-files-cache.json"
        cache.write_text(json.dumps({"files": {FILE: {"artifacts": artifacts}}}), encoding="utf-8")
        return found(tmp_path)

    assert with_path("../BTest.json") is None
    assert with_path(str(outside)) is None
    (tmp_path / "out" / "folder.json").mkdir()
    for path in (
        "B\0Test.json",
        "a\0.json",
        "",
        ".",
        "folder.json",
        "missing.json",
        "\ud800.json",
        f"{'a' * 300}.json",
    ):
        assert with_path(path) is None, repr(path)
    outside.rename(tmp_path / "out" / "BTest.json")
    assert with_path("BTest.json") is not None
