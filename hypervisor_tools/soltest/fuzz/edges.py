"""Edge coverage of calls, which guides fuzzing with a corpus.

An edge is a jump in a contract's code, taken or not: two program counters, the first of which holds JUMP or JUMPI. The
state session records jumps while calls run at full speed (`StateSession.take_jumps`): two consecutive jump destinations
of a call form a pair, also across contracts, and so do the first one with the call's start and the last one with its
end.

Hit counts of edges and pairs fall into eight classes, as in AFL and later coverage-guided fuzzers: a different class of
loop iterations counts as new coverage, a few more iterations of a long loop do not. Deployments of one contract share
their edges, whatever their constructor arguments and immutables. All code outside the project is counted together, as
number 0.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

from bridge.ethereum.block import ETHEREUM
from bridge.evm_steps import EvmFrame
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import (
    CallEnded,
    CallStarted,
    Detail,
    TraceEvent,
    Tracer,
)
from hypervisor.types import METHOD_CONSTRUCTOR
from runtimes.evm.revm import StateSession, session_of

MAX_COUNTERS: Final = 1 << 20
"""Number of executed instructions that are buffered before their edges are counted."""
MAX_EDGES: Final = 1 << 18
"""Maximum number of edges remembered per test (about 60 MB); further edges do not count as new."""
_MAX_CODES: Final = 256
"""Maximum number of entries in the cache from code to contract."""
_JUMPS: Final = b"\x56\x57"
_CLASS_MINIMUMS: Final = (1, 2, 3, 4, 8, 16, 32, 128)
"""Lowest hit count of each class."""

Edges = Counter[tuple[int, int, int]]
"""Hit counts by (code number, source program counter, destination program counter)."""
ContractOf = Callable[[bytes, bool], Hashable | None]
"""Returns the contract that a code belongs to, or None if unknown. The second argument is True for init code."""


class EdgeTracer(Tracer):
    """A tracer that records edges; `take_edges` returns the edges recorded since it was last called.

    Events are also forwarded to `other`.
    """

    detail = Detail.COUNTERS

    def __init__(self, contract_of: ContractOf, other: Tracer | None = None) -> None:
        self._contract_of = contract_of
        self._number_of = lru_cache(_MAX_CODES)(self._number)
        self._numbers: dict[tuple[Hashable, bool], int] = {}
        """Number of each contract's init code (True) or runtime code (False)."""
        self._counters = array("I")
        self._parts: list[tuple[int, int, bytes]] = []
        """For each segment of the buffer: start index, code number, and code (empty if it is not counted)."""
        self._open: list[tuple[bool, int, bytes]] = []
        """For each open call: True if it creates a contract, its code's number, and the code."""
        self._found: Edges = Counter()
        self._other = other or Tracer()
        self.takes_record = other is None or other.takes_record

    def event(self, event: TraceEvent, /) -> None:
        """Track the code that is being executed."""
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
        self._other.event(event)

    def visit(self, counter: int, /) -> None:
        """Record the program counter of the next instruction."""
        self._note(counter)
        self._other.visit(counter)

    def visit_all(self, counters: array[int], /) -> None:
        """Record the program counters of the next instructions."""
        self._counters.extend(counters)
        if len(self._counters) >= MAX_COUNTERS:
            self._count()
        self._other.visit_all(counters)

    def take_edges(self) -> Edges:
        """Return the edges of the calls since the last `take_edges`."""
        self._count()
        found, self._found = self._found, Counter()
        self._open.clear()
        return found

    def _number(self, code: bytes, creates: bool) -> int:
        """Return the number of a contract's code; 0 for unknown code."""
        contract = self._contract_of(code, creates)
        return 0 if contract is None else self._numbers.setdefault((contract, creates), len(self._numbers) + 1)

    def _note(self, counter: int) -> None:
        self._counters.append(counter)
        if len(self._counters) >= MAX_COUNTERS:
            self._count()

    def _begin(self, number: int, code: bytes) -> None:
        self._parts.append((len(self._counters), number, code))

    def _count(self) -> None:
        """Count the edges in the buffer, and clear it."""
        counters, parts, found = self._counters, self._parts, self._found
        ends = [*(part[0] for part in parts[1:]), len(counters)]
        for (begin, number, code), end in zip(parts, ends, strict=False):
            for (left, right), count in Counter(pairwise(counters[begin:end])).items():
                if left < len(code) and code[left] in _JUMPS:
                    found[number, left, right] += count
        del counters[:]
        parts[:] = [(0, *parts[-1][1:])] if parts else []


