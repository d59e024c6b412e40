"""`TestObserver`: the cheatcodes of one call of a test in a state session.

A call that must begin again, for native actors or to watch instructions, raises CannotObserve. Then `undo` restores
what cheatcodes have set. The same exception ends a call that the session cannot run at all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.receipts import Log
from hypervisor.types import MAX_BALANCE
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Context
from hypervisor_tools.soltest.cheatcodes.failures import ERROR, failure_data, revert_text
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.fuzzing import fill_slot
from hypervisor_tools.soltest.cheatcodes.hooks.missing_contracts import note_missing
from hypervisor_tools.soltest.cheatcodes.hooks.storage_hooks import call_hook
from hypervisor_tools.soltest.cheatcodes.interception import (
    apply_prank,
    end_prank,
    intercept_call,
    intercepted_result,
)
from hypervisor_tools.soltest.cheatcodes.recording import take_accesses
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, VM_ADDRESS, CallGas
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import ALL_DEPTHS, CannotObserve, InterceptedCall, Interest, Mode, ObservedCall, session_of

if TYPE_CHECKING:
    from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes


_NO_STOPS: Final = Interest(0, 0, at_once=True)
_END: Final = Interest(0, 0, at_once=False)


class TestObserver:
    """Answers the calls of one call of a test."""

    __test__ = False  # keeps pytest from collecting it

    def __init__(self, cheats: Cheatcodes) -> None:
        self._cheats = cheats
        self._mark_output()
        state = cheats.state
        self._was_idle = self.is_idle = state.is_idle and not cheats.settings.uses_deployer
        """True if the call and its end meet nothing that cheatcodes have set, as long as none is called."""
        watches = state.recording or state.pauses_gas
        is_set = not self.is_idle and (state.seen_depth > 0 or state.deals or watches)  # calls and logs change it
        self._before = cheats.snapshot(cheats.machine) if is_set else None
        """Snapshot of what cheatcodes had set; None while the call cannot have changed it."""
        self.has_run = False
        """True if a cheatcode was called."""

    def _mark_output(self) -> None:
        console = self._cheats.console
        self._lines, self._logs = len(console.lines), len(console.logs)

    @property
    def watched(self) -> frozenset[EthAddress]:
        return self._cheats.watched

    @property
    def _pauses_gas(self) -> bool:
        """True if gas metering is paused, and the guest runs the frames."""
        machine, tracer = self._cheats.machine, self._cheats.machine.tracer
        if not self._cheats.state.pauses_gas:
            return False
        return session_of(machine).runs_in_guest and (tracer is None or tracer.takes_record)

    @property
    def may_have_set(self) -> bool:
        """True if what cheatcodes have set may have changed."""
        return self._before is not None

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
        return modes | (Mode.SLOT_ACCESSES if state.recording else 0) | (Mode.PAUSES_GAS if self._pauses_gas else 0)

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
            return _NO_STOPS if self.is_idle or not state.may_have_failed else _END
        deals = state.deals  # what was set in a failed call is set again at its end
        seen = max(state.seen_depth, int(settings.isolates or settings.uses_deployer))
        ends = max(deal.depth for deal in deals.values()) - 1 if deals else 0
        return Interest(seen, ALL_DEPTHS if state.forks.changes else ends, False)

    def begin_call(self, to: EthAddress) -> None:
        self._cheats.begin_test(to_filecoin(to))
        self._mark_output()

    def call_end(self, run: ObservedCall, depth: int, outcome: SubcallOutcome) -> None:
        take_accesses(self._cheats.state, run)
        undo_reverted(self._cheats, run)
        self._cheats.preserve_deals(depth, run, outcome)

    def log(self, emitter: EthAddress, log: Log) -> None:
        if emitter == CONSOLE_ADDRESS and not log.topics:  # the guest has answered its call
            self._cheats.console.write(log.data)
        else:
            self._cheats.handle_log(emitter, log)

    def call(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome | None:
        cheats, kind = self._cheats, request.kind
        take_accesses(cheats.state, run)
        if kind is not None and request.receiver == CONSOLE_ADDRESS:
            return self._console(run, request)
        if kind is not None and request.receiver == VM_ADDRESS:
            return self._cheatcode(run, request)
        state = cheats.state
        if cheats.settings.uses_deployer or not state.only_pranks:
            return self.intercept(run, request)
        sender = apply_prank(state, request, run.touch, run.set_origin)
        left = [depth for depth, prank in state.pranks.items() if depth != request.depth or not prank.once]
        interest = Interest(max(left, default=0), 0, not (left or state.may_have_failed))
        run.pass_on(sender, interest, self._isolates(request))
        return None

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
        cheats, state = self._cheats, self._cheats.state
        drawn = dict(state.drawn) if state.arbitrary else state.drawn
        outcome = intercept_call(state, request, self._operations(run, request))
        if not outcome.success:
            state.drawn = drawn
        undo_reverted(cheats, run)
        if state.deals:
            cheats.preserve_deals(request.depth, run, outcome)
        if state.forks.forks:
            note_missing(cheats, run, request, outcome, run.precompiles)
        return outcome

    def _cheatcode(self, run: ObservedCall, request: InterceptedCall) -> SubcallOutcome:
        cheats = self._cheats
        if self._before is None:
            self._before = cheats.snapshot(cheats.machine)
        self.has_run, self.is_idle = True, False
        context = Context(cheats, None, request.caller, request.depth, run, run=run)
        return cheats.run_cheatcode(context, request.data)

    def entered_end(self, run: ObservedCall, request: InterceptedCall, outcome: SubcallOutcome) -> SubcallOutcome:
        cheats = self._cheats
        take_accesses(cheats.state, run)
        undo_reverted(cheats, run)
        outcome = intercepted_result(cheats.state, request, outcome, self._operations(run, request))
        if cheats.state.deals:
            cheats.preserve_deals(request.depth, run, outcome)
        return outcome

    def unseen_end(self, request: InterceptedCall) -> None:
        end_prank(self._cheats.state, request, _no_origin)

    def _operations(self, run: ObservedCall, request: InterceptedCall) -> CallOperations:
        cheats = self._cheats
        return CallOperations(
            ledger=run,
            proceed=partial(self._proceed, run, request),
            pay=partial(_pay, run, request.target),
            set_origin=run.set_origin,
            origin=run.origin,
            chain_id=cheats.machine.context.chain_id,
            reason_text=lambda data: revert_text(data, cheats.settings.errors),
            fork_url=lambda: cheats.fork_url,
            uses_deployer=cheats.settings.uses_deployer,
            internal_reverts=cheats.settings.internal_reverts,
        )

    def _isolates(self, request: InterceptedCall) -> bool:
        """Return True for a call by the test contract that must be a transaction, or have cold accounts."""
        return self._cheats.isolates and request.depth == 1

    def _proceed(
        self, run: ObservedCall, request: InterceptedCall, sender: EthAddress | None, code: EthAddress | None
    ) -> SubcallOutcome:
        state = self._cheats.state
        if code is None and self._isolates(request):
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
        if self._before is not None:
            console = self._cheats.console
            lines, logs = console.lines, console.logs
            self._cheats.restore(self._before, self._cheats.machine)
            console.lines, console.logs = lines, logs
            self._before = None

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


def _no_origin(_: EthAddress) -> None:
    """Take the origin of a prank, of which no call is passed on."""
