"""Expected reverts: comparison with a call's result, and forge's messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.ethereum.addresses import checksummed
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure, revert_text, unwrap_error
from fvm_hypervisor.soltest.cheatcodes.state import AcceptableRevert, AssumeNoRevert, ExpectedRevert
from runtimes.evm import SubcallOutcome

DUMMY_OUTPUT: Final = bytes(8192)
"""Return data of a call that reverted as expected; Solidity decodes it as any type."""
DUMMY_ADDRESS: Final = bytes(19) + b"\x01"

ReasonText = Callable[[bytes], str]


def check_outcome(expected: ExpectedRevert, outcome: SubcallOutcome, reason_text: ReasonText) -> None:
    """Raise CheatcodeFailure unless the call ended as expected."""
    if not expected.cheatcode and expected.deepest <= expected.depth:
        raise CheatcodeFailure("call didn't revert at a lower depth than cheatcode call depth")
    if expected.count == 0:
        _check_none(expected, outcome)
        return
    if outcome.success:
        raise CheatcodeFailure("next call did not revert as expected")
    reverter = expected.reverter
    if reverter is not None and expected.reverted_by is not None and expected.reverted_by != reverter:
        raise CheatcodeFailure(
            f"Reverter != expected reverter: {checksummed(expected.reverted_by)} != {checksummed(reverter)}"
        )
    check_reason(expected.reason, expected.partial, outcome.output, reason_text, expected.cheatcode)


def check_reason(
    reason: bytes | None, partial: bool, data: bytes, reason_text: ReasonText, within: bool = False
) -> None:
    """Raise CheatcodeFailure unless a call reverted with the reason; with `within`, a substring suffices."""
    if reason is None:
        return
    if not data and reason:
        raise CheatcodeFailure("call reverted as expected, but without data")
    if partial and data[:4] == reason[:4]:
        return
    actual = unwrap_error(data)
    if actual == reason or (within and reason in actual) or actual == unwrap_error(reason):
        return
    have, want = reason_text(actual), reason_text(reason)
    if have != want:
        raise CheatcodeFailure(f"Error != expected error: {have} != {want}")


def _check_none(expected: ExpectedRevert, outcome: SubcallOutcome) -> None:
    if outcome.success:
        return
    reason, reverter = expected.reason, expected.reverter
    if reason is None and reverter is None:
        raise CheatcodeFailure("call reverted when it was expected not to revert")
    same_reason = reason is not None and unwrap_error(outcome.output) == reason
    same_reverter = reverter is not None and expected.reverted_by == reverter
    what = revert_text(unwrap_error(outcome.output))
    wanted = "" if reason is None else revert_text(reason)
    reverter_text = "" if reverter is None else checksummed(reverter)
    if same_reason and same_reverter:
        raise CheatcodeFailure(f"expected 0 reverts with reason: {wanted}, from address: {reverter_text}, but got one")
    if same_reason and reverter is None:
        raise CheatcodeFailure(f"expected 0 reverts with reason: {wanted}, but got one")
    if same_reverter and reason is None:
        raise CheatcodeFailure(f"expected 0 reverts from address: {reverter_text}, but got one")
    if reverter is None:
        raise CheatcodeFailure(f"call reverted with '{what}' when it was expected not to revert")
    by = checksummed(expected.reverted_by or bytes(20))
    but = (
        f"reverts with reason '{wanted}' from {reverter_text}"
        if reason is not None
        else f"reverts from {reverter_text}"
    )
    raise CheatcodeFailure(f"call reverted with '{what}' from {by}, but expected 0 {but}")


def voids(assumed: AssumeNoRevert, outcome: SubcallOutcome, reason_text: ReasonText) -> bool:
    """Return True if a reverted call makes the run be rejected."""
    return not assumed.reasons or any(_acceptable(assumed, reason, outcome, reason_text) for reason in assumed.reasons)


def _acceptable(
    assumed: AssumeNoRevert, reason: AcceptableRevert, outcome: SubcallOutcome, reason_text: ReasonText
) -> bool:
    if reason.reverter is not None and assumed.reverted_by not in (None, reason.reverter):
        return False
    try:
        check_reason(reason.reason, reason.partial, outcome.output, reason_text)
    except CheatcodeFailure:
        return False
    return True
