"""A symbolic invariant test: sequences of calls of its targets with symbolic senders and arguments, up to a depth.

Targets and senders are those of `fuzz.invariants`, which also runs each counterexample. The states after one call more
are explored before those after two. A state is dropped if an earlier one covers it: one with the same accounts and
block, whose constraints on the values in them are among its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import z3

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.discovery import has_special, tests_of
from hypervisor_tools.soltest.execution.results import CaseKind, TestResult
from hypervisor_tools.soltest.execution.values import Dictionary
from hypervisor_tools.soltest.fuzz.invariants import InvariantRun, is_maximizing
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.fuzz.targets import FuzzTarget
from hypervisor_tools.soltest.symbolic.inputs import arguments, number_of, shapes
from hypervisor_tools.soltest.symbolic.path import FIRST_SYMBOLIC, Account, Code, Path, Storage
from hypervisor_tools.soltest.symbolic.run import Explorer, StartState, SymbolicRun, end_transaction, enter
from hypervisor_tools.soltest.symbolic.solver import Solver
from hypervisor_tools.soltest.symbolic.words import Data, NotModelled, Word, bytes_of_word, values


class SymbolicCall(NamedTuple):
    """A call of a sequence."""

    sender: Word
    address: EthAddress
    calldata: Data

    def stored(self, model: z3.ModelRef) -> StoredCall:
        """Return the call with the values of a model."""
        sender = values(bytes_of_word(self.sender)[12:], model)
        return StoredCall(sender, self.address, values(self.calldata, model))


class SequenceState(NamedTuple):
    """The state after a sequence of calls."""

    path: Path
    calls: tuple[SymbolicCall, ...]


@dataclass(slots=True)
class SymbolicInvariantRun(SymbolicRun):
    """A running symbolic invariant test."""

    _explorer: Explorer = field(init=False)
    _concrete: InvariantRun = field(init=False)
    _targets: list[FuzzTarget] = field(default_factory=list)
    _states: dict[Any, list[tuple[frozenset[int], Path]]] = field(default_factory=dict)
    """States by their content, with the identities of the constraints on it; the paths keep these from reuse."""

    def _explore(self, start: StartState, solver: Solver) -> TestResult | None:
        invariant = self.project.invariant
        if self.stage.defers_set_up:
            raise NotModelled("an invariant test whose setUp() calls svm")
        if invariant.max_time_delay or invariant.max_block_delay:
            raise NotModelled("delays between calls (max_time_delay, max_block_delay)")
        if is_maximizing(self.test):
            raise NotModelled("a test that returns the number to maximize")
        self._concrete = InvariantRun(self.stage, self.test, invariant, 0, self.ready, Dictionary())
        ended = self._concrete.begin()
        self.stage.executor.restore(self.ready)
        if ended is not None:
            return replace(ended, kind=CaseKind.SYMBOLIC, seed=None)
        checks = {selector(test.signature) for test in tests_of(self.stage.artifact, "checks")}
        self._targets = [
            target
            for target in self._concrete.targets
            if target.address != self.stage.address or target.selector not in checks
        ]
        self._successes = 1  # the state after setUp
        self._explorer = Explorer(self.settings, self._undecided)
        try:
            return self._explore_sequences(self._begun(start, solver))
        finally:
            self._paths = self._explorer.paths

    def _explore_sequences(self, path: Path) -> TestResult | None:
        """Explore the states after each number of calls."""
        states = [SequenceState(path, ())]
        self._is_covered(path)
        for depth in range(1, self.settings.invariant_depth + 1):
            reached: list[SequenceState] = []
            for state in states:
                for target in self._targets:
                    failed = self._call(state, target, reached)
                    if failed is not None:
                        return replace(failed, runs=self._explorer.paths)
                    if self._explorer.is_over:
                        return None
            states, self._depth = reached, depth
        return None

    def _call(self, state: SequenceState, target: FuzzTarget, reached: list[SequenceState]) -> TestResult | None:
        """Call a target in a state, and add the new states; return a failure."""
        inputs, address = target.entry["inputs"], int.from_bytes(target.address, "big")
        for shape in shapes(inputs, self.settings):
            path, calldata = state.path.copy(), [*target.selector, *arguments(inputs, shape)]
            call = SymbolicCall(self._sender(path), target.address, calldata)
            enter(path, call.sender, address, calldata)
            for ended in self._explorer.run(path):
                try:
                    failed = self._end_call(SequenceState(ended, (*state.calls, call)), reached)
                except NotModelled as reason:
                    self._count(str(reason))
                    continue
                if failed is not None:
                    return failed
        return None

    def _sender(self, path: Path) -> Word:
        """Return a symbolic sender, one of the targeted ones if there are any."""
        targeted = self._concrete.senders
        if len(targeted) == 1:
            return int.from_bytes(targeted[0], "big")
        sender = number_of(160, name="sender")
        if targeted:
            path.assume(z3.Or(*(sender == int.from_bytes(one, "big") for one in targeted)))
        else:
            path.assume(*(sender != int.from_bytes(one, "big") for one in sorted(self._concrete.excluded)))
        return sender

    def _end_call(self, state: SequenceState, reached: list[SequenceState]) -> TestResult | None:
        """Add the state after a call if it is new; return the failure of the call, or of the checks after it."""
        path = state.path
        assert path.ended is not None
        success, output = path.ended
        if not success and self._is_rejected(output):
            return None
        is_failure = not success and (self.project.invariant.fail_on_revert or self._is_assertion(path, output))
        if is_failure or self._has_failed(path):
            return self._failure_of(state)
        if path.created or path.arrays:
            raise NotModelled("a call of svm in a sequence")
        end_transaction(path, "a call")
        if self._is_covered(path):
            return None
        reached.append(state)
        return self._check(state)

    def _check(self, state: SequenceState) -> TestResult | None:
        """Call the invariant, and `afterInvariant` if the contract has it; return a failure."""
        end = ("afterInvariant()",) if has_special(self.stage.artifact, "afterInvariant") else ()
        sender, address = (int.from_bytes(one, "big") for one in (self.stage.sender, self.stage.address))
        for name in (self.test.signature, *end):
            path = state.path.copy()
            enter(path, sender, address, list(selector(name)))
            for ended in self._explorer.run(path):
                assert ended.ended is not None
                if not ended.ended[0] or self._has_failed(ended):
                    failed = self._failure_of(state._replace(path=ended))
                    if failed is not None:
                        return failed
                elif ended.expected is not None:
                    raise NotModelled("an expected revert without a call")
        return None

    def _failure_of(self, state: SequenceState) -> TestResult | None:
        """Return the failure of a sequence if it fails on the concrete machine, too."""
        path, calls = state

        def replay() -> TestResult | None:
            found = self._concrete.failure_of([call.stored(path.model) for call in calls])
            self.stage.executor.restore(self.ready)
            return None if found is None else replace(found, kind=CaseKind.SYMBOLIC, seed=None)

        return self._confirmed(path, calls[-1].calldata, replay)

    # --- states -----------------------------------------------------------------------------------------------------

    def _is_covered(self, path: Path) -> bool:
        """Return True if an earlier state covers this one, which is remembered otherwise."""
        content = list(_content(path))
        terms = [word for word in content if isinstance(word, z3.ExprRef)]
        known = self._states.setdefault(tuple(map(_name, content)), [])
        needed = _constraints_on(path, terms)
        if any(fewer <= needed for fewer, _ in known):
            return True
        known.append((needed, path))
        return False


def _name(word: Any) -> Any:
    return ("term", word.get_id()) if isinstance(word, z3.ExprRef) else word


def _content(path: Path) -> Iterator[Any]:
    """Yield what later calls depend on: the block, and each account that differs from the one after `setUp`."""
    block = path.block
    yield from (block.number, block.timestamp, block.coinbase, block.chain_id, block.base_fee, block.randomness)
    owners = {number: owner for owner, number in path.symbolic_accounts}
    for number, account in sorted(path.accounts.items()):
        is_symbolic = number >= FIRST_SYMBOLIC
        before = Account(Code(()), Storage()) if is_symbolic else path.start.load(number)
        changes = account.storage.changes()
        is_same_code = account.code.data == before.code.data
        if not changes and is_same_code and _name(account.balance) == before.balance and account.nonce == before.nonce:
            continue
        yield from (owners.get(number, number), account.nonce, account.balance, len(changes))
        yield from (word for row in changes for word in row)
        yield from () if is_same_code else _parts(account.code.data)
    yield from path.actor_calls
    for address, size, words, output in path.precompiled:
        yield from (address, size, *words, *_parts(output))


def _parts(data: Data) -> Iterator[Any]:
    """Yield bytes that are numbers, and the words and indices of the others."""
    for byte in data:
        yield from (byte,) if isinstance(byte, int) else byte


def _constraints_on(path: Path, terms: list[Any]) -> frozenset[int]:
    """Return the identities of the constraints that share symbols with terms, directly or through others."""
    of = path.solver.constants.of
    symbols = set().union(*map(of, terms)) if terms else set()
    groups = [(one.get_id(), of(one)) for one in path.constraints]
    for entry in path.hashes.symbolic:
        words = (entry.hash, *(word for word in entry.words if isinstance(word, z3.ExprRef)))
        groups.append((entry.hash.get_id(), frozenset().union(*map(of, words))))
    needed: set[int] = set()
    while groups:
        related = [group for group in groups if group[1] & symbols]
        if not related:
            break
        groups = [group for group in groups if not group[1] & symbols]
        needed.update(name for name, _ in related)
        symbols = symbols.union(*(found for _, found in related))
    return frozenset(needed)
