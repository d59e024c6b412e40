"""Interception of calls and creations for pranks, mocks, expectations and recordings.

The order is forge's: expected calls, pranks, mocks, the call; then pranks end, reverts are checked, then logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes import emits
from hypervisor_tools.soltest.cheatcodes.context import CallOperations
from hypervisor_tools.soltest.cheatcodes.emits import DUMMY_ADDRESS, DUMMY_OUTPUT, check_outcome, voids
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME, CheatcodeFailure, failure_data
from hypervisor_tools.soltest.cheatcodes.pranks import broadcasting, by_deployer
from hypervisor_tools.soltest.cheatcodes.recording import close_access, open_accesses
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER, CallGas, ExpectedRevert, Mock, State
from hypervisor_tools.soltest.cheatcodes.values import encode
from runtimes.evm import CallKind, SubcallOutcome
from runtimes.evm.revm import InterceptedCall

_STATIC_BROADCAST: Final = "`staticcall`s are not allowed after `broadcast`; use `startBroadcast` instead"


def intercept_call(state: State, request: InterceptedCall, operations: CallOperations) -> SubcallOutcome:
    """Make a call with the cheatcodes that apply to it."""
    if state.revert is not None:
        state.revert.deepest = max(state.revert.deepest, request.depth + 1)
    if request.kind is None and state.intercept_code:
        state.intercept_code = False
        return SubcallOutcome(False, request.data)
    _count_call(state, request)
    payer = sender = apply_prank(state, request, operations.ledger.touch, operations.set_origin)
    prank = state.pranks.get(request.depth)
    once = prank is not None and prank.broadcast and prank.once
    if sender is not None and once and request.kind is CallKind.STATICCALL:
        return SubcallOutcome(False, failure_data(_STATIC_BROADCAST))
    if sender is not None and prank is not None and prank.broadcast:
        operations, sender = broadcasting(state, request, sender, operations)
    elif request.second and operations.uses_deployer and request.depth == _pranked_depth(state, request.depth):
        operations, sender = by_deployer(request, sender or request.caller, operations), CREATE2_DEPLOYER
    mock = _mock(state, request)
    accesses = [] if state.diff is None else open_accesses(state, request, payer, sender, operations)
    outcome = (
        operations.proceed(sender, _function(state, request))
        if mock is None
        else _answer_by_mock(state, mock, request, sender, operations)
    )
    for recorded, access in reversed(accesses):
        close_access(state, access, recorded, outcome, operations)
    if request.kind is None and outcome.success and outcome.created is not None:
        _count_creation(state, request, sender, outcome.created, operations)
    return intercepted_result(state, request, outcome, operations)


def _pranked_depth(state: State, depth: int) -> int:
    """Return the depth of the innermost prank; without one, that of the test."""
    return max((pranked for pranked in state.pranks if pranked <= depth), default=1)


def intercepted_result(
    state: State, request: InterceptedCall, outcome: SubcallOutcome, operations: CallOperations
) -> SubcallOutcome:
    """Return the result that the caller sees."""
    gas, state.ended = state.ended, None
    end_prank(state, request, operations.set_origin)
    if outcome.success and state.failure is not None:
        message, state.failure = state.failure, None
        outcome = SubcallOutcome(False, failure_data(message))
    assumed, expected = state.assume, state.revert
    is_last = expected is not None and request.depth <= expected.depth
    if not outcome.success and (request.kind is not None or is_last):  # as in forge, else the contract's creator
        note_reverter(state, request.receiver)
    if assumed is not None and request.kind is not None and request.depth <= assumed.depth:
        outcome = check_assumed(state, outcome, operations.reason_text)
        if not outcome.success:
            return outcome
    if expected is not None and not expected.cheatcode:
        waits = operations.internal_reverts and outcome.success and request.kind is not None  # as in forge 1.8
        if is_last and not waits:
            return check_revert(state, expected, outcome, request.kind is None, operations.reason_text)
    if gas is not None:
        state.last_frame = gas
        state.last_call = state.last_call if request.kind is None else gas
    if not outcome.success:
        return outcome
    if not request.static:
        missing = emits.missing_message(state, request.depth)
        if missing is not None:
            message, bare = missing
            return SubcallOutcome(False, encode(["string"], [message]) if bare else failure_data(message))
    return outcome


def check_assumed(state: State, outcome: SubcallOutcome, reason_text: Callable[[bytes], str]) -> SubcallOutcome:
    """Return the outcome of the call that must not revert, or one that rejects the inputs of the run."""
    assumed, state.assume = state.assume, None
    if assumed is None or outcome.success or not voids(assumed, outcome, reason_text):
        return outcome
    return SubcallOutcome(False, MAGIC_ASSUME)


def check_revert(
    state: State, expected: ExpectedRevert, outcome: SubcallOutcome, creation: bool, reason_text: Callable[[bytes], str]
) -> SubcallOutcome:
    """Return the outcome that replaces an expected revert, or the failure if the call did not revert as expected."""
    state.revert = None
    try:
        check_outcome(expected, outcome, reason_text)
    except CheatcodeFailure as failure:
        return SubcallOutcome(False, failure_data(failure.message))
    expected.seen += 1
    state.last_frame = None
    if expected.seen < expected.count:
        state.revert = expected
    return SubcallOutcome(True, created=EthAddress(DUMMY_ADDRESS)) if creation else SubcallOutcome(True, DUMMY_OUTPUT)


def note_reverter(state: State, reverter: EthAddress) -> None:
    """Record which contract reverted, or the cheatcodes' address if one failed."""
    assumed, expected = state.assume, state.revert
    if assumed is not None and assumed.reverted_by is None:
        assumed.reverted_by = reverter
    if expected is not None and expected.reverter is not None and (expected.reverted_by is None or expected.count > 1):
        expected.reverted_by = reverter


