"""Filters that clients poll: what is new since they last asked.

At most a hundred at a time; one that is not asked for an hour is gone. Where the chain goes back below what a filter
has seen, it goes on from there.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from localnet.logs import LogFilter
from localnet.rpc.errors import LIMIT_EXCEEDED, NOT_FOUND, RpcError

MAX_FILTERS: Final = 100
LIFETIME: Final = 3600.0

BLOCKS: Final = "blocks"
TRANSACTIONS: Final = "transactions"
LOGS: Final = "logs"


@dataclass(slots=True)
class Filter:
    """A filter of a kind; `seen` is the last height that was told, `told` the waiting transactions that were."""

    kind: str
    seen: int
    wanted: LogFilter = field(default_factory=LogFilter)
    first: int = 0
    last: int | None = None
    told: set[bytes] = field(default_factory=set)
    asked: float = field(default_factory=time.monotonic)


def new_id() -> bytes:
    """32 random bytes; the first bit is set, since clients read ids as numbers, which have no leading zeros."""
    return (secrets.randbits(256) | 1 << 255).to_bytes(32, "big")


class Filters:
    """The filters by their ids."""

    def __init__(self) -> None:
        self._filters: dict[bytes, Filter] = {}

    def add(self, new: Filter) -> bytes:
        """Keep a filter; its id of 32 bytes. Raises RpcError -32005 where there are too many."""
        oldest = time.monotonic() - LIFETIME
        self._filters = {key: kept for key, kept in self._filters.items() if kept.asked >= oldest}
        if len(self._filters) >= MAX_FILTERS:
            raise RpcError(LIMIT_EXCEEDED, f"at most {MAX_FILTERS} filters at a time: uninstall some")
        filter_id = new_id()
        self._filters[filter_id] = new
        return filter_id

    def go_back(self, head: int) -> None:
        """The chain went back to a height: what comes above it is new to every filter."""
        for kept in self._filters.values():
            kept.seen = min(kept.seen, head)

    def get(self, filter_id: bytes) -> Filter:
        """The filter. Raises RpcError -32001 where there is none."""
        found = self._filters.get(filter_id)
        if found is None or found.asked < time.monotonic() - LIFETIME:
            raise RpcError(NOT_FOUND, "filter not found")
        found.asked = time.monotonic()
        return found

    def remove(self, filter_id: bytes) -> bool:
        """Forget a filter; False where there was none."""
        return self._filters.pop(filter_id, None) is not None
