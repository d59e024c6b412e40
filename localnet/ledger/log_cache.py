"""A cache of the decoded logs of recently requested tipsets, limited by memory.

The key of an entry is the tipset's block and the receipts root, which commits to the events. So a height that is
rebuilt after a reorganisation gets its own entry.
"""

from __future__ import annotations

from typing import Final

from hypervisor.bounded_cache import BoundedCache
from localnet.ledger.records import FoundLog, Tipset
from store.cid import Cid

MAX_BYTES: Final = 32 << 20
"""Maximum size of the cached logs in bytes, including their transactions."""
_LOG_OBJECTS: Final = 2_000
"""Estimated size in bytes of the objects of a log and its receipt, without their data."""

_Name = tuple[Cid, Cid]


class LogCache:
    """A cache of logs by tipset; evicts the oldest first."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._cache = BoundedCache[_Name, tuple[FoundLog, ...]](limit)

    def get(self, tipset: Tipset) -> tuple[FoundLog, ...] | None:
        """Return the logs of a tipset, None if they are not cached."""
        return self._cache.get(_name(tipset))

    def put(self, tipset: Tipset, logs: tuple[FoundLog, ...]) -> None:
        """Add the logs of a tipset, evicting others if necessary."""
        self._cache.put(_name(tipset), logs, sum(_weight(found) for found in logs))


def _name(tipset: Tipset) -> _Name:
    return tipset.block, tipset.receipts


def _weight(found: FoundLog) -> int:
    receipt, _, emitted = found
    return _LOG_OBJECTS + len(receipt.execution.message.message.params) + len(emitted.log.data)