# --- before the call -------------------------------------------------------------------------------------------------


def _count_call(state: State, request: InterceptedCall) -> None:
    found = state.calls.get(request.target, {}) if request.kind is not None else {}
    for (data, kind), expected in found.items():
        if (
            request.data.startswith(data)
            and expected.value in (None, request.transfer)
            and expected.gas in (None, request.gas)
            and (expected.min_gas is None or expected.min_gas <= request.gas)
            and kind in (None, request.kind)
        ):
            found[data, kind] = replace(expected, seen=expected.seen + 1)


def _count_creation(
    state: State, request: InterceptedCall, sender: EthAddress | None, created: EthAddress, operations: CallOperations
) -> None:
    kind, deployer = "CREATE2" if request.second else "CREATE", sender or request.caller
    for expected in state.creates:
        if (expected.deployer, expected.kind) == (deployer, kind) and expected.code == operations.ledger.code(created):
            state.creates.remove(expected)
            return


def apply_prank(
    state: State,
    request: InterceptedCall,
    touch: Callable[[EthAddress], object],
    set_origin: Callable[[EthAddress], None],
) -> EthAddress | None:
    """Return the pranked sender of a call, or None; touches the sender, and sets the pranked origin.

    As in forge, a delegate call does not use a prank, a prank first used below its depth is also kept there, and a
    creation that ends one ends all of them.
    """
    depths = [depth for depth in state.pranks if depth <= request.depth]
    if not depths:
        return None
    prank = state.pranks[max(depths)]
    here, sender = request.depth == prank.depth, None
    caller: EthAddress | None = request.caller
    if request.kind is CallKind.DELEGATECALL:
        sender = prank.sender if prank.delegates and here else None
        caller = sender or request.sender
    if caller == prank.caller:
        sender = prank.sender if here else None
        if not prank.used and (here or prank.origin is not None):
            state.pranks[request.depth] = replace(prank, used=True)
    elif sender is None:
        return None
    if sender is not None:
        touch(sender)
    if prank.origin is not None:
        set_origin(prank.origin)
    return sender


def end_prank(state: State, request: InterceptedCall, set_origin: Callable[[EthAddress], None]) -> None:
    """End a prank for one call at the depth of this one, and restore the origin."""
    prank = state.pranks.get(request.depth)
    if prank is None or prank.depth != request.depth:
        return
    if prank.origin is not None:
        set_origin(prank.old_origin)
    if prank.once and request.kind is None:
        state.pranks.clear()
    elif prank.once:
        del state.pranks[request.depth]


# --- mocks ----------------------------------------------------------------------------------------------------------


def _mock(state: State, request: InterceptedCall) -> Mock | None:
    mocks = state.mocks.get(request.target) if request.kind is not None else None
    if not mocks:
        return None
    value = request.transfer
    exact = next((mock for mock in mocks if mock.data == request.data and mock.value == value), None)
    if exact is not None:
        return exact
    fitting = [mock for mock in mocks if request.data.startswith(mock.data) and mock.value in (None, value)]
    # prefer the longest calldata, then a mock with a value
    return max(fitting, key=lambda mock: (mock.data, mock.value is not None), default=None)


def _answer_by_mock(
    state: State, mock: Mock, request: InterceptedCall, sender: EthAddress | None, operations: CallOperations
) -> SubcallOutcome:
    output = mock.answers[0] if mock.answers else b""
    pays = request.value if request.kind is CallKind.CALL and not mock.reverts else 0
    if not operations.pay(sender or request.caller, pays):
        return SubcallOutcome(False)
    if len(mock.answers) > 1:
        mock.answers.popleft()
    state.ended = CallGas(request.gas, 0, 0)
    return SubcallOutcome(not mock.reverts, output)


def _function(state: State, request: InterceptedCall) -> EthAddress | None:
    """Return the address whose code replaces the callee's: matched by the whole calldata, then by the selector."""
    if request.kind is None:
        return None
    functions = state.functions.get(request.target, {})
    return functions.get(request.data) or functions.get(request.data[:4])
