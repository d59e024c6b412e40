"""The runtime of docs/extending.md, installed as a package would install it."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from hypervisor.machine import registry
from hypervisor.machine.registry import ENTRY_POINT_GROUP

PAGE: Final = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
SECTION: Final = PAGE.partition("## Write a runtime\n")[2].partition("\n## ")[0]
RUNTIME, USE, NATIVE_RUNTIME = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
COUNTER: Final = b"POSTFIX 0 load 1 + 0 store 0 load log 0 load return"


@contextmanager
def installed_postfix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Install the runtime from a folder in this context; yield its module."""
    (folder / "postfix.py").write_text(RUNTIME, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    points = EntryPoints((EntryPoint("postfix", "postfix:PostfixRuntime", ENTRY_POINT_GROUP),))
    monkeypatch.setattr(registry, "entry_points_of", lambda group: points.select(group=group))
    caches = registry.installed_formats, registry._installed_runtimes
    for function in caches:
        function.cache_clear()
    yield import_module("postfix")
    del sys.modules["postfix"]
    for function in caches:
        function.cache_clear()