@dataclass(slots=True)
class EdgeMap:
    """Edges and their hit count classes that a test has reached, up to MAX_EDGES."""

    seen: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """Bit mask of hit count classes by edge."""
    features: int = 0
    """Number of distinct (edge, hit count class) pairs."""

    def add(self, found: Edges) -> bool:
        """Add edges. Return True if any edge, or any edge's hit count class, is new."""
        before = self.features
        seen = self.seen
        for edge, count in found.items():
            bit = hit_count_class(count)
            known = seen.get(edge, 0)
            if not known & bit and (known or len(seen) < MAX_EDGES):
                seen[edge] = known | bit
                self.features += 1
        return self.features > before


def hit_count_class(count: int) -> int:
    """Return the bit of a hit count's class."""
    return _CLASS_BITS[count if count < _MAX_CLASS else _MAX_CLASS]


_MAX_CLASS: Final = _CLASS_MINIMUMS[-1]
_CLASS_BITS: Final = tuple(
    1 << max(0, sum(count >= least for least in _CLASS_MINIMUMS) - 1) for count in range(_MAX_CLASS + 1)
)
"""Bits by hit count, up to the lowest count of the last class."""


MAX_PAIRS: Final = 1 << 18
"""Maximum number of pairs remembered per test (about 60 MB); further pairs do not count as new."""
_MAX_LOGS: Final = 1 << 16
_MAX_WATCHED_CODES: Final = 1 << 10
_START, _END = 0, (1 << 64) - 1
"""Marks before the first and after the last jump."""
_CODE_SHIFT: Final = 32
_COUNTER: Final = (1 << _CODE_SHIFT) - 1


class JumpCoverage:
    """Pairs of jumps that a test has reached, with the classes of their hit counts."""

    def __init__(self, session: StateSession, contract_of: ContractOf) -> None:
        self._session = session
        self._contract_of = contract_of
        self._contracts: dict[Hashable, int] = {}
        self._number_of = lru_cache(_MAX_WATCHED_CODES)(self._number)
        self._recorded: dict[tuple[int, int], int] = {}
        """Bit mask of hit count classes by pair, with the numbers of codes."""
        self._pairs: dict[tuple[int, int], int] = {}
        """Bit mask by pair of contract numbers; a pair is new if its bit is not set here."""
        self._logs: set[int] = set()
        """Hashes of logs that were added."""

    @classmethod
    def of(cls, machine: Hypervisor, contract_of: ContractOf) -> JumpCoverage | None:
        """Return an empty coverage, or None unless the guest of a state session runs frames, and records jumps."""
        if machine.context.rules != ETHEREUM:
            return None
        session = session_of(machine)
        return cls(session, contract_of) if session.runs_in_guest else None

    def begin_call(self) -> None:
        """Record jumps, and discard those of earlier calls."""
        self._session.records_jumps = True
        self._session.take_jumps()

    def take(self) -> bytes:
        """Return the jumps since `begin_call`, and stop recording; empty if the call ran outside of the session."""
        self._session.records_jumps = False
        return self._session.take_jumps()

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
        recorded, is_new = self._recorded, False
        for pair, count in Counter(pairwise(jumps)).items():
            bit, known = hit_count_class(count), recorded.get(pair, 0)
            if not known & bit:
                if len(recorded) >= MAX_PAIRS:
                    recorded.clear()
                recorded[pair] = known | bit
                is_new |= self._add_pair((self._named(pair[0]), self._named(pair[1])), bit)
        return is_new

    def _add_pair(self, pair: tuple[int, int], bit: int) -> bool:
        pairs = self._pairs
        known = pairs.get(pair, 0)
        if known & bit or (not known and len(pairs) >= MAX_PAIRS):
            return False
        pairs[pair] = known | bit
        return True

    def _named(self, jump: int) -> int:
        """Return a jump with the number of its contract in place of its code's."""
        if jump in (_START, _END):
            return jump
        return self._number_of(jump >> _CODE_SHIFT) << _CODE_SHIFT | jump & _COUNTER

    def _number(self, code_number: int) -> int:
        code = self._session.jumped.get(code_number)
        contract = None if code is None else self._contract_of(code, False)
        return 0 if contract is None else self._contracts.setdefault(contract, len(self._contracts) + 1)
