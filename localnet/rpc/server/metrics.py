"""Durations of requests, queries and blocks, for `localnet.rpc.server.prometheus`.

They are counted in plain lists, since the counters of `prometheus_client` take longer than a short request.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from localnet.chain.chain import Chain
    from localnet.ledger.candidates import Candidate
    from localnet.ledger.records import Tipset
    from localnet.rpc.method_table import MethodTable

_BOUNDS: Final = (0.0001, 0.0005, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0)
"""Upper limits in seconds of the buckets of durations."""
_UNKNOWN: Final = "unknown"


class Durations:
    """A histogram of durations in seconds."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return the limits of the buckets with cumulative counts."""
        return list(zip((*map(str, _BOUNDS), "+Inf"), accumulate(self.counts), strict=True))


class Requests:
    """Durations and errors of requests by method."""

    def __init__(self, methods: MethodTable) -> None:
        self._methods = methods
        self.durations: dict[str, Durations] = {}
        self.errors: Counter[str] = Counter()

    def observe(self, method: str, began: float, failed: bool) -> None:
        """Count a request that has ended, and began at a time of `time.perf_counter`."""
        found = self.durations.get(method)
        if found is None:
            if self._methods[method] is None:
                method = _UNKNOWN
            found = self.durations.setdefault(method, Durations())
        found.observe(time.perf_counter() - began)
        if failed:
            self.errors[method] += 1


class Blocks:
    """A watcher that counts blocks."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.durations = Durations()
        self.messages = self.gas = self.reorganizations = 0
        chain.watchers.append(self)

    def stop(self) -> None:
        """Stop watching."""
        if self in self._chain.watchers:
            self._chain.watchers.remove(self)

    def applied(self, tipset: Tipset) -> None:
        """Count a block."""
        self.durations.observe(self._chain.making_took)
        self.messages += len(tipset.transactions)
        self.gas += tipset.gas_used

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Count a reorganization."""
        self.reorganizations += 1

    def accepted(self, candidate: Candidate) -> None:
        """Ignore pending transactions, which are counted when Prometheus asks."""
