"""docs/engines.md says exactly what of py-evm is used, and opcodes of ours have the paragraphs that it promises."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from runtimes.evm.ethereum.forks import FORKS
from runtimes.evm.opcodes import FILECOIN_OPCODES
from runtimes.evm.py_evm.ethereum import ETHEREUM
from runtimes.evm.py_evm.opcodes import OWN, undefined
from tests.packaging.project import PACKAGES, PROJECT

LABELS = ("STACK", "GAS", "OPERATION", "PROGRAM COUNTER")


def section() -> str:
    text = (PROJECT / "docs" / "engines.md").read_text(encoding="utf-8")
    return text.split("## What of py-evm is used\n")[1].split("\n## ")[0]


def rows(heading: str) -> Iterator[tuple[str, str]]:
    """The first two cells of the table with this first column."""
    _, table = section().split(f"| {heading} |")
    for line in table.split("\n\n")[0].splitlines()[2:]:
        first, second = line.split("|")[1:3]
        yield first.strip().strip("`"), second


def used() -> dict[str, set[str]]:
    """Return the names that the packages import from py-evm by module, and the files that they read."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "eth":
                    found.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
                elif isinstance(node, ast.Import):
                    assert not [alias for alias in node.names if alias.name.split(".")[0] == "eth"], path
            for module, name in re.findall(r'files\("(eth[.\w]*)"\) / "([^"]+)"', source):
                found.setdefault(module, set()).add(name)
    return found


def names_in(cell: str) -> set[str]:
    """The opcodes of a cell; `A1` to `A3` stands for all between them."""
    names = set(re.findall(r"`(\w+)`", cell))
    for kind, first, last in re.findall(r"`([A-Z]+)(\d+)` to `[A-Z]+(\d+)`", cell):
        names |= {f"{kind}{number}" for number in range(int(first), int(last) + 1)}
    return names


@pytest.mark.slow
def test_imports_table_matches_actual_imports() -> None:
    assert {module: set(re.findall(r"`([^`]+)`", cell)) for module, cell in rows("from")} == used()


@pytest.mark.parametrize("family", ["filecoin", "ethereum"])
def test_opcode_table_matches_opcodes_run_by_py_evm(family: str) -> None:
    listed = set().union(*(names_in(cell) for _, cell in rows("kind")))
    tables = [FILECOIN_OPCODES] if family == "filecoin" else [fork.opcodes for fork in FORKS.values()]
    own: Mapping[str, Any] = OWN if family == "filecoin" else ETHEREUM
    assert {opcode.name for table in tables for opcode in table.values()} - own.keys() == listed


@pytest.mark.parametrize("function", [*{**OWN, **ETHEREUM}.values(), undefined], ids=lambda one: one.__qualname__)
def test_every_opcode_of_ours_has_its_paragraphs_in_their_order(function: Any) -> None:
    lines = inspect.getsource(function).splitlines() + _behind(function)
    assert tuple(re.findall(r"^ +# (STACK|GAS|OPERATION|PROGRAM COUNTER)\b", "\n".join(lines), re.MULTILINE)) == LABELS


def _behind(function: Any) -> list[str]:
    """The comment at the end of a function, which `inspect` leaves out where nothing follows it."""
    lines, start = inspect.findsource(function)
    end = start + len(inspect.getsource(function).splitlines())
    return [line for line in lines[end : end + 1] if line.strip().startswith("# PROGRAM COUNTER")]
