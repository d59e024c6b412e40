"""Coverage of jumps that the engine `fast` records while calls run at full speed (`EvmRuntime.take_jumps`).

It decides which calls are traced: edges.py counts the edges of a traced call exactly, but takes several times as long as
the call. Two consecutive jumps of a call form a pair, also across contracts. A call without a new pair, and without a
new class of a pair's hit count, almost certainly has no new edge.
"""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import pairwise
from typing import Final

from fvm_hypervisor.soltest.edges import hit_count_class
from hypervisor.machine import Hypervisor
from runtimes.evm import EvmRuntime

MAX_PAIRS: Final = 1 << 18
"""Maximum number of pairs remembered per test (about 60 MB); further pairs do not count as new."""
_MAX_LOGS: Final = 1 << 16
_START, _END = 0, (1 << 64) - 1
"""Marks before the first and after the last jump."""


class JumpCoverage:
    """Pairs of jumps that a test has reached, with the classes of their hit counts."""

    def __init__(self, runtime: EvmRuntime) -> None:
        self._runtime = runtime
        self._pairs: dict[tuple[int, int], int] = {}
        """Bit mask of hit count classes by pair."""
        self._logs: set[int] = set()
        """Hashes of logs that were added."""
        runtime.forget_jumps()

    @classmethod
    def of(cls, machine: Hypervisor) -> JumpCoverage | None:
        """Return an empty coverage, or None if the machine's runtime of contracts does not record jumps."""
        runtime = machine.registry.runtime_for(machine.manifest.code("evm"))[1]
        return cls(runtime) if isinstance(runtime, EvmRuntime) and runtime.records_jumps else None

    def begin_call(self) -> None:
        """Discard the jumps of earlier calls."""
        self._runtime.take_jumps()

    def reached_new_pairs(self) -> bool | None:
        """Return True if jumps since `begin_call` are new, and remember them; None if none were recorded."""
        log = self._runtime.take_jumps()
        return self.add(log) if log else None

    def add(self, log: bytes) -> bool:
        """Add a log of jumps. Return True if any pair, or the class of its hit count, is new."""
        key = hash(log)
        if key in self._logs:
            return False
        if len(self._logs) >= _MAX_LOGS:
            self._logs.clear()
        self._logs.add(key)
        jumps = array("Q", (_START,))
        jumps.frombytes(log)
        jumps.append(_END)
        pairs, is_new = self._pairs, False
        for pair, count in Counter(pairwise(jumps)).items():
            bit, known = hit_count_class(count), pairs.get(pair, 0)
            if not known & bit and (known or len(pairs) < MAX_PAIRS):
                pairs[pair] = known | bit
                is_new = True
        return is_new
