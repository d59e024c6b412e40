"""Coverage of jumps that the engine `fast` records while calls run at full speed (`EvmRuntime.take_jumps`).

Two consecutive jump destinations of a call form a pair, also across contracts, and so do the first one with the call's
start and the last one with its end. Deployments of one contract share their pairs, whatever their constructor arguments
and immutables. All code outside the project is counted together, as number 0. Classes of hit counts are those of edges.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from itertools import pairwise
from typing import Final

from fvm_hypervisor.soltest.fuzz.edges import ContractOf, hit_count_class
from hypervisor.machine.machine import Hypervisor
from runtimes.evm import EvmRuntime

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

    def __init__(self, runtime: EvmRuntime, contract_of: ContractOf) -> None:
        self._runtime = runtime
        self._contract_of = contract_of
        self._contracts: dict[Hashable, int] = {}
        self._number_of = lru_cache(_MAX_WATCHED_CODES)(self._number)
        self._recorded: dict[tuple[int, int], int] = {}
        """Bit mask of hit count classes by pair, with the numbers of codes."""
        self._pairs: dict[tuple[int, int], int] = {}
        """Bit mask by pair of contract numbers; a pair is new if its bit is not set here."""
        self._logs: set[int] = set()
        """Hashes of logs that were added."""
        runtime.reset_jump_recording()

    @classmethod
    def of(cls, machine: Hypervisor, contract_of: ContractOf) -> JumpCoverage | None:
        """Return an empty coverage, or None if the machine's EVM runtime does not record jumps."""
        runtime = machine.registry.runtime_for(machine.manifest.code("evm"))[1]
        return cls(runtime, contract_of) if isinstance(runtime, EvmRuntime) and runtime.records_jumps else None

    def begin_call(self) -> None:
        """Discard the jumps of earlier calls."""
        self._runtime.take_jumps()

    def reached_new_pairs(self) -> bool:
        """Return True if jumps since `begin_call` are new, and remember them."""
        return self.add(self._runtime.take_jumps())

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
        code = self._runtime.recorded_code(code_number)
        contract = None if code is None else self._contract_of(code, False)
        return 0 if contract is None else self._contracts.setdefault(contract, len(self._contracts) + 1)
