"""docs/performance.md names rows, areas and vectors that exist, and states the targets as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import __main__ as bench
from fvm_hypervisor.laboratory.vectors.conformance import find_vectors, read_vectors

PROJECT = Path(__file__).resolve().parent.parent.parent
PAGE = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_the_rows_beside_the_reference_have_the_targets_of_the_bench() -> None:
    text = PAGE.split("## Beside the reference implementation\n")[1].split("\n## ")[0]
    stated = re.findall(r"^\| ([^|`]+) \| (\d+) (x|us|ms) \| [\d.]+ \w+ \| (?:met|missed) \|$", text, re.MULTILINE)
    scale = {"x": 1, "us": 1, "ms": 1000}
    rows = {name: float(limit) * scale[unit] for name, limit, unit in stated}
    assert rows == {target.name: target.limit for target in bench.targets() if target.area == "reference"}


@pytest.mark.parametrize(
    ("section", "area"), [("Contracts", "evm"), ("The fast engine", "engines"), ("Built-in actors", "actors")]
)
def test_the_rows_beside_others_have_the_targets_of_the_bench(section: str, area: str) -> None:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    stated = {name: float(limit) for name, limit in re.findall(r"^\| ([^|`]+) \| ([\d.]+) x \| ", text, re.MULTILINE)}
    assert stated == {target.name: target.limit for target in bench.targets() if target.area == area and target.peer}


@pytest.mark.parametrize(("section", "area"), [("The node", "node"), ("Scale", "scale")])
def test_the_rows_of_the_node_are_those_of_the_bench(section: str, area: str) -> None:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    stated = set(re.findall(r"^\| ([^|`]+) \| [\d.]+ ", text, re.MULTILINE))
    targets = {target.name for target in bench.targets() if target.area == area}
    whole = {"snapshot and revert, 100,000 actors", "memory that the long chain adds"}  # sentences below the table
    assert stated == targets - whole


@pytest.mark.parametrize(("section", "area"), [("The node", "node"), ("Compiled regions", "regions")])
def test_the_limits_are_those_of_the_bench(section: str, area: str) -> None:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    stated = re.findall(r"^\| ([^|`]+) \| ([\d.]+) (x|us|ms|MiB) \| ", text, re.MULTILINE)
    targets = [target for target in bench.targets() if target.area == area]
    assert stated == [(target.name, f"{target.limit:g}", target.unit) for target in targets]


def test_the_rows_of_solidity_tests_are_those_of_the_bench() -> None:
    text = PAGE.split("## Solidity tests\n")[1].split("\n## ")[0]
    stated = re.findall(r"^\| ([^|`]+) \| ([\d.]+) (\w+) \| [\d.]+ \w+ \| (?:met|missed) \|$", text, re.MULTILINE)
    targets = [target for target in bench.targets() if target.area == "solidity"]
    assert stated == [(target.name, f"{target.limit:g}", target.unit) for target in targets]


def test_every_area_that_is_named_is_one() -> None:
    assert set(re.findall(r"ARGS=(\w+)", PAGE)) <= set(bench.areas())


def test_every_vector_that_is_named_is_in_the_golden_set() -> None:
    golden = PROJECT / "tests" / "golden"
    names = {
        vector["_meta"]["id"].partition("@")[0] for path in find_vectors([golden]) for vector in read_vectors(path)
    }
    groups = {name.partition("/")[0] for name in names}
    named = [name for name in re.findall(r"`([a-z]+/[a-z0-9/*-]+)`", PAGE) if name.partition("/")[0] in groups]
    assert len(named) > 8
    for name in named:
        assert any(known.startswith(name.rstrip("*")) for known in names), name
