"""Interception of calls and creations for pranks, mocks, expectations and recordings.

The order is forge's: expected calls, pranks, mocks, the call; then pranks end, reverts are checked, then logs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes import emits
from fvm_hypervisor.soltest.cheatcodes.asked_call import Around, Attempt
from fvm_hypervisor.soltest.cheatcodes.broadcasts import collecting
from fvm_hypervisor.soltest.cheatcodes.diffs import close_access, open_access
from fvm_hypervisor.soltest.cheatcodes.failures import MAGIC_ASSUME, CheatcodeFailure, failure_data
from fvm_hypervisor.soltest.cheatcodes.reverts import DUMMY_ADDRESS, DUMMY_OUTPUT, checked, voids
from fvm_hypervisor.soltest.cheatcodes.state import ExpectedRevert, Mock, State
from fvm_hypervisor.soltest.cheatcodes.values import encode
from runtimes.evm.engine import Answer, CallKind

_STATIC_BROADCAST: Final = "`staticcall`s are not allowed after `broadcast`; use `startBroadcast` instead"


def attempt(state: State, what: Attempt, around: Around) -> Answer:
    """Make a call with the cheatcodes that apply to it."""
    if state.revert is not None:
        state.revert.deepest = max(state.revert.deepest, what.depth + 1)
    if what.kind is None and state.intercept_code:
        state.intercept_code = False
        return Answer(False, what.data)
    _count_call(state, what)
    sender = _apply_prank(state, what, around)
    prank = state.pranks.get(what.depth)
    once = prank is not None and prank.broadcast and prank.once
    if sender is not None and once and what.kind is CallKind.STATICCALL:
        return Answer(False, failure_data(_STATIC_BROADCAST))
    if sender is not None and prank is not None and prank.broadcast and state.broadcasts is not None:
        around, sender = collecting(state.broadcasts, what, sender, around)
    mock = _mock(state, what)
    access = open_access(state, what, sender, around) if state.diff is not None else None
    answer = (
        around.proceed(sender, _function(state, what)) if mock is None else _mock_answer(mock, what, sender, around)
    )
    if access is not None:
        close_access(state, access, what, answer, around)
    if what.kind is None and answer.success and answer.created is not None:
        _count_creation(state, what, sender, answer.created, around)
    return attempt_result(state, what, answer, around)


def attempt_result(state: State, what: Attempt, answer: Answer, around: Around) -> Answer:
    """Return the result that the caller of an attempt sees."""
    _end_prank(state, what.depth, around)
    assumed = state.assume
    if assumed is not None:
        if not answer.success and assumed.reverted_by is None:
            assumed.reverted_by = what.receiver
        if what.depth <= assumed.depth:
            state.assume = None
            if not answer.success:
                return Answer(False, MAGIC_ASSUME) if voids(assumed, answer, around.words) else answer
    expected = state.revert
    if expected is not None and not expected.cheatcode:
        _note_reverter(expected, what, answer)
        if what.depth <= expected.depth:
            checked_answer = check_revert(state, expected, answer, what.kind is None, around.words)
            if checked_answer.success and not answer.success:
                around.give_back()
            return checked_answer
    if not answer.success:
        return answer
    if state.failure is not None:
        message, state.failure = state.failure, None
        return Answer(False, failure_data(message))
    if not what.static:
        missing = emits.unmet(state, what.depth)
        if missing is not None:
            message, bare = missing
            return Answer(False, encode(["string"], [message]) if bare else failure_data(message))
    return answer


def check_revert(
    state: State, expected: ExpectedRevert, answer: Answer, creation: bool, words: Callable[[bytes], str]
) -> Answer:
    """Return the answer that replaces an expected revert, or the failure if the call did not revert as expected."""
    state.revert = None
    try:
        checked(expected, answer, words)
    except CheatcodeFailure as failure:
        return Answer(False, failure_data(failure.message))
    expected.seen += 1
    if expected.seen < expected.count:
        state.revert = expected
    return Answer(True, created=EthAddress(DUMMY_ADDRESS)) if creation else Answer(True, DUMMY_OUTPUT)


def _note_reverter(expected: ExpectedRevert, what: Attempt, answer: Answer) -> None:
    first = expected.reverted_by is None or expected.count > 1
    if first and not answer.success and expected.reverter is not None:
        expected.reverted_by = what.receiver


# --- before the call -------------------------------------------------------------------------------------------------


def _count_call(state: State, what: Attempt) -> None:
    value = what.value if what.kind in (CallKind.CALL, CallKind.CALLCODE) else None
    for (data, kind), expected in state.calls.get(what.target, {}).items() if what.kind is not None else ():
        if (
            what.data.startswith(data)
            and expected.value in (None, value)
            and expected.gas in (None, what.gas)
            and (expected.min_gas is None or expected.min_gas <= what.gas)
            and kind in (None, what.kind)
        ):
            expected.seen += 1


def _count_creation(
    state: State, what: Attempt, sender: EthAddress | None, created: EthAddress, around: Around
) -> None:
    kind, deployer = "CREATE2" if what.second else "CREATE", sender or what.caller
    for expected in state.creates:
        if (expected.deployer, expected.kind) == (deployer, kind) and expected.code == around.ledger.code(created):
            state.creates.remove(expected)
            return


def _apply_prank(state: State, what: Attempt, around: Around) -> EthAddress | None:
    """Return the pranked sender of a call, or None; sets the pranked origin."""
    depths = [depth for depth in state.pranks if depth <= what.depth]
    if not depths:
        return None
    prank = state.pranks[max(depths)]
    here = what.depth == prank.depth
    sender = None
    if what.kind is CallKind.DELEGATECALL:
        if not (prank.delegates and here):
            return None
        sender = prank.sender
    elif what.caller != prank.caller:
        return None
    elif here:
        sender = prank.sender
    if sender is not None:
        around.ledger.touch(sender)
        prank.used = True
    if prank.origin is not None:
        around.set_origin(prank.origin)
        prank.used = True
    return sender


def _end_prank(state: State, depth: int, around: Around) -> None:
    prank = state.pranks.get(depth)
    if prank is not None:
        if prank.origin is not None:
            around.set_origin(prank.old_origin)
        if prank.once:
            del state.pranks[depth]


# --- mocks ----------------------------------------------------------------------------------------------------------


def _mock(state: State, what: Attempt) -> Mock | None:
    mocks = state.mocks.get(what.target) if what.kind is not None else None
    if not mocks:
        return None
    value = what.value if what.kind in (CallKind.CALL, CallKind.CALLCODE) else None
    exact = next((mock for mock in mocks if mock.data == what.data and mock.value == value), None)
    if exact is not None:
        return exact
    fitting = [mock for mock in mocks if what.data.startswith(mock.data) and mock.value in (None, value)]
    # prefer the longest calldata, then a mock with a value
    return max(fitting, key=lambda mock: (mock.data, mock.value is not None), default=None)


def _mock_answer(mock: Mock, what: Attempt, sender: EthAddress | None, around: Around) -> Answer:
    output = mock.answers[0] if mock.answers else b""
    pays = what.value if what.kind is CallKind.CALL and not mock.reverts else 0
    if not around.pay(sender or what.caller, pays):
        return Answer(False)
    if len(mock.answers) > 1:
        mock.answers.popleft()
    return around.answered(Answer(not mock.reverts, output))


def _function(state: State, what: Attempt) -> EthAddress | None:
    """Return the address whose code replaces the callee's: matched by the whole calldata, then by the selector."""
    functions = state.functions.get(what.target) if what.kind is not None else None
    if not functions:
        return None
    return functions.get(what.data) or functions.get(what.data[:4])
