"""Deselection of the tests listed in `interpreted_only.toml` if modules run compiled."""

import tomllib
from functools import cache
from pathlib import Path

import pytest

from store.compiled import compiled_modules


@cache
def interpreted_only() -> dict[str, str]:
    """Location of a test or file in the project, and the reason."""
    text = Path(__file__).with_name("interpreted_only.toml").read_text(encoding="utf-8")
    tests: dict[str, str] = tomllib.loads(text)["tests"]
    return tests


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests."""
    if not compiled_modules():
        return
    left = [item for item in items if _location(item) in interpreted_only() or _file(item) in interpreted_only()]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _location(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]
