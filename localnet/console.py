"""The console of a node: a line for each transaction that has a receipt."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from localnet.execution import Candidate
from localnet.network import Network
from localnet.records import Tipset


class Console:
    """Tells people on standard output what happens on a network. It is a watcher (`localnet.watching`)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def listen(self) -> None:
        """Begin to tell."""
        self._network.chain.watchers.append(self)

    def applied(self, tipset: Tipset) -> None:
        """A line for each transaction of the new head."""
        with contextlib.suppress(OSError):  # the node goes on where nobody reads any more
            for receipt in self._network.chain.index.receipts(tipset):
                print(receipt, file=sys.stdout, flush=True)

    def reverted(self, tipsets: Iterator[Tipset]) -> None:
        """Nothing is told of what is gone."""

    def waits(self, candidate: Candidate) -> None:
        """Nothing is told of what waits."""
