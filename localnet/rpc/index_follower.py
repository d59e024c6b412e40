"""Incremental updates of the address index on a separate thread, concurrently with requests."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from typing import Final

from localnet.ledger.address_index import AddressIndex
from localnet.ledger.candidates import Candidate
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.rpc.node import Node
from store.blockstore import StoreError

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 50
"""Number of tipsets indexed per step, which takes some milliseconds."""
_PAUSE: Final = 0.01
"""Pause in seconds between steps while the index catches up with the chain."""
_REST: Final = 0.25
"""Pause in seconds at the head, so that tipsets of a fast chain are indexed in batches."""


class IndexFollower:
    """The thread that updates the address index. Tipsets that are not indexed yet are searched directly."""

    def __init__(self, node: Node, addresses: AddressIndex) -> None:
        self._node, self._addresses = node, addresses
        self._moved, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="addresses", daemon=True)

    def start(self) -> None:
        """Start indexing at the end of the index."""
        self._node.network.chain.watchers.append(self)
        self._moved.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and close the index."""
        if self in self._node.network.chain.watchers:
            self._node.network.chain.watchers.remove(self)
        self._stopped.set()
        self._moved.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._addresses.close()

    def applied(self, tipset: Tipset) -> None:
        """Wake up the thread."""
        self._moved.set()

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Wake up the thread, which drops reverted entries in its next step."""
        self._moved.set()

    def accepted(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._moved.wait()
                self._moved.clear()
                while not self._stopped.is_set() and self._addresses.follow(self._chain(), _AT_ONCE):
                    self._stopped.wait(_PAUSE)
                self._stopped.wait(_REST)
        except (StoreError, sqlite3.Error) as error:  # the rest is searched tipset by tipset
            _LOG.error("the address index is no longer updated: %s", error)

    def _chain(self) -> ChainIndex:
        """Return the last published index of the chain, for this thread."""
        chain, point = self._node.network.chain, self._node.point
        index = ChainIndex(chain.machine.base, chain.index)
        index.head, index.chain_ids = point.facts[0].height, list(point.chain_ids)
        return index
