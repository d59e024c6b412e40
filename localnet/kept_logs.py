"""The logs of tipsets that were asked for lately, decoded, within a bound of memory.

A tipset's logs are those of its messages on the state before it: its key, that state and its receipts' root name them,
so a height that is made anew after the chain went back is another entry.
"""

from __future__ import annotations

from typing import Final

from localnet.records import FoundLog, Tipset
from store.cid import Cid

MOST_BYTES: Final = 32 << 20
"""What the kept logs may weigh, with the transactions that they come from."""
_OBJECTS: Final = 2_000
"""Bytes that the objects of a log and its receipt take beside their data."""

_Name = tuple[Cid, Cid, Cid]


class KeptLogs:
    """Logs by tipset; the longest kept go first."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._held = 0
        self._kept: dict[_Name, tuple[tuple[FoundLog, ...], int]] = {}

    def get(self, tipset: Tipset) -> tuple[FoundLog, ...] | None:
        """The logs of a tipset, None if they are not kept."""
        found = self._kept.get(_name(tipset))
        return None if found is None else found[0]

    def keep(self, tipset: Tipset, logs: tuple[FoundLog, ...]) -> None:
        """Keep the logs of a tipset, in place of others where there is no room."""
        weight = sum(_weight(found) for found in logs)
        if weight > self._most:
            return
        self._kept[_name(tipset)] = logs, weight
        self._held += weight
        while self._held > self._most:
            oldest = next(iter(self._kept))
            self._held -= self._kept.pop(oldest)[1]


def _name(tipset: Tipset) -> _Name:
    return tipset.key, tipset.before, tipset.receipts


def _weight(found: FoundLog) -> int:
    receipt, _, emitted = found
    return _OBJECTS + len(receipt.execution.message.message.params) + len(emitted.log.data)
