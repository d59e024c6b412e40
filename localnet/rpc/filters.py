"""Filters that clients poll: what is new since they last asked.

At most a hundred at a time; one that is not asked for an hour is gone. Where the chain goes back below what a filter
has seen, it goes on from there, and logs that were reported are reported again as removed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from localnet.chain.logs import LogFilter, logs_in
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.errors import LIMIT_EXCEEDED, NOT_FOUND, RpcError
from localnet.rpc.shapes import log_json

MAX_FILTERS: Final = 100
LIFETIME: Final = 3600.0

BLOCKS: Final = "blocks"
TRANSACTIONS: Final = "transactions"
LOGS: Final = "logs"

MOST_REVERTED: Final = 1_000
MOST_GONE: Final = 10_000
"""The most tipsets that the chain goes back, and the most logs of them, before a filter has lost them."""


@dataclass(slots=True)
class InstalledFilter:
    """A filter of a kind; `seen` is the last height that was reported, `reported` the waiting transactions that were.

    `gone` are logs that may have been reported and are no longer there; `lost` says that they are too many to be kept.
    """

    kind: str
    seen: int
    wanted: LogFilter = field(default_factory=LogFilter)
    first: int = 0
    last: int | None = None
    reported: set[bytes] = field(default_factory=set)
    gone: list[dict[str, Any]] = field(default_factory=list)
    lost: bool = False
    asked: float = field(default_factory=time.monotonic)


def new_id() -> bytes:
    """32 random bytes; the first bit is set, since clients read ids as numbers, which have no leading zeros."""
    return (secrets.randbits(256) | 1 << 255).to_bytes(32, "big")


class Filters:
    """The filters by their ids."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._filters: dict[bytes, InstalledFilter] = {}

    def add(self, new: InstalledFilter) -> bytes:
        """Keep a filter; its id of 32 bytes. Raises RpcError -32000 where there are too many."""
        oldest = time.monotonic() - LIFETIME
        self._filters = {key: kept for key, kept in self._filters.items() if kept.asked >= oldest}
        if len(self._filters) >= MAX_FILTERS:
            raise RpcError(LIMIT_EXCEEDED, f"at most {MAX_FILTERS} filters at a time: uninstall some")
        filter_id = new_id()
        self._filters[filter_id] = new
        self._watch()
        return filter_id

    def get(self, filter_id: bytes) -> InstalledFilter:
        """The filter. Raises RpcError -32001 where there is none."""
        found = self._filters.get(filter_id)
        if found is None or found.asked < time.monotonic() - LIFETIME:
            raise RpcError(NOT_FOUND, "filter not found")
        found.asked = time.monotonic()
        return found

    def remove(self, filter_id: bytes) -> bool:
        """Forget a filter; False where there was none."""
        removed = self._filters.pop(filter_id, None)
        self._watch()
        return removed is not None

    def clear(self) -> None:
        """Forget all filters, and watch the network no more."""
        self._filters.clear()
        self._watch()

    def _watch(self) -> None:
        """Watch the network while there are filters."""
        watchers = self._network.chain.watchers
        if self._filters and self not in watchers:
            watchers.append(self)
        elif not self._filters and self in watchers:
            watchers.remove(self)

    # --- as a watcher -----------------------------------------------------------------------------------------

    def applied(self, tipset: Tipset) -> None:
        """Nothing to do: a filter looks when it is asked."""

    def waits(self, candidate: Candidate) -> None:
        """Nothing to do: a filter looks when it is asked."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """What comes above the new head is new to every filter; logs that were reported are reported again, removed."""
        of_logs = [kept for kept in self._filters.values() if kept.kind == LOGS and kept.seen > head.height]
        if of_logs:
            for tipset in islice(tipsets, MOST_REVERTED):
                for kept in of_logs:
                    self._take_back(kept, tipset)
            lost = next(tipsets, None) is not None
            for kept in of_logs:
                kept.lost |= lost or len(kept.gone) > MOST_GONE
                kept.gone = [] if kept.lost else kept.gone
        for kept in self._filters.values():
            kept.seen = min(kept.seen, head.height)

    def _take_back(self, kept: InstalledFilter, tipset: Tipset) -> None:
        last = kept.seen if kept.last is None else min(kept.seen, kept.last)
        if kept.first <= tipset.height <= last and len(kept.gone) <= MOST_GONE:
            found = logs_in(self._network.chain.index, tipset, kept.wanted)
            kept.gone += [{**log_json(*log), "removed": True} for log in found]
