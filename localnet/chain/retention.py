"""Retention of blocks in a chain's folder, and garbage collection while a network runs.

Headers, messages and receipts are kept for every tipset, states only for the newest ones. `store.rocks.collector` marks
and sweeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from threading import Thread
from time import monotonic
from typing import Final

from hypervisor.errors import InvalidInput
from localnet.chain.block_production import BlockProduction
from localnet.chain.state_window import WORTH_IT, check_states
from localnet.ledger.index import ChainIndex, retained_entries
from localnet.ledger.records import GENESIS_PARENT, Tipset
from store.blocks.memory import RemoteStore
from store.blockstore import Store, get_object
from store.cid import Cid
from store.codec import unlink
from store.rocks.collector import CollectionResult, GarbageCollector
from store.rocks.database import RocksStore
from store.roots import Roots

_MESSAGES = 10
"""The place of the messages in a block header."""
_BATCH: Final = 100
"""Number of blocks processed per step while a network runs; a step takes about a millisecond."""


def forget_states(store: Store, states: int) -> None:
    """Release the states of all but the newest tipsets for collection.

    The chain cannot be reverted to these tipsets any more, except for snapshots (`chain_roots`). A folder without a
    chain is unchanged. Raises InvalidInput for less than one state.
    """
    heights = [*newest_heights(store, states)]
    if heights:
        _forget_below(store, ChainIndex(store), heights[-1])


def newest_heights(store: Store, states: int) -> Iterator[int]:
    """Yield the heights of the newest tipsets, from the head down. Raises InvalidInput for less than one."""
    return (tipset.height for tipset in islice(_tipsets(store), check_states(states)))


def _forget_below(store: Store, index: ChainIndex, height: int) -> None:
    try:
        store.commit((), {}, retained_entries(max(height, index.retained)))
    finally:  # a commit that fails may have been applied
        index.refresh_retained()


def chain_roots(store: Store, snapshots: Iterable[Tipset] = ()) -> Roots:
    """Return the roots of a chain up to its head; of the states, the retained ones, the first, and snapshots'.

    A folder without a chain has none: there the head of the machine and the pins are all that counts. The iterators
    read the index on demand, and raise StoreCorrupt if it has gaps.
    """
    remembered = tuple(state for tipset in snapshots for state in (tipset.before, tipset.state))
    return Roots(deep=_deep(store, remembered), shallow=(tipset.block for tipset in _tipsets(store)))


def _deep(store: Store, remembered: Iterable[Cid]) -> Iterator[Cid]:
    yield from remembered
    retained = ChainIndex(store).retained
    for tipset in _tipsets(store):
        if tipset.height >= retained or tipset.parent == GENESIS_PARENT:
            yield tipset.before
            yield tipset.state
        yield tipset.receipts
        yield unlink(get_object(store, tipset.block)[_MESSAGES])


def _tipsets(store: Store) -> Iterator[Tipset]:
    """Yield the tipsets from the head back to the first."""
    index = ChainIndex(store)
    height = index.head
    while height >= 0:
        tipset = index.tipset(height)
        yield tipset
        height = tipset.parent


@dataclass(frozen=True, slots=True)
class CollectionProgress:
    """Progress of a collection: its phase, blocks retained and dropped so far, and its result at the end."""

    phase: str
    retained: int
    dropped: int
    done: CollectionResult | None = None


class FolderCollector:
    """Collects garbage in a network's folder in steps, on the network's thread. The network runs between steps."""

    def __init__(self, network: BlockProduction, states: int | None = None) -> None:
        """Start without a collection. `states` is the number retained by automatic collection (None: no automatic one).

        Raises InvalidInput for a network without its own folder, and for less than one state.
        """
        store = network.machine.base
        if isinstance(store, RemoteStore) and network.chain.origin is None:
            store = store.local
        if not isinstance(store, RocksStore):
            raise InvalidInput(
                "garbage collection needs a network in a folder that is not a fork: start the node with --state"
            )
        if states is not None:
            check_states(states)
        self._network, self._store, self._states = network, store, states
        self.backup = store.backup
        """Writes a copy of the folder (`store.rocks.database`)."""
        self._forgetting: Iterator[None] | None = None
        self._collector: GarbageCollector | None = None
        self._compaction: _Compaction | None = None
        self._due = network.block_number

    def collect(self, seconds: float, states: int | None = None) -> CollectionProgress:
        """Run a step of the current collection, or start one that keeps N states (None: all).

        Finally, disk space is released in the background, in the phase `compact`.
        """
        if self._compaction is None:
            turn = self._step(seconds, states)
            if turn.done is None:
                return turn
            self._compaction = _Compaction(self._store, turn.done)
        compaction = self._compaction
        if not compaction.has_ended:
            return CollectionProgress("compact", compaction.collected.retained, compaction.collected.dropped)
        self._compaction = None
        done = compaction.result()
        return CollectionProgress("done", done.retained, done.dropped, done)

    def turn(self, seconds: float) -> CollectionProgress | None:
        """Run the work that the retention policy requires now; return None if there is none.

        A collection reads the whole chain, so it starts when the new blocks have reached a share of it. The disk space
        of deleted blocks is released by later writes.
        """
        if self._states is None or self._compaction is not None:
            return None
        head = self._network.block_number
        if self._collector is None and self._forgetting is None:
            if head < self._due + max(1, self._states // WORTH_IT, head // WORTH_IT):
                return None
            self._due = head
        return self._step(seconds, self._states)

    def _step(self, seconds: float, states: int | None) -> CollectionProgress:
        until = monotonic() + seconds
        if self._collector is None:
            forgetting, self._forgetting = self._forgetting or self._forget(states), None
            for _ in forgetting:
                if monotonic() >= until:
                    self._forgetting = forgetting
                    return CollectionProgress("mark", 0, 0)
            self._collector = GarbageCollector(
                self._store, lambda: chain_roots(self._store, self._network.snapshot_tipsets), _BATCH
            )
        while self._collector.step():
            if monotonic() >= until:
                found = self._store.collection
                assert found is not None, "a collection is in progress"
                return CollectionProgress(found.phase, found.retained, found.dropped)
        done, self._collector = self._collector.end(), None
        return CollectionProgress("done", done.retained, done.dropped, done)

    def _forget(self, states: int | None) -> Iterator[None]:
        """Release the states of all but the newest tipsets for collection, a few tipsets at a time."""
        if states is None:
            return
        oldest: int = self._network.block_number
        for height in newest_heights(self._store, states):
            oldest = height
            yield
        _forget_below(self._store, self._network.chain.index, oldest)


class _Compaction:
    """Compacts the store on its own thread to return disk space after a collection."""

    def __init__(self, store: RocksStore, collected: CollectionResult) -> None:
        self._store, self.collected = store, collected
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="compaction", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._store.compact()
        except BaseException as error:  # noqa: BLE001  # it is the answer to who asks
            self._error = error

    @property
    def has_ended(self) -> bool:
        """True if the result is available."""
        return not self._thread.is_alive()

    def result(self) -> CollectionResult:
        """Return the result of the collection. Raises the store's errors."""
        if self._error is not None:
            raise self._error
        return replace(self.collected, size_after=self._store.size())
