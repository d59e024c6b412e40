"""Tests of docs/performance.md: its rows, areas and vectors exist, and its limits are those of the bench."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import __main__ as bench
from fvm_hypervisor.laboratory.vectors.conformance import find_vectors, read_vectors

PROJECT = Path(__file__).resolve().parent.parent.parent
PAGE = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")
AREAS_WITH_PEERS = ("actors", "engines", "evm", "node", "reference", "regions", "solidity")


def rows(section: str, columns: int) -> dict[str, tuple[float, str]]:
    """Return the limit and its unit for each row of a section's table; the limit is in column `columns`."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    cells = "".join([r" ([^|]+) \|"] + [r" [^|]+ \|"] * (columns - 2))
    return {
        name: (float(limit), unit)
        for name, limit, unit in re.findall(rf"^\|{cells} ([\d.]+) (\S+) \| ", text, re.MULTILINE)
    }


def test_every_peer_benchmark_is_listed_with_its_limit() -> None:
    targets = {
        target.name: (target.limit, target.unit)
        for target in bench.targets()
        if target.area in AREAS_WITH_PEERS and target.peer and target.peer != "nv28"
    }
    assert rows("Results beside peers", 3) == targets


def test_rows_without_a_peer_have_the_limits_of_the_bench() -> None:
    targets = {(target.name, target.limit, target.unit) for target in bench.targets()}
    stated = rows("Results without a peer", 2)
    assert len(stated) > 15
    assert {(name, limit, unit) for name, (limit, unit) in stated.items()} <= targets


def test_every_missed_row_has_a_measured_value() -> None:
    assert len(re.findall(r"^\| .* \| [\d.,]+ .* \| missed \|$", PAGE, re.MULTILINE)) == PAGE.count("| missed |")


def test_every_area_that_is_named_is_one() -> None:
    assert set(re.findall(r"ARGS=(\w+)", PAGE)) <= set(bench.areas())


@pytest.mark.slow
def test_every_vector_that_is_named_is_in_the_golden_set() -> None:
    golden = PROJECT / "tests" / "golden"
    names = {
        vector["_meta"]["id"].partition("@")[0] for path in find_vectors([golden]) for vector in read_vectors(path)
    }
    groups = {name.partition("/")[0] for name in names}
    named = [name for name in re.findall(r"`([a-z]+/[a-z0-9/*-]+)`", PAGE) if name.partition("/")[0] in groups]
    assert len(named) >= 5
    for name in named:
        assert any(known.startswith(name.rstrip("*")) for known in names), name
