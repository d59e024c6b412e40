"""docs/fidelity.md tells the truth: every quirk has its vectors and its test, the golden set has the stated numbers."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from tests.conformance.coverage import MESSAGE_FILES, VERSIONS, golden_coverage
from tests.fvm_hypervisor.builtin_actors.official import OTHERS

TESTS = Path(__file__).resolve().parent.parent
PAGE = (TESTS.parent / "docs" / "fidelity.md").read_text(encoding="utf-8")
QUIRKS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|`]+)::([^|`]+)` \|$", PAGE, re.MULTILINE)


@cache
def names() -> frozenset[str]:
    """Golden vectors, without their network versions."""
    vectors = (vector for path in MESSAGE_FILES for vector in read_vectors(path))
    return frozenset(vector["_meta"]["id"].partition("@")[0] for vector in vectors)


def test_the_page_lists_quirks() -> None:
    assert QUIRKS


@pytest.mark.parametrize("row", QUIRKS, ids=lambda row: row[4])
def test_a_quirk_has_a_source_vectors_and_a_test(row: tuple[str, str, str, str, str]) -> None:
    _, source, vectors, file, function = row
    assert ".rs" in source
    for pattern in re.findall(r"`([^`]+)`", vectors):
        assert any(fnmatch(name, pattern) for name in names()), pattern
    assert "`" in vectors or vectors.startswith("none: ")
    defined = {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert function in defined


def test_vectors_named_on_fidelity_page_exist() -> None:
    groups = "|".join(sorted({name.partition("/")[0] for name in names()}))
    for pattern in re.findall(rf"`((?:{groups})/[^` ]+)`", PAGE):
        if not pattern.endswith((".py", ".rs")) and "::" not in pattern:
            assert any(fnmatch(name, pattern) for name in names()), pattern


def test_the_numbers_of_the_golden_set_are_the_files() -> None:
    versions = golden_coverage().versions
    counts = [versions[version] for version in VERSIONS]
    row = " | ".join(f"{count:,}" for count in [*counts, sum(counts)])
    assert f"| cases | {row} |" in PAGE
    assert f"the golden set: {sum(counts):,} cases" in PAGE


def test_each_deviation_reason_of_other_bundles_has_a_row() -> None:
    section = PAGE.split("### Our actors beside older ones and other builds")[1].split("\n### ")[0]
    rows = re.findall(r"^\| (v\d\S+) \| ([^|]+) \|", section, re.MULTILINE)
    wanted = {(other.name, reason) for other in OTHERS for reason in other.left_out.values()}
    assert len(rows) == len(wanted)
    for name, reason in wanted:
        assert any(row[0] == name and row[1].startswith(reason) for row in rows), reason
