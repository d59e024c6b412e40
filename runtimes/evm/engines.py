"""Registry of the EVM engines: their names, their availability, and their factories for a set of rules.

`py-evm` is the reference engine, `fast` the fast one. An engine's packages are imported when the first contract runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, cast

from hypervisor.errors import RuntimeUnavailable

if TYPE_CHECKING:
    from runtimes.evm.contracts.engine import EngineFactory, EngineRules


@contextmanager
def preserved_recursion_limit() -> Iterator[None]:
    """Restore the recursion limit on exit: py_ecc, which py-evm imports, raises it to 100,000 for the process.

    With such a limit, Python 3.11 overflows the native stack instead of raising RecursionError.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


PLAIN_ENGINE: Final = "py-evm"
FAST: Final = "fast"

_FAST_MODULE: Final = "runtimes.evm.frames.fast_engine"


def _plain(rules: EngineRules) -> EngineFactory:
    with preserved_recursion_limit():
        from runtimes.evm.frames.py_evm import PyEvmTable

    return PyEvmTable(rules).engine


def _fast(rules: EngineRules) -> EngineFactory:
    return cast("EngineFactory", import_module(_FAST_MODULE).FastTable(rules).engine)


FACTORIES: Final[dict[str, Callable[[EngineRules], EngineFactory]]] = {
    PLAIN_ENGINE: _plain,
    FAST: _fast,
}
"""Factories by engine name; tests add engines that inject bugs, compare two others, or force a tier."""


def check_engine(name: str) -> None:
    """Raise RuntimeUnavailable for an engine that is unknown or not installed."""
    if name not in FACTORIES:
        raise RuntimeUnavailable(f"EVM engine '{name}' is not known: choose one of {', '.join(FACTORIES)}")
    if name != PLAIN_ENGINE and find_spec(_FAST_MODULE) is None:
        raise RuntimeUnavailable(f"the EVM engine '{name}' is not installed: choose {PLAIN_ENGINE}")


def engine_factory(name: str, rules: EngineRules) -> EngineFactory:
    """Return a factory of engines for a set of rules. Raises RuntimeUnavailable like `check_engine`."""
    check_engine(name)
    return FACTORIES[name](rules)
