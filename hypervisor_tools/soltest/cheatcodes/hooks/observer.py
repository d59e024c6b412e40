"""`TestObserver`: the cheatcodes of one call of a test in a state session.

A call that must begin again, for native actors or to watch instructions, raises CannotObserve. Then `undo` restores
what cheatcodes have set. The same exception ends a call that the session cannot run at all.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.receipts import Log
from hypervisor.types import MAX_BALANCE, ChainEpoch
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Context
from hypervisor_tools.soltest.cheatcodes.failures import ERROR, failure_data
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.fuzzing import fill_slot
from hypervisor_tools.soltest.cheatcodes.hooks.missing_contracts import note_missing
from hypervisor_tools.soltest.cheatcodes.hooks.storage_hooks import call_hook
from hypervisor_tools.soltest.cheatcodes.interception import begin_call, end_call, make_call, replaced
from hypervisor_tools.soltest.cheatcodes.recording import take_accesses
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, VM_ADDRESS, CallGas, StateSnapshot
from hypervisor_tools.soltest.cheatcodes.table import name_of
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import (
    ALL_DEPTHS,
    CannotObserve,
    ChainTime,
    Decision,
    FailureReason,
    InterceptedCall,
    Interception,
    Interest,
    Mode,
    ObservedCall,
    Snapshot,
)

if TYPE_CHECKING:
    from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes, CheatcodeSnapshot


_NO_STOPS: Final = Interest(0, 0, at_once=True, goes_on=True, cheatcodes=False)
_LAST: Final = _NO_STOPS._replace(goes_on=False)


class TestObserver:
    """Answers the calls of one call of a test."""

    __test__ = False  # keeps pytest from collecting it

    def __init__(self, cheats: Cheatcodes) -> None:
        self._cheats = cheats
        self._begin()

    def _begin(self, saved: bytes | None = None) -> None:
        cheats, state = self._cheats, self._cheats.state
        self._mark_output()
        self._was_idle = self.is_idle = state.is_idle and not cheats.settings.uses_deployer
        """True if the call and its end meet nothing that is set in Python, as long as no cheatcode runs there."""
        watches = state.sees_calls or state.recording
        self._context = cheats.machine.context
        self._set = cheats.interception.save() if saved is None else saved
        self._before = self._snapshot() if watches else None
        """Snapshot of what cheatcodes had set in Python; None while the call cannot have changed it."""
        self.has_run = False
        """True if a cheatcode was called in Python."""

    def _snapshot(self) -> CheatcodeSnapshot:
        """Return what cheatcodes had set when the call began."""
        return self._cheats.snapshot(self._set)._replace(context=self._context)

    def _mark_output(self) -> None:
        console = self._cheats.console
        self._lines, self._logs = len(console.lines), len(console.logs)

    @property
    def watched(self) -> frozenset[EthAddress]:
        return self._cheats.watched

    @property
    def interception(self) -> Interception:
        return self._cheats.interception

    @property
    def may_have_set(self) -> bool:
        """True if what cheatcodes have set may have changed."""
        return self._before is not None or self._cheats.machine.context is not self._context

    @property
    def has_written(self) -> bool:
        """True if there is new output."""
        console = self._cheats.console
        return len(console.lines) != self._lines or len(console.logs) != self._logs

    @property
    def watch(self) -> int:
        state, modes = self._cheats.state, 0
        if self._cheats.settings.isolates:
            modes = Mode.ISOLATES
            modes |= Mode.SHOWS_PRICE if state.block.gas_price is not None else 0
            modes |= Mode.SHOWS_BASE_FEE if state.block.base_fee is not None else 0
        if self.is_idle:
            return modes
        if state.hooks is not None:
            modes |= Mode.SLOT_ACCESSES | Mode.ALL_ACCESSES
        if state.diff is not None or state.mappings is not None:
            modes |= Mode.SLOT_ACCESSES | Mode.ALL_ACCESSES
        return modes | (Mode.SLOT_ACCESSES if state.recording else 0)

    @property
    def random(self) -> frozenset[EthAddress]:
        """Contracts with random slots, and those that have a copy of theirs."""
        state = self._cheats.state
        return frozenset({*state.arbitrary, *state.copies}) if state.arbitrary else frozenset()

    @property
    def hooked(self) -> frozenset[EthAddress]:
        """Contracts with storage hooks, which callbacks do not call."""
        hooks = self._cheats.state.hooks
        return frozenset() if hooks is None or hooks.is_active else frozenset(hooks.accounts)

    def accessed(self, run: ObservedCall) -> bytes | None:
        """Call the hook of an accessed slot; return the data with which its frame reverts."""
        access = take_accesses(self._cheats.state, run)
        return None if access is None else call_hook(self._cheats, run, access)

    def random_word(self, run: ObservedCall, account: EthAddress, slot: int, is_write: bool) -> None:
        """Draw the word of a slot."""
        if is_write:
            self._cheats.state.drawn.setdefault((account, slot))
        else:
            fill_slot(self._cheats.state, self._cheats.settings.seed, run, account, slot)

    def interest(self) -> Interest:
        state, settings = self._cheats.state, self._cheats.settings
        if self.is_idle or (state.is_idle and not settings.uses_deployer):
            return _LAST if self.has_written else _NO_STOPS
        seen = ALL_DEPTHS if state.sees_calls or settings.uses_deployer else 0
        ends = ALL_DEPTHS if state.forks.changes else 0
        return Interest(seen, ends, at_once=False, goes_on=False, cheatcodes=state.runs_cheatcodes)

    def begin_call(self, to: EthAddress, kept: bool, saved: bytes) -> None:
        if not kept:
            self.restore_state()
        self._cheats.begin_test(to_filecoin(to))
        self._begin(saved)

    def call_end(self, run: ObservedCall, depth: int, outcome: SubcallOutcome) -> None:
        take_accesses(self._cheats.state, run)
        undo_reverted(self._cheats, run)

    def snapshot_taken(self, taken: Snapshot, time: ChainTime) -> None:
        cheats = self._cheats
        number, timestamp = (int.from_bytes(word, "big") for word in (time.number, time.timestamp))
        now = cheats.machine.context
        assert taken.copy is not None, "the guest has a copy"
        context = replace(now, epoch=ChainEpoch(number), timestamp=timestamp, chain_id=time.chain_id)
        cheats.interception.snapshot_taken(taken.copy, StateSnapshot(taken, context, cheats.state.block))

    def log(self, emitter: EthAddress, log: Log) -> None:
        if emitter == CONSOLE_ADDRESS and not log.topics:  # the guest has answered its call
            self._cheats.console.write(log.data)
        else:
            self._cheats.console.write_log(emitter, log)

    def event(self, emitter: EthAddress, log: Log) -> None:
        self._cheats.event_log(emitter, log)

    def call(self, run: ObservedCall, request: InterceptedCall, decision: Decision) -> SubcallOutcome:
        take_accesses(self._cheats.state, run)
        if request.kind is not None and request.receiver == CONSOLE_ADDRESS:
            return self._console(run, request)
        if request.kind is not None and request.receiver == VM_ADDRESS:
            return self._cheatcode(run, request)
        return self._make(run, request, decision)[0]

    def _console(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        refusal = self._cheats.console.call(request.data)
        if refusal is not None:
            return SubcallOutcome(False, failure_data(refusal, ERROR))
        if request.value:
            return self._proceed(run, request, None, None)
        if request.kind is CallKind.STATICCALL and self._isolates(request):
            run.make_cold()
        return SubcallOutcome(True)

    def intercept(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        operations = self._operations(run, request)
        decision = begin_call(self._cheats, request, run, operations)
        outcome, sender = self._make(run, request, decision)
        return end_call(self._cheats, request, sender, outcome, operations)

    def _make(
        self, run: ObservedCall, request: InterceptedCall, decision: Decision
    ) -> tuple[SubcallOutcome, EthAddress | None]:
        cheats, state = self._cheats, self._cheats.state
        drawn = dict(state.drawn) if state.arbitrary else state.drawn
        if decision.sender is not None:
            run.touch(decision.sender)
        outcome, sender = make_call(cheats, request, decision, self._operations(run, request))
        if not outcome.success:
            state.drawn = drawn
        undo_reverted(cheats, run)
        if state.forks.forks:
            note_missing(cheats, run, request, outcome, run.precompiles)
        return outcome, sender

    def failed(self, run: ObservedCall, cheatcode: bytes, reason: FailureReason) -> SubcallOutcome:
        name = name_of(cheatcode) if any(cheatcode) else None
        return replaced(self._cheats, reason, SubcallOutcome(False), name or "")

    def _cheatcode(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        cheats = self._cheats
        if self._before is None:
            self._before = self._snapshot()
        self.has_run, self.is_idle = True, False
        context = Context(cheats, None, request.caller, request.depth, run, run=run)
        return cheats.run_cheatcode(context, request.data)

    def _operations(self, run: ObservedCall, request: InterceptedCall) -> CallOperations:
        cheats = self._cheats
        return CallOperations(
            ledger=run,
            proceed=partial(self._proceed, run, request),
            pay=partial(_pay, run, request.target),
            set_origin=run.set_origin,
            origin=run.origin,
            chain_id=cheats.machine.context.chain_id,
            fork_url=lambda: cheats.fork_url,
            uses_deployer=cheats.settings.uses_deployer,
        )

    def _isolates(self, request: InterceptedCall) -> bool:
        """Return True for a call by the test contract that must be a transaction, or have cold accounts."""
        return self._cheats.isolates and request.depth == 1

    def _proceed(
        self, run: ObservedCall, request: InterceptedCall, sender: EthAddress | None, code: EthAddress | None
    ) -> SubcallOutcome:
        state = self._cheats.state
        if code is not None:
            run.code(code)
        if self._isolates(request):
            if request.kind is CallKind.CALL or (request.kind is None and not request.second):
                isolated = run.isolate(request, sender, state.access_list)
                if isolated is None:
                    return SubcallOutcome(False)
                outcome, used, refund = isolated
                take_accesses(state, run)
                state.ended = CallGas(request.gas, used, refund)
                return outcome
            if request.kind is CallKind.STATICCALL:
                run.make_cold()
        outcome = run.enter(sender, code)
        take_accesses(state, run)
        if state.watches_gas:
            state.ended = CallGas(*run.ended_gas())
        return outcome

    def restore_state(self) -> None:
        """Restore what cheatcodes had set before the call, and the block; the output stays."""
        cheats = self._cheats
        if self._before is not None:
            console = cheats.console
            lines, logs = console.lines, console.logs
            cheats.restore(self._before, cheats.machine)
            console.lines, console.logs = lines, logs
            self._before = None
        else:
            cheats.interception.restore(self._set)
            cheats.machine.context = self._context

    def undo(self) -> None:
        """Undo what cheatcodes have done in the call, which begins again."""
        self.discard()
        self._cheats.repeat()

    def discard(self) -> None:
        """Restore what cheatcodes had set before the call, the block and the output."""
        self.restore_state()
        self.is_idle, self.has_run = self._was_idle, False
        console = self._cheats.console
        del console.lines[self._lines :], console.logs[self._logs :]


def _pay(run: ObservedCall, payee: EthAddress, payer: EthAddress, amount: int) -> bool:
    """Transfer the value of a call that is not made; return False without the funds."""
    if amount:
        funds, total = run.balance(payer), run.balance(payee) + amount
        if funds < amount:
            return False
        if total > MAX_BALANCE:
            raise CannotObserve(f"the value of a mocked call exceeds the largest balance, {MAX_BALANCE}")
        run.set_balance(payer, funds - amount)
        run.set_balance(payee, amount + run.balance(payee))
    return True
