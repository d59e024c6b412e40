"""Tests that no two modules import each other: at import, inside a function, or for types.

The graph has an edge for every import statement, wherever it stands. What a package's `__init__` imports counts for the
package's own name only: an import of a module in it loads the `__init__`, too, but names nothing of it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.project import PACKAGES, PROJECT

EXCEPTIONS: Final[dict[frozenset[str], str]] = {}
"""Circles that stay, each with its reason."""

Graph = Mapping[str, frozenset[str]]


def graph_of(root: Path, packages: tuple[str, ...]) -> Graph:
    """Return the imports of each module within these packages."""
    files = {_name(root, file): file for package in packages for file in sorted((root / package).rglob("*.py"))}
    return {name: frozenset(_imports(file, files.keys())) - {name} for name, file in files.items()}


def _name(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path, known: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from [inner] if inner in known else [name for name in (node.module,) if name in known and name]


def circles(graph: Graph) -> list[frozenset[str]]:
    """The strongly connected components of more than one module (Tarjan's algorithm, without recursion)."""
    found: list[frozenset[str]] = []
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    for first in graph:
        work = [] if first in order else [(first, iter(sorted(graph[first])))]
        while work:
            name, following = work[-1]
            if name not in order:
                order[name] = low[name] = len(order)
                path.append(name)
            for other in following:
                if other not in order:
                    work.append((other, iter(sorted(graph[other]))))
                    break
                if other in path:
                    low[name] = min(low[name], low[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == order[name]:
                    at = path.index(name)
                    component, path[at:] = frozenset(path[at:]), []
                    if len(component) > 1:
                        found.append(component)
    return found


@pytest.fixture(scope="module")
def ours() -> list[frozenset[str]]:
    return circles(graph_of(PROJECT, PACKAGES))


@pytest.mark.slow
def test_modules_have_no_import_cycles(ours: list[frozenset[str]]) -> None:
    unknown = [sorted(circle) for circle in ours if circle not in EXCEPTIONS]
    assert not unknown, f"these import each other: {unknown}; move what they share into a module below them"


def test_every_exception_has_a_reason_and_is_still_a_circle(ours: list[frozenset[str]]) -> None:
    assert all(EXCEPTIONS.values())
    assert [sorted(circle) for circle in EXCEPTIONS if circle not in ours] == []


BACK = {
    "plain": "from house.upper import Upper\n",
    "plain, of a module": "import house.upper\n",
    "inside a function": "def made():\n    from house.upper import Upper\n    return Upper()\n",
    "for types alone": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.upper import Upper\n",
    "through a third one": "from house import third\n",
}


@pytest.mark.parametrize("lower", BACK.values(), ids=BACK)
def test_a_circle_of_each_kind_is_found(tmp_path: Path, lower: str) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("")
    (house / "upper.py").write_text("from house.lower import made\n\nclass Upper: ...\n")
    (house / "third.py").write_text("from house.upper import Upper\n")
    (house / "lower.py").write_text(lower)
    (circle,) = circles(graph_of(tmp_path, ("house",)))
    assert {"house.upper", "house.lower"} <= circle


def test_modules_that_only_import_downwards_are_no_circle(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("from house.upper import Upper\n")
    (house / "upper.py").write_text("from house import middle, lower\n\nclass Upper: ...\n")
    (house / "middle.py").write_text("import house.lower\n")
    (house / "lower.py").write_text("import ast\n")
    assert circles(graph_of(tmp_path, ("house",))) == []
