"""Syntax trees are compiled once for the same sources; cached trees of other sources are not used."""

import json
import os
from pathlib import Path
from time import time

import pytest

from fvm_hypervisor.soltest.compile.compiler import Solc
from fvm_hypervisor.soltest.compile.syntax_trees import syntax_trees
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.sources import Sources
from hypervisor.installation import user_folder

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
