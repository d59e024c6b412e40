"""The engines by name: which there are, whether one is there, and what makes one for a set of rules.

`py-evm` is the plain one, `fast` the quick one, `both` runs the one beside the other. An engine's packages are imported
when the first contract runs.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final, cast

from hypervisor.errors import RuntimeUnavailable
from runtimes.evm.engine import EngineFactory, EngineRules
from runtimes.evm.imports import recursion_limit_kept

PLAIN: Final = "py-evm"
FAST: Final = "fast"
BOTH: Final = "both"

_FAST_PACKAGE: Final = "runtimes.evm.fast"


def _plain(rules: EngineRules) -> EngineFactory:
    with recursion_limit_kept():
        from runtimes.evm.py_evm import PyEvmTable

    return PyEvmTable(rules).engine


def _fast(rules: EngineRules) -> EngineFactory:
    table = import_module(_FAST_PACKAGE).FastTable(rules)

    return cast(EngineFactory, table.engine)


def _both(rules: EngineRules) -> EngineFactory:
    from runtimes.evm.both import paired

    return paired((PLAIN, _plain(rules)), (FAST, _fast(rules)))


_MAKERS: Final[Mapping[str, Callable[[EngineRules], EngineFactory]]] = MappingProxyType(
    {PLAIN: _plain, FAST: _fast, BOTH: _both}
)
ENGINES: Final = tuple(_MAKERS)


def check_there(name: str) -> None:
    """RuntimeUnavailable, with a sentence, for an engine that is not known or not in this installation."""
    if name not in ENGINES:
        raise RuntimeUnavailable(f"no EVM engine is called '{name}': choose one of {', '.join(ENGINES)}")
    if name != PLAIN and find_spec(_FAST_PACKAGE) is None:
        raise RuntimeUnavailable(f"the EVM engine '{name}' is not in this installation: choose {PLAIN}")


def engine_factory(name: str, rules: EngineRules) -> EngineFactory:
    """What makes an engine for each frame under a set of rules. RuntimeUnavailable as `check_there` raises it."""
    check_there(name)
    return _MAKERS[name](rules)
