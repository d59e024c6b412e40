"""Edges of code that calls have gone over, and how often: what guides a search by a corpus.

An edge is a pair of places that follow each other in one code. How often it was gone over is one of eight classes, as
coverage-guided fuzzers have them since AFL: loops of other lengths are new, a few more rounds of a long one are not.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bridge.evm_steps import EvmFrame, EvmStep
from hypervisor.tracing import CallEnded, CallStarted, PlaceTracer, RuntimeEvent, StepTracer, TraceEvent, Tracer

MOST_PLACES: Final = 1 << 20
"""Instructions whose places are kept until their edges are counted."""
_CLASSES: Final = (1, 2, 3, 4, 8, 16, 32, 128)
"""The least count of each class."""

Edges = Counter[tuple[int, int, int]]
"""By the number of a code, and both places."""


class EdgeTracer:
    """A `PlaceTracer` of which instructions run; `taken` has the edges since it was asked last.

    Another listener, if there is one, hears all of it too.
    """

    def __init__(self, other: Tracer | None = None) -> None:
        self._places = array("I")
        self._parts: list[tuple[int, int]] = []
        """Where a part of the places begins, and the number of its code; -1 for what does not count."""
        self._open: list[int] = []
        self._codes: dict[bytes, int] = {}
        self._found: Edges = Counter()
        self._other = other
        self._steps = other if isinstance(other, StepTracer) else None
        self._other_place = other.place if isinstance(other, PlaceTracer) else None

    def event(self, event: TraceEvent, /) -> None:
        """Keep track of the code whose instructions come."""
        match event:
            case CallStarted():
                self._open.append(-1)
                self._begin(-1)
            case EvmFrame() if self._open:
                number = self._codes.setdefault(event.code, len(self._codes))
                self._open[-1] = number
                self._begin(number)
            case CallEnded() if self._open:
                self._open.pop()
                self._begin(self._open[-1] if self._open else -1)
            case _:
                pass
        if self._other is not None:
            self._other.event(event)

    def place(self, counter: int, /) -> None:
        """Take the program counter of an instruction that is about to run."""
        self._places.append(counter)
        if len(self._places) >= MOST_PLACES:
            self._count()
        if self._other_place is not None:
            self._other_place(counter)

    def step(self, event: RuntimeEvent, /) -> None:
        """The same by a whole step, from engines that tell no places."""
        if isinstance(event, EvmStep):
            self._places.append(event.pc)
        if self._steps is not None:
            self._steps.step(event)

    def taken(self) -> Edges:
        """The edges of the calls since it was asked last."""
        self._count()
        found, self._found = self._found, Counter()
        self._open.clear()
        return found

    def _begin(self, code: int) -> None:
        self._parts.append((len(self._places), code))

    def _count(self) -> None:
        """Count the edges of the places that are kept, and forget them."""
        places, parts, found = self._places, self._parts, self._found
        ends = [*(begin for begin, _ in parts[1:]), len(places)]
        for (begin, code), end in zip(parts, ends, strict=False):
            if code >= 0:
                for (left, right), count in Counter(pairwise(places[begin:end])).items():
                    found[code, left, right] += count
        del places[:]
        parts[:] = [(0, parts[-1][1])] if parts else []


@dataclass(slots=True)
class EdgeMap:
    """All edges that a test has gone over, with their classes."""

    seen: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """A bit for each class."""
    features: int = 0
    """Edges with their classes, each counted once."""

    def learn(self, found: Edges) -> bool:
        """Remember edges; whether one of them, or its class, is new."""
        before = self.features
        seen = self.seen
        for edge, count in found.items():
            bit = _bit(count)
            known = seen.get(edge, 0)
            if not known & bit:
                seen[edge] = known | bit
                self.features += 1
        return self.features > before


def _bit(count: int) -> int:
    if count < 4:
        return 1 << (count - 1)
    return 1 << (sum(count >= least for least in _CLASSES) - 1)
