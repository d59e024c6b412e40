"""Interception of calls in Python: broadcasts, the default deployer, recordings of state diffs, gas of the last call.

Expected calls, pranks and mocks come before, the checks of reverts and logs after: `runtimes.evm.revm.Interception`.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.context import CallOperations, Cheats
from hypervisor_tools.soltest.cheatcodes.failures import HALTS, MAGIC_ASSUME, failure_data
from hypervisor_tools.soltest.cheatcodes.ledger import Ledger
from hypervisor_tools.soltest.cheatcodes.pranks import broadcasting, by_deployer
from hypervisor_tools.soltest.cheatcodes.recording import close_access, open_accesses
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER, CallGas
from hypervisor_tools.soltest.cheatcodes.wording import CAUGHT, failed, has_reason
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import CheatResult, Decision, FailureReason, InterceptedCall, MockAnswer, Replacement

_STATIC_BROADCAST: Final = "`staticcall`s are not allowed after `broadcast`; use `startBroadcast` instead"


def make_call(
    cheats: Cheats, request: InterceptedCall, decision: Decision, operations: CallOperations
) -> tuple[SubcallOutcome, EthAddress | None]:
    """Make a call as it was decided; return its outcome, and the sender if it is another one."""
    state, interception = cheats.state, cheats.interception
    if request.kind is None and state.intercept_code:
        state.intercept_code = False
        return SubcallOutcome(False, request.data), None
    payer = sender = decision.sender
    pranks = interception.pranks() if state.uses_broadcasts or operations.uses_deployer else []
    prank = next((prank for prank in pranks if prank.depth == request.depth), None)
    if sender is not None and prank is not None and prank.broadcasts:
        if prank.once and request.kind is CallKind.STATICCALL:
            return SubcallOutcome(False, failure_data(_STATIC_BROADCAST)), sender
        operations, sender = broadcasting(state, request, sender, operations)
    elif request.second and operations.uses_deployer:
        pranked = max((prank.depth for prank in pranks if prank.depth <= request.depth), default=1)
        if request.depth == pranked:
            operations, sender = by_deployer(request, sender or request.caller, operations), CREATE2_DEPLOYER
    accesses = [] if state.diff is None else open_accesses(state, request, payer, sender, operations)
    outcome = (
        operations.proceed(sender, decision.code)
        if decision.answer is None
        else _answer_by_mock(cheats, decision.answer, request, sender, operations)
    )
    for recorded, access in reversed(accesses):
        close_access(state, access, recorded, outcome, operations)
    gas, state.ended = state.ended, None
    if gas is not None:
        state.note_gas(gas, request.kind is None, bool(interception.refresh().has_caught))
    return outcome, sender


def _answer_by_mock(
    cheats: Cheats, answer: MockAnswer, request: InterceptedCall, sender: EthAddress | None, operations: CallOperations
) -> SubcallOutcome:
    if not operations.pay(sender or request.caller, answer.value):
        return SubcallOutcome(False)
    cheats.interception.mock_answered(request.target, answer)
    cheats.state.ended = CallGas(request.gas, 0, 0)
    return SubcallOutcome(not answer.reverts, answer.output)


def end_call(
    cheats: Cheats, request: InterceptedCall, sender: EthAddress | None, outcome: SubcallOutcome,
    operations: CallOperations,
) -> SubcallOutcome:  # fmt: skip
    """Return the result that the caller sees of a call that the guest has not made itself."""
    interception, ledger = cheats.interception, operations.ledger
    if outcome.created is not None and outcome.success and interception.status.counts_creations:
        interception.created(sender or request.caller, request.second, ledger.code(outcome.created))
    while True:
        replacement, origin, deals = interception.call_ends(request, outcome, reason_of(outcome))
        for deal in deals:
            (ledger.set_nonce if deal.is_nonce else ledger.set_balance)(deal.account, deal.amount)
        if origin is not None:
            operations.set_origin(origin)
        outcome = replaced(cheats, replacement, outcome)
        if not ends_again(replacement):
            return outcome


def begin_call(cheats: Cheats, request: InterceptedCall, ledger: Ledger, operations: CallOperations) -> Decision:
    """Return what is done with a call that does not run in the guest's frames."""
    decision = cheats.interception.call_begins(request)
    if decision.sender is not None:
        ledger.touch(decision.sender)
    if decision.origin is not None:
        operations.set_origin(decision.origin)
    return decision


def ends_again(replacement: Replacement) -> bool:
    """Return True if a call that has failed for the reason ends again."""
    return isinstance(replacement, FailureReason) and replacement.ends_again


def reason_of(outcome: SubcallOutcome) -> bytes:
    """Return what expected reasons are compared with: the data, or the name of a halt without data."""
    halt = None if outcome.output or outcome.success else HALTS.get(outcome.exit_code)
    return outcome.output if halt is None else f"EvmError: {halt}".encode()


def replaced(cheats: Cheats, replacement: Replacement, outcome: SubcallOutcome, name: str = "") -> SubcallOutcome:
    """Return the outcome that replaces a call's; `name` is that of a cheatcode which has failed."""
    if replacement is None:
        return outcome
    if isinstance(replacement, int):
        return CAUGHT if replacement == CheatResult.CAUGHT else SubcallOutcome(False, MAGIC_ASSUME)
    settings = cheats.settings
    if has_reason(replacement, settings.errors):
        cheats.interception.accept()
        return CAUGHT
    return failed(replacement, settings.events, settings.errors, name)
