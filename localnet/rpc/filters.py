"""Filters that clients poll for new blocks, logs and pending transactions.

- `MAX_FILTERS` and `MAX_BYTES` limit the filters. A new filter replaces the least recently polled one, so test
  suites that never uninstall filters do not block others.
- After a reorganisation a filter continues at the common ancestor, and logs that were reported are reported again as
  removed.
- Reverted tipsets are stored once, for all filters.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from bridge.filecoin.receipts import EmittedLog
from localnet.chain.logs import LogFilter, logs_in
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.errors import NOT_FOUND, RpcError
from localnet.rpc.shapes import log_json

MAX_FILTERS: Final = 10_000
MAX_BYTES: Final = 64 << 20
"""Maximum estimated size of all filters in bytes; also of the reverted logs."""

BLOCKS: Final = "blocks"
TRANSACTIONS: Final = "transactions"
LOGS: Final = "logs"

MAX_REVERTED: Final = 1_000
MAX_GONE: Final = 10_000
"""Maximum number of tipsets removed by one reorg, and of their logs, that a filter can still report."""
_BYTES: Final = 500
"""Estimated size of a filter, of a criterion or reported item, or of a log, in bytes."""


@dataclass(slots=True)
class InstalledFilter:
    """A filter; `seen` is the last reported height, `reported` the reported pending transactions.

    `turn` is the number of reorgs before its last poll; `weight` is the estimated memory use in bytes.
    """

    kind: str
    seen: int
    wanted: LogFilter = field(default_factory=LogFilter)
    first: int = 0
    last: int | None = None
    block: bytes | None = None
    """Hash of the only block with logs, in place of the heights."""
    full: bool = False
    """True to report whole transactions instead of their hashes."""
    reported: set[bytes] = field(default_factory=set)
    turn: int = 0
    weight: int = 0

    def weigh(self) -> int:
        """Return the current estimated size in bytes."""
        wanted = len(self.wanted.addresses) + sum(map(len, self.wanted.topics))
        return _BYTES * (1 + wanted + len(self.reported))


@dataclass(frozen=True, slots=True)
class _Reverted:
    """The logs of one reorganisation down to a height; None if they exceeded the limit."""

    head: int
    logs: tuple[tuple[int, EmittedLog, dict[str, Any]], ...] | None
    weight: int


def new_id() -> bytes:
    """32 random bytes; the first bit is set, since clients read ids as numbers, which have no leading zeros."""
    return (secrets.randbits(256) | 1 << 255).to_bytes(32, "big")


class Filters:
    """The filters by ID; the most recently polled one is last."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._filters: dict[int, InstalledFilter] = {}
        self._held = 0
        """Estimated size of all filters in bytes."""
        self._reverted: deque[_Reverted] = deque()
        self._reverted_held = 0
        self._turn = 0
        """Number of reorgs so far; the logs of the last ones are in `_reverted`."""

    def __len__(self) -> int:
        return len(self._filters)

    def add(self, new: InstalledFilter) -> int:
        """Add a filter, replacing others at the limit; return its ID, a number of 256 bits."""
        filter_id = int.from_bytes(new_id(), "big")
        new.turn = self._turn
        self._filters[filter_id] = new
        self._weigh(new)
        self._watch()
        return filter_id

    def get(self, filter_id: int) -> InstalledFilter:
        """Return the filter. Raises RpcError -32001 if there is none."""
        found = self._filters.pop(filter_id, None)
        if found is None:
            raise RpcError(NOT_FOUND, "filter not found")
        self._filters[filter_id] = found
        return found

    def removed_logs(self, found: InstalledFilter) -> list[dict[str, Any]] | None:
        """Return logs the filter may have reported that are no longer on the chain, each once; None if they are lost.

        Afterwards, `seen` is not above the height that the chain was reverted to.
        """
        turn, found.turn = found.turn, self._turn
        kept_from = self._turn - len(self._reverted)
        if turn < kept_from:
            return None
        removed: list[dict[str, Any]] = []
        for reverted in islice(self._reverted, turn - kept_from, None):
            if found.seen <= reverted.head:
                continue
            if reverted.logs is None:
                return None
            last = found.seen if found.last is None else min(found.seen, found.last)
            removed += [
                log
                for height, emitted, log in reverted.logs
                if found.first <= height <= last and found.wanted.matches(emitted)
            ]
            found.seen = reverted.head
        return removed

    def report(self, found: InstalledFilter, waiting: set[bytes]) -> None:
        """Record the pending transactions that a filter has reported."""
        found.reported = waiting
        self._weigh(found)

    def remove(self, filter_id: int) -> bool:
        """Remove a filter; return False if it does not exist."""
        removed = self._filters.pop(filter_id, None)
        if removed is not None:
            self._held -= removed.weight
        self._watch()
        return removed is not None

    def clear(self) -> None:
        """Remove all filters, and stop watching the network."""
        self._filters.clear()
        self._held = 0
        self._watch()

    def restart(self) -> None:
        """Continue all filters at the head of a restarted chain."""
        self._forget(0)
        for found in self._filters.values():
            found.seen, found.turn = self._network.executed_head.height, self._turn
            self.report(found, set())

    def _weigh(self, changed: InstalledFilter) -> None:
        """Update the size of a filter, and drop others above the limit."""
        self._held -= changed.weight
        changed.weight = changed.weigh()
        self._held += changed.weight
        while len(self._filters) > MAX_FILTERS or (self._held > MAX_BYTES and len(self._filters) > 1):
            self._held -= self._filters.pop(next(iter(self._filters))).weight

    def _watch(self) -> None:
        """Watch the network if there are filters."""
        watchers = self._network.chain.watchers
        if self._filters and self not in watchers:
            watchers.append(self)
        elif not self._filters and self in watchers:
            watchers.remove(self)
            self._forget(0)

    # --- as a watcher -----------------------------------------------------------------------------------------

    def applied(self, tipset: Tipset) -> None:
        """Do nothing: filters read the chain when they are polled."""

    def accepted(self, candidate: Candidate) -> None:
        """Do nothing: filters read the chain when they are polled."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Store the reverted logs: filters report them again as removed, and everything above the new head as new."""
        reverted = _Reverted(head.height, (), _BYTES)
        if any(found.kind == LOGS and found.seen > head.height for found in self._filters.values()):
            reverted = self._read(tipsets, head.height)
        for found in self._filters.values():
            if found.kind != LOGS:
                found.seen = min(found.seen, head.height)
        self._turn += 1
        self._reverted.append(reverted)
        self._reverted_held += reverted.weight
        self._forget(MAX_BYTES)

    def _read(self, tipsets: Iterator[Tipset], head: int) -> _Reverted:
        logs: list[tuple[int, EmittedLog, dict[str, Any]]] = []
        weight = _BYTES
        for tipset in islice(tipsets, MAX_REVERTED):
            for found in logs_in(self._network.chain.index, tipset, LogFilter()):
                logs.append((tipset.height, found[2], {**log_json(*found), "removed": True}))
                weight += 4 * (_BYTES + len(found[2].log.data))
                if len(logs) > MAX_GONE or weight > MAX_BYTES:
                    return _Reverted(head, None, _BYTES)
        lost = next(tipsets, None) is not None
        return _Reverted(head, None, _BYTES) if lost else _Reverted(head, tuple(logs), weight)

    def _forget(self, limit: int) -> None:
        while self._reverted_held > limit:
            self._reverted_held -= self._reverted.popleft().weight
