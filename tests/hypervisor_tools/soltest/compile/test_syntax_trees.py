"""Syntax trees are compiled once for the same sources; cached trees of other sources are not used."""

import json
import os
from pathlib import Path
from time import time
from typing import Any

import pytest

from hypervisor.installation import user_folder
from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.compile.syntax_trees import storage_layouts, syntax_trees, uses_layouts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import Sources, own_sources, read_sources
from hypervisor_tools.soltest.run.session import SuiteSession

SOURCE, TEST = "src/A.sol", "test/A.t.sol"
TREE = {"nodeType": "SourceUnit", "src": "0:9:0"}


class Compiler:
    """A program that returns one tree and counts its runs; and a project."""

    def __init__(self, folder: Path, tree: object = TREE) -> None:
        self.project = Project(folder / "project")
        self.project.root.mkdir()
        self._asked = folder / "asked"
        program = folder / "solc"
        result = json.dumps({"sources": {SOURCE: {"ast": tree}}})
        program.write_text(f"#!/bin/sh\ncat >> {self._asked}\necho >> {self._asked}\necho '{result}'\n")
        program.chmod(0o755)
        self.solc = Solc("0.8.30", program, is_javascript=False)

    def trees(self, text: str = "contract A {}") -> object:
        sources = Sources({SOURCE: text, TEST: "contract ATest {}"}, frozenset({SOURCE, TEST}), ())
        return syntax_trees(self.project, sources, [SOURCE], self.solc)

    def asked(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._asked.read_text().splitlines()]


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Compiler(tmp_path)


def kept() -> Path:
    (file,) = (user_folder("cache") / "syntax-trees").iterdir()
    return file


def test_same_sources_are_compiled_once_without_tests(compiler: Compiler) -> None:
    assert compiler.trees() == compiler.trees() == {SOURCE: TREE}
    (asked,) = compiler.asked()
    assert asked["sources"] == {SOURCE: {"content": "contract A {}"}}


def test_changed_sources_are_recompiled_and_replace_cached(compiler: Compiler) -> None:
    for text in ("contract A {}", "contract A { }", "contract A {}"):
        compiler.trees(text)
    assert len(compiler.asked()) == 3
    assert kept().is_file()


@pytest.mark.parametrize("trees", [[], "x", 5, None, {SOURCE: 5}, {SOURCE: "ab"}])
def test_malformed_cached_tree_is_requested_again(compiler: Compiler, trees: object) -> None:
    compiler.trees()
    content = json.loads(kept().read_text())
    kept().write_text(json.dumps(content | {"trees": trees}))
    assert compiler.trees() == {SOURCE: TREE}
    assert len(compiler.asked()) == 2


def test_too_deeply_nested_syntax_trees_are_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree: dict[str, object] = {**TREE}
    for _ in range(300):
        tree = {"nodeType": "BinaryOperation", "leftExpression": tree}
    compiler = Compiler(tmp_path, tree)
    assert compiler.trees() == compiler.trees() == {SOURCE: tree}
    assert len(compiler.asked()) == 2


def test_test_only_project_needs_no_syntax_trees(compiler: Compiler) -> None:
    sources = Sources({TEST: "contract ATest {}"}, frozenset({TEST}), ())
    assert syntax_trees(compiler.project, sources, [], Solc("0.8.30", Path("missing"), is_javascript=False)) == {}


def test_syntax_trees_of_long_unchanged_project_are_dropped(compiler: Compiler) -> None:
    compiler.trees()
    old, new = (kept().with_name(name) for name in ("old.json", "new.json"))
    for file, age in ((old, 40), (new, 20)):
        file.touch()
        os.utime(file, (time() - age * 86400,) * 2)
    compiler.trees("contract B {}")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": "0", "trees": {}}', b"\xff"])
def test_damaged_syntax_tree_cache_is_requested_again(compiler: Compiler, content: bytes) -> None:
    compiler.trees()
    kept().write_bytes(content)
    assert compiler.trees() == {SOURCE: TREE}
    assert len(compiler.asked()) == 2


def test_a_folder_that_cannot_be_written_is_no_failure(compiler: Compiler) -> None:
    folder = user_folder("cache")
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    assert compiler.trees() == compiler.trees() == {SOURCE: TREE}
    assert len(compiler.asked()) == 2


LAYOUT = {"storage": [{"label": "kept", "slot": "0", "type": "t_uint256"}], "types": {}}


class AskedSolc:
    """A compiler that records its input, and returns one layout."""

    version = "0.8.30"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def start(self) -> "AskedSolc":
        return self

    def compile(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        selection = asked["settings"]["outputSelection"]
        names = asked["sources"] if "*" in selection else selection
        (wanted,) = {tuple(found["*"]) for found in selection.values()}
        found: dict[str, Any] = {"storageLayout": LAYOUT} if wanted == ("storageLayout",) else {"abi": []}
        return {"contracts": {name: {"A": found} for name in names}, "sources": {name: {"id": 0} for name in names}}


def project(folder: Path, uses: str, *extra_output: str) -> Project:
    (folder / "test").mkdir()
    (folder / "test" / "A.t.sol").write_text(f"contract A {{ function f() public {{ {uses} }} }}", encoding="utf-8")
    return Project(folder, extra_output=extra_output)


@pytest.mark.parametrize(
    ("uses", "extra_output", "times"),
    [
        ("vm.getStorageSlots(a, b);", (), 2),
        ("vm.load(a, b);", ("storageLayout",), 1),
        ("vm.getStateDiff();", (), 1),
        ("vm.getStateDiffJson();", ("storageLayout",), 2),
    ],
)
def test_storage_layouts_are_requested_only_if_cheatcode_used(
    uses: str, extra_output: tuple[str, ...], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solc = AskedSolc()
    monkeypatch.setattr(SolcChoice, "installed_solc", lambda *_: solc)
    session = SuiteSession(project(tmp_path, uses, *extra_output), SuiteFilter(), Options())
    session.compiled()
    assert len(solc.asked) == times
    assert session.job().layouts == ({("test/A.t.sol", "A"): LAYOUT} if times == 2 else {})


def test_every_job_of_a_session_runs_on_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SolcChoice, "installed_solc", lambda *_: AskedSolc())
    session = SuiteSession(project(tmp_path, ""), SuiteFilter(), Options(network=27))
    session.compiled()
    assert session.begun_job().network == 27


def test_only_storage_layouts_are_requested(tmp_path: Path) -> None:
    solc, found = AskedSolc(), project(tmp_path, "vm.getStorageSlots(a, b);")
    sources = read_sources(found, own_sources(found))
    assert uses_layouts(found, sources)
    assert storage_layouts(found, sources, solc) == {("test/A.t.sol", "A"): LAYOUT}  # type: ignore[arg-type]  # a stand-in
    assert solc.asked[0]["settings"]["outputSelection"] == {"*": {"*": ["storageLayout"]}}
