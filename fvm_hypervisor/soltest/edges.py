"""Edges of code that calls have gone over, and how often: what guides a search by a corpus.

An edge is a jump in a contract's code, or the way past one that was not made: two places, the first of which holds JUMP
or JUMPI. How often it was gone over is one of eight classes, as coverage-guided fuzzers have them since AFL: loops of
other lengths are new, a few more rounds of a long one are not. A contract has one code, whatever its constructor
arguments and immutable values are, and all code that belongs to no contract of the project counts as one.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

from bridge.evm_steps import EvmFrame, EvmStep
from hypervisor.tracing import CallEnded, CallStarted, PlaceTracer, RuntimeEvent, StepTracer, TraceEvent, Tracer
from hypervisor.types import METHOD_CONSTRUCTOR

MOST_PLACES: Final = 1 << 20
"""Instructions whose places are kept until their edges are counted."""
MOST_EDGES: Final = 1 << 18
"""Edges that a test remembers, some sixty megabytes; further ones are not new."""
_MOST_CODES: Final = 256
"""Codes whose contracts are remembered."""
_JUMPS: Final = b"\x56\x57"
_CLASSES: Final = (1, 2, 3, 4, 8, 16, 32, 128)
"""The least count of each class."""

Edges = Counter[tuple[int, int, int]]
"""By the number of a contract's code, and both places."""
ContractOf = Callable[[bytes, bool], Hashable | None]
"""Which contract has a code, init code where the second is true; None where it is unknown."""


class EdgeTracer:
    """A `PlaceTracer` of which instructions run; `taken` has the edges since it was asked last.

    Another listener, if there is one, hears all of it too.
    """

    def __init__(self, contract_of: ContractOf, other: Tracer | None = None) -> None:
        self._contract_of = contract_of
        self._number_of = lru_cache(_MOST_CODES)(self._number)
        self._numbers: dict[tuple[Hashable, bool], int] = {}
        """Of contracts, and whether it is their init code: as many as the project has."""
        self._places = array("I")
        self._parts: list[tuple[int, int, bytes]] = []
        """Where a part of the places begins, its code's number and the code; empty for what does not count."""
        self._open: list[tuple[bool, int, bytes]] = []
        """Of each open call whether it creates, and what it runs."""
        self._found: Edges = Counter()
        self._other = other
        self._steps = other if isinstance(other, StepTracer) else None
        self._other_place = other.place if isinstance(other, PlaceTracer) else None

    def event(self, event: TraceEvent, /) -> None:
        """Keep track of the code whose instructions come."""
        match event:
            case CallStarted():
                self._open.append((event.method == METHOD_CONSTRUCTOR, 0, b""))
                self._begin(0, b"")
            case EvmFrame() if self._open:
                creates, code = self._open[-1][0], event.code
                number = self._number_of(code, creates)
                self._open[-1] = creates, number, code
                self._begin(number, code)
            case CallEnded() if self._open:
                self._open.pop()
                self._begin(*(self._open[-1][1:] if self._open else (0, b"")))
            case _:
                pass
        if self._other is not None:
            self._other.event(event)

    def place(self, counter: int, /) -> None:
        """Take the program counter of an instruction that is about to run."""
        self._note(counter)
        if self._other_place is not None:
            self._other_place(counter)

    def step(self, event: RuntimeEvent, /) -> None:
        """The same by a whole step, from engines that tell no places."""
        if isinstance(event, EvmStep):
            self._note(event.pc)
        if self._steps is not None:
            self._steps.step(event)

    def taken(self) -> Edges:
        """The edges of the calls since it was asked last."""
        self._count()
        found, self._found = self._found, Counter()
        self._open.clear()
        return found

    def _number(self, code: bytes, creates: bool) -> int:
        """The number of a contract's code; 0 of code that is unknown."""
        contract = self._contract_of(code, creates)
        return 0 if contract is None else self._numbers.setdefault((contract, creates), len(self._numbers) + 1)

    def _note(self, counter: int) -> None:
        self._places.append(counter)
        if len(self._places) >= MOST_PLACES:
            self._count()

    def _begin(self, number: int, code: bytes) -> None:
        self._parts.append((len(self._places), number, code))

    def _count(self) -> None:
        """Count the edges of the places that are kept, and forget them."""
        places, parts, found = self._places, self._parts, self._found
        ends = [*(part[0] for part in parts[1:]), len(places)]
        for (begin, number, code), end in zip(parts, ends, strict=False):
            for (left, right), count in Counter(pairwise(places[begin:end])).items():
                if left < len(code) and code[left] in _JUMPS:
                    found[number, left, right] += count
        del places[:]
        parts[:] = [(0, *parts[-1][1:])] if parts else []


@dataclass(slots=True)
class EdgeMap:
    """The edges that a test has gone over, with their classes; at most MOST_EDGES."""

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
            if not known & bit and (known or len(seen) < MOST_EDGES):
                seen[edge] = known | bit
                self.features += 1
        return self.features > before


def _bit(count: int) -> int:
    if count < 4:
        return 1 << (count - 1)
    return 1 << (sum(count >= least for least in _CLASSES) - 1)
