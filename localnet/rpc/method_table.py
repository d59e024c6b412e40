"""The table of all JSON-RPC methods by name.

The methods that wallets and tools call first are loaded at startup. The others (`further_methods`) are loaded when one
of them is first called, because loading them takes a third of the node's startup time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Final

from localnet.rpc import accounts_at, info, pool, raw_transactions, socket_methods
from localnet.rpc.eth import blocks, logs, node_info, state, transactions
from localnet.rpc.lotus_names import with_lotus_names
from localnet.rpc.methods import Method

_FIRST: Final[tuple[ModuleType, ...]] = (
    info,
    state,
    accounts_at,
    blocks,
    transactions,
    node_info,
    logs,
    raw_transactions,
    pool,
    socket_methods,
)


class MethodTable(dict[str, Method | None]):
    """The methods by name; None for unknown names. Thread-safe."""

    def __init__(self, first: Iterable[ModuleType] = _FIRST) -> None:
        """Load the methods of the `first` modules."""
        super().__init__(_by_name(first))
        self._is_complete = False

    def __missing__(self, name: str) -> Method | None:
        if self._is_complete:
            return None
        self.load_all()
        return self.get(name)

    def put(self, method: Method) -> None:
        """Register a method under its names, replacing earlier ones."""
        self.update(dict.fromkeys((method.name, *method.aliases), method))

    def load_all(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Load the remaining methods. Returns early if `is_stopped` returns True, which it does when the node stops."""
        for module in modules():
            if is_stopped():
                return
            for name, method in _by_name((module,)).items():
                self.setdefault(name, method)
        self._is_complete = True


def modules() -> Iterator[ModuleType]:
    """Yield the modules of methods, in the order of loading. Each defines a table `METHODS`."""
    from localnet.rpc.further_methods import further_modules

    yield from _FIRST
    yield from further_modules()


def method_table() -> dict[str, Method]:
    """Return all methods by name and alias."""
    return _by_name(modules())


def _by_name(found: Iterable[ModuleType]) -> dict[str, Method]:
    rows = with_lotus_names(row for module in found for row in module.METHODS)
    return {name: row for row in rows for name in (row.name, *row.aliases)}
