"""State retention of an in-memory network: the newest tipsets, the first one, snapshots, and states in use.

Older states are released in batches, so that a query which started earlier still finds its state. Headers, messages,
receipts and the index are kept. A network in a folder keeps all states until garbage collection
(`localnet.chain.retention`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from hypervisor.errors import InvalidInput
from hypervisor.types import whole_number
from localnet.ledger.index import retained_entries
from localnet.ledger.records import Tipset
from store.cid import Cid

DEFAULT_STATES: Final = 4_100
"""Number of states that anvil keeps: 500 in memory and 3,600 on disk (crates/anvil/src/eth/backend/mem/storage.rs)."""
MAX_STATES: Final = (1 << 63) - 1
WORTH_IT: Final = 8
"""States are released when there is one releasable state for each N retained ones."""


def check_states(states: int) -> int:
    """Validate the number of states to keep. Raises InvalidInput."""
    if whole_number(states, "a number of states", None, MAX_STATES) < 1:
        raise InvalidInput(f"the number of retained states is {states}: expected at least 1")
    return states


class HoldingStore(Protocol):
    """A store that drops states without references (`store.blocks.bounded`)."""

    def hold(self, roots: Iterable[Cid]) -> None:
        """Add a reference to stored states."""

    def release(self, roots: Iterable[Cid]) -> None:
        """Remove a reference to states."""


class _UnlimitedWindow:
    """A window for a store that retains all states."""

    def hold(self, roots: Iterable[Cid]) -> None:
        """Do nothing, since all states are retained."""

    def release(self, roots: Iterable[Cid]) -> None:
        """Do nothing, since all states are retained."""


class _States(NamedTuple):
    height: int
    roots: tuple[Cid, Cid]


class StateWindow:
    """The states before and after a chain's newest tipsets and its first one."""

    def __init__(self, store: HoldingStore | None = None, states: int | None = None) -> None:
        """Return a window of N states for a store that drops unreferenced states, otherwise None.

        Raises InvalidInput for less than one state.
        """
        self._store = _UnlimitedWindow() if store is None else store
        self._max_states = None if store is None else check_states(DEFAULT_STATES if states is None else states)
        self._window: deque[_States] = deque()
        self._first: _States | None = None

    def entries_with(self, height: int) -> dict[bytes, bytes | None]:
        """Return the index entries to commit with a new head: the height from which states are kept."""
        after = len(self._window) + 1
        if self._max_states is None or after < self._max_states + max(1, self._max_states // WORTH_IT):
            return {}
        return retained_entries(height if self._max_states == 1 else self._window[after - self._max_states].height)

    def add(self, tipset: Tipset, due: bool = False) -> None:
        """Keep the states of a new head, and release older ones if they are `due` by `entries_with`."""
        if self._max_states is None:
            return
        if self._first is None:
            self._keep_first(tipset)
        self._append(tipset)
        while due and len(self._window) > self._max_states:
            self._store.release(self._window.popleft().roots)

    def restart(self, tipset: Tipset) -> None:
        """Keep the state of the tipset that the chain restarts at, and states in use; release all others."""
        if self._max_states is None:
            return
        gone = [*self._window, *([] if self._first is None else [self._first])]
        self._window.clear()
        self._first = None
        self.add(tipset)
        for states in gone:
            self._store.release(states.roots)

    def go_back(self, tipset: Tipset) -> None:
        """Handle a reorganisation to this tipset or state, whose states may be referenced separately."""
        if self._max_states is None:
            return
        gone: list[_States] = []
        while self._window and self._window[-1].height >= tipset.height:
            gone.append(self._window.pop())
        self._append(tipset)
        if self._first is not None and tipset.height == self._first.height:
            gone.append(self._first)
            self._keep_first(tipset)
        for states in gone:
            self._store.release(states.roots)

    def hold(self, tipset: Tipset) -> None:
        """Add a reference to a tipset's states, independent of the window."""
        self._store.hold((tipset.before, tipset.state))

    def release(self, tipset: Tipset) -> None:
        """Remove a reference to a tipset's states."""
        self._store.release((tipset.before, tipset.state))

    def _append(self, tipset: Tipset) -> None:
        roots = tipset.before, tipset.state
        self._store.hold(roots)
        self._window.append(_States(tipset.height, roots))

    def _keep_first(self, tipset: Tipset) -> None:
        """Retain the state that a network is reset to."""
        self.hold(tipset)
        self._first = _States(tipset.height, (tipset.before, tipset.state))
