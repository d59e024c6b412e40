"""The functions that docs/architecture.md names and the tests that the documentation names exist."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

NAMED_ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\w+) \| .* \| `([\w/.]+)` \| `([\w.]+)` \|$", re.MULTILINE)


def arrows() -> list[tuple[str, str, str]]:
    """Return (number, file, function) of each row of the page's table."""
    return ROW.findall((NAMED_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))


def resolve(file: str, function: str) -> Any:
    module = import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    found: Any = module
    for name in function.split("."):
        found = getattr(found, name)
    return found


def test_table_has_rows() -> None:
    assert arrows()


@pytest.mark.parametrize(("number", "file", "function"), arrows())
def test_every_arrow_names_a_function_that_exists(number: str, file: str, function: str) -> None:
    assert callable(resolve(file, function)), number


def test_every_test_that_a_page_names_exists() -> None:
    missing = [
        f"{page.name}: {file}::{name}"
        for page in (NAMED_ROOT / "docs").rglob("*.md")
        for file, name in re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)", page.read_text(encoding="utf-8"))
        if f"def {name}(" not in (NAMED_ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert not missing
