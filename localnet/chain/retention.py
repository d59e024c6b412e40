"""Which blocks of a chain's folder a garbage collection keeps, and collections beside a network that goes on.

Headers, messages and receipts are kept for every tipset, states for the newest ones: before that the chain still
answers what happened, but no longer what a contract held at the time. Marking and sweeping are the store's
(`store.collector`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import monotonic

from hypervisor.errors import InvalidInput
from localnet.chain.block_production import BlockProduction
from localnet.chain.state_window import WORTH_IT, check_states
from localnet.ledger.index import ChainIndex, retained_entries
from localnet.ledger.records import Tipset
from store.blockstore import Store, get_object
from store.cid import Cid
from store.codec import unlink
from store.collector import CollectionResult, GarbageCollector
from store.rocks import RocksStore
from store.roots import Roots

_MESSAGES = 10
"""The place of the messages in a block header."""


def forget_states(store: Store, states: int) -> None:
    """Let the states of all but the newest tipsets be collected.

    From then on none of them can be gone back to, unless it is that of a snapshot (`chain_roots`). A folder without a
    chain is left as it is. Raises InvalidInput for less than one state.
    """
    check_states(states)
    index, oldest = ChainIndex(store), None
    for tipset in islice(_tipsets(store), states):
        oldest = tipset.height
    if oldest is not None:
        store.commit((), {}, retained_entries(max(oldest, index.retained)))


def chain_roots(store: Store, snapshots: Iterable[Tipset] = ()) -> Roots:
    """The roots of a chain up to its head; of the states, those that are not forgotten, and those of snapshots.

    A folder without a chain has none: there the head of the machine and the pins are all that counts. The iterators
    read the index as they go, and raise StoreCorrupt where it has gaps.
    """
    remembered = tuple(state for tipset in snapshots for state in (tipset.before, tipset.state))
    return Roots(deep=_deep(store, remembered), shallow=(tipset.block for tipset in _tipsets(store)))


def _deep(store: Store, remembered: Iterable[Cid]) -> Iterator[Cid]:
    yield from remembered
    retained = ChainIndex(store).retained
    for tipset in _tipsets(store):
        if tipset.height >= retained:
            yield tipset.before
            yield tipset.state
        yield tipset.receipts
        yield unlink(get_object(store, tipset.block)[_MESSAGES])


def _tipsets(store: Store) -> Iterator[Tipset]:
    """From the head back to the first."""
    index = ChainIndex(store)
    height = index.head
    while height >= 0:
        tipset = index.tipset(height)
        yield tipset
        height = tipset.parent


@dataclass(frozen=True, slots=True)
class Turn:
    """How far a collection has got: its phase, blocks kept and dropped so far, and what it came to at its end."""

    phase: str
    kept: int
    dropped: int
    done: CollectionResult | None = None


class Housekeeper:
    """Collects a network's folder in turns, between which the network goes on. On the network's thread."""

    def __init__(self, network: BlockProduction, states: int | None = None) -> None:
        """`states`: of how many tipsets the states are kept when a collection begins by itself (None: none does).

        Raises InvalidInput for a network that is not in a folder of its own, and for less than one state.
        """
        store = network.machine.base
        if not isinstance(store, RocksStore):
            raise InvalidInput(
                "only the folder (--state) of a network that is not a fork has garbage: open one with a path"
            )
        if states is not None:
            check_states(states)
        self._network, self._store, self._states = network, store, states
        self._collector: GarbageCollector | None = None
        self._due = network.block_number

    def collect(self, seconds: float, states: int | None = None) -> Turn:
        """Go on with a collection for a while, or begin one that keeps N states (None: all that are there)."""
        collector = self._collector
        if collector is None:
            if states is not None:
                forget_states(self._store, states)
            collector = self._collector = GarbageCollector(
                self._store, lambda: chain_roots(self._store, self._network.remembered)
            )
        until = monotonic() + seconds
        while collector.step():
            if monotonic() >= until:
                found = self._store.collection
                assert found is not None, "a collection is in progress"
                return Turn(found.phase, found.kept, found.dropped)
        self._collector = None
        done = collector.finish()
        return Turn("done", done.kept, done.dropped, done)

    def turn(self, seconds: float) -> Turn | None:
        """Do what the retention asks for now; None where nothing is to be done."""
        if self._states is None:
            return None
        head = self._network.block_number
        if self._collector is None:
            if head < self._due + max(1, self._states // WORTH_IT):
                return None
            self._due = head
        return self.collect(seconds, self._states)
