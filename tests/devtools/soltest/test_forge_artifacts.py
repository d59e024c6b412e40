"""Forge's artifacts stand for compiling only where all that the sources declare is there, whole and up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools.soltest.artifact import Artifacts
from devtools.soltest.forge_artifacts import forge_artifacts
from devtools.soltest.project import Project
from devtools.soltest.sources import Sources, declared_contracts
from tests.devtools.soltest.contracts import forge_out

FILE = "test/Pair.t.sol"
TEXT = "contract ATest { function test_a() public {} }\ncontract BTest { function test_b() public {} }\n"


def found(root: Path) -> Artifacts | None:
    return forge_artifacts(Project(root), Sources({FILE: TEXT}, frozenset({FILE}), ()), "0.8.30")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What forge leaves of the source: a file for each contract."""
    empty = {"abi": [], "bytecode": {"object": "0x00"}}
    return forge_out(tmp_path, FILE, TEXT, {"ATest": empty, "BTest": empty})


def test_whole_artifacts_are_taken(tmp_path: Path, out: Path) -> None:
    there = found(tmp_path)
    assert there is not None
    assert [(place.file, place.name, place.path.parent) for place in there.places] == [
        (FILE, "ATest", out),
        (FILE, "BTest", out),
    ]


def test_one_that_is_missing_beside_others_of_its_source_is_compiled_anew(tmp_path: Path, out: Path) -> None:
    (out / "BTest.json").unlink()
    assert found(tmp_path) is None


@pytest.mark.parametrize("content", ["{bad", "", "[]", "{}", '{"abi": [], "metadata": 7}'])
def test_one_that_is_damaged_is_compiled_anew(tmp_path: Path, out: Path, content: str) -> None:
    (out / "BTest.json").write_text(content, encoding="utf-8")
    assert found(tmp_path) is None


def test_what_a_source_declares_is_found_in_its_text() -> None:
    text = """abstract contract A {} contract B is A { string s = "x"; } // contract No {}
/* library No2 {} */
library L$ { function f() internal {} }
    interface I_1 {}"""
    assert declared_contracts(text) == {"A", "B", "L$", "I_1"}
