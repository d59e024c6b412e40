"""Files written for forge equal forge's own; its files of other settings are not changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.soltest.compile.artifact import ArtifactLocation
from hypervisor_tools.soltest.compile.compiling import CompiledSource
from hypervisor_tools.soltest.compile.forge_cache import forge_artifacts, write_forge_cache
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from hypervisor_tools.soltest.project.remappings import Remapping
from hypervisor_tools.soltest.project.sources import Sources, declared_contracts
from store.keccak import keccak
from tests.hypervisor_tools.soltest.contracts import forge_out, write

# Two sources as forge 1.7.1 has written them into its cache, with the hashes that it gave them.
HASHES = {
    "src/L.sol": (
        "e6cf56426fee1b89",
        "library L { function g(uint x) internal pure returns (uint) { return x * 2; } }",
    ),
    "src/A.sol": (
        "c1c0427d6d4263cf",
        'import {L} from "./L.sol";\n'
        "contract A { function f(uint x) external pure returns (uint) { return L.g(x) + 1; } }",
    ),
}
HEAD = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.20;\n"


class Left:
    """A project of these sources, compiled, and its files for forge."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root, compiler=CompilerSettings(optimizer=True))
        texts = {name: f"{HEAD}{text}\n" for name, (_, text) in HASHES.items()}
        self.sources = Sources(texts, frozenset(texts), (Remapping("x/", "src/"),), {"src/A.sol": ("src/L.sol",)})
        (root / "src").mkdir()
        for name, text in texts.items():
            (root / name).write_text(text, encoding="utf-8")
        self.file = root / "cache" / "solidity-files-cache.json"

    def compiled(self, *names: str) -> dict[str, CompiledSource]:
        found = {}
        for name in names:
            made = self.project.root / f"{Path(name).stem}.json"
            made.write_text(f'{{"of": "{name}"}}', encoding="utf-8")
            numbers = {0: "src/A.sol", 1: "src/L.sol"} if name == "src/A.sol" else {1: "src/L.sol"}
            found[name] = CompiledSource(name, (ArtifactLocation(name, made.stem, made),), numbers)
        return found

    def leave(self, *names: str) -> dict[str, Any] | None:
        """Write these sources for forge, and return the cache file."""
        write_forge_cache(self.project, self.sources, "0.8.37", self.compiled(*names), {})
        content: dict[str, Any] | None = json.loads(self.file.read_bytes()) if self.file.is_file() else None
        return content


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def test_a_new_cache_has_forges_form(left: Left) -> None:
    content = left.leave("src/A.sol", "src/L.sol")
    assert content is not None
    (build,) = content["builds"]
    entry = content["files"]["src/A.sol"]
    assert {name: found["contentHash"] for name, found in content["files"].items()} == {
        name: expected for name, (expected, _) in HASHES.items()
    }
    assert entry["imports"] == ["src/L.sol"]
    assert entry["artifacts"] == {"A": {"0.8.37": {"default": {"path": "A.sol/A.json", "build_id": build}}}}
    assert content["profiles"]["default"]["solc"]["evmVersion"] == "osaka"
    assert "remappings" not in content["profiles"]["default"]["solc"]
    out = left.project.root / "out"
    assert json.loads((out / "A.sol" / "A.json").read_bytes()) == {"of": "src/A.sol"}
    info = json.loads((out / "build-info" / f"{build}.json").read_bytes())
    assert info["source_id_to_path"] == {"0": "src/A.sol", "1": "src/L.sol"}


def test_cache_entry_with_changed_import_is_dropped(left: Left) -> None:
    """Its own hash is unchanged: with the import's new one beside it, forge would use it."""
    left.leave("src/A.sol", "src/L.sol")
    name = "src/L.sol"
    left.sources.texts[name] += "// one line\n"
    (left.project.root / name).write_text(left.sources.texts[name], encoding="utf-8")
    content = left.leave(name)
    assert content is not None
    assert content["files"].keys() == {name}


def test_unchanged_cache_entry_is_preserved(left: Left) -> None:
    left.leave("src/A.sol", "src/L.sol")
    name = "src/A.sol"
    left.sources.texts[name] += "// one line\n"
    (left.project.root / name).write_text(left.sources.texts[name], encoding="utf-8")
    content = left.leave(name)
    assert content is not None
    assert content["files"].keys() == {"src/A.sol", "src/L.sol"}


@pytest.mark.parametrize(
    "spoilt", [b"", b"[]", b"{}", b'{"paths": 7}', b'{"files": {"src/A.sol": 7}}'], ids=lambda found: found.decode()
)
def test_a_cache_that_cannot_be_read_stays(left: Left, spoilt: bytes) -> None:
    left.file.parent.mkdir()
    left.file.write_bytes(spoilt)
    write_forge_cache(left.project, left.sources, "0.8.37", left.compiled("src/A.sol"), {})
    assert left.file.read_bytes() == spoilt
    assert not (left.project.root / "out").exists()


def test_a_cache_of_other_settings_stays(left: Left) -> None:
    before = left.leave("src/A.sol", "src/L.sol")
    left.project = replace(left.project, compiler=CompilerSettings(via_ir=True))
    assert left.leave("src/A.sol") == before


def test_sources_importing_non_project_files_are_skipped(left: Left) -> None:
    shipped, test = "hypervisor/FilecoinVm.sol", "test/T.t.sol"
    left.sources.texts[shipped] = "interface FilecoinVm {}"
    left.sources.texts[test] = f'import "{shipped}"; contract T {{}}'
    (left.project.root / "test").mkdir()
    (left.project.root / test).write_text(left.sources.texts[test], encoding="utf-8")
    left.sources = replace(left.sources, imports={**left.sources.imports, test: (shipped,)})
    content = left.leave("src/A.sol", "src/L.sol", test, shipped)
    assert content is not None
    assert content["files"].keys() == {"src/A.sol", "src/L.sol"}
    out = left.project.root / "out"
    assert {path.name for path in out.iterdir()} == {"A.sol", "L.sol", "build-info"}
    for file in (out / "build-info").iterdir():
        assert shipped not in json.loads(file.read_text(encoding="utf-8"))["source_id_to_path"].values()


def test_same_named_contracts_and_files_get_separate_artifacts(left: Left) -> None:
    other = "src/v2/L.sol"
    (left.project.root / "src" / "v2").mkdir()
    (left.project.root / other).write_text("library L {}", encoding="utf-8")
    left.sources.texts[other] = "library L {}"
    content = left.leave("src/L.sol", other)
    assert content is not None
    paths = {name: found["artifacts"]["L"]["0.8.37"]["default"]["path"] for name, found in content["files"].items()}
    assert paths == {"src/L.sol": "L.sol/L.json", other: "v2/L.sol/L.json"}


def test_cache_entry_of_empty_source_is_retained(left: Left) -> None:
    left.sources.texts["src/L.sol"] = ""
    (left.project.root / "src" / "L.sol").write_text("", encoding="utf-8")
    left.leave("src/A.sol", "src/L.sol")
    content = left.leave("src/A.sol")
    assert content is not None
    assert content["files"].keys() == {"src/A.sol", "src/L.sol"}


FILE = "test/Pair.t.sol"
TEXT = "contract ATest { function test_a() public {} }\ncontract BTest { function test_b() public {} }\n"
OTHER, OTHER_TEXT = "src/C.sol", "contract C {}\n"
EMPTY: dict[str, Any] = {"abi": [], "bytecode": {"object": "0x00"}}


def found(root: Path, **settings: Any) -> CompiledSource | None:
    project = Project(root, compiler=CompilerSettings()._replace(**settings))
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
