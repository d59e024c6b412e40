"""Files written for forge equal forge's own; its files of other settings are not changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.soltest.compile.artifact import ArtifactLocation
from fvm_hypervisor.soltest.compile.forge_cache import write_forge_cache
from fvm_hypervisor.soltest.compiled_cache import CompiledSource
from fvm_hypervisor.soltest.project.project import CompilerSettings, Project
from fvm_hypervisor.soltest.project.remappings import Remapping
from fvm_hypervisor.soltest.project.sources import Sources

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
