"""Expected logs and reverts: matching with expectations, and forge's messages.

Rules: forge's. The first log after the cheatcode defines the expected one; expected logs must come in order, but other
logs may come between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.filecoin.receipts import Log
from hypervisor_tools.soltest.cheatcodes.failures import HALTS, CheatcodeFailure, revert_text, unwrap_error
from hypervisor_tools.soltest.cheatcodes.state import (
    AcceptableRevert,
    AssumeNoRevert,
    ExpectedEmit,
    ExpectedRevert,
    State,
)
from runtimes.evm import SubcallOutcome


class ReadLog(NamedTuple):
    """A decoded log: the event's name, and each parameter's name and value as text."""

    name: str
    values: tuple[tuple[str, str], ...]


KnownEvents = Callable[[Log], ReadLog | None]
"""Decodes a log by the project's events; None if none matches."""
_ANONYMOUS = "use vm.expectEmitAnonymous to match anonymous events"


def expect(state: State, expected: ExpectedEmit) -> None:
    """Add an expected log, after pending ones and before those already found."""
    at = next((at for at, known in enumerate(state.emits) if known.found), len(state.emits))
    state.emits.insert(at, expected)


def match_log(state: State, emitter: EthAddress, log: Log, events: KnownEvents) -> None:
    """Process a log: it defines an expected log, or is compared with one."""
    emits = state.emits
    if all(expected.found for expected in emits):
        return
    for expected in emits:
        never = expected.count == 0 and not expected.found and expected.log is not None
        if never and expected.emitter in (None, emitter) and _meets(expected, log):
            state.failure = "log emitted but expected 0 times"
            return
    fills = any(expected.log is None for expected in emits)
    if not fills and all(expected.found or expected.count == 0 for expected in emits):
        return
    if fills:
        at = next((at for at, expected in enumerate(emits) if expected.found), len(emits)) - 1
    else:
        at = next((at for at, expected in enumerate(emits) if not expected.found and expected.count > 0), 0)
    expected = emits[at]
    if expected.log is None:
        if expected.anonymous or log.topics:
            expected.log = log
        else:
            state.failure = _ANONYMOUS
            del emits[at]
        return
    _meet(expected, emitter, log, events)
    del emits[at]
    if expected.found:
        emits.append(expected)
    else:
        emits.appendleft(expected)


def _meet(expected: ExpectedEmit, emitter: EthAddress, log: Log, events: KnownEvents) -> None:
    assert expected.log is not None
    if _meets(expected, log):
        expected.seen[emitter] = expected.seen.get(emitter, 0) + 1
    else:
        expected.mismatch = mismatch(expected, log, events)
        return
    if expected.emitter not in (None, emitter):
        assert expected.emitter is not None
        expected.mismatch = f"log emitter mismatch: expected=0x{expected.emitter.hex()}, got=0x{emitter.hex()}"
        return
    expected.found = _seen_by_one(expected) >= expected.count


def _seen_by_one(expected: ExpectedEmit) -> int:
    if expected.emitter is not None:
        return expected.seen.get(expected.emitter, 0)
    return next(iter(expected.seen.values()), 0)


def _seen_count(expected: ExpectedEmit) -> int:
    if expected.emitter is not None:
        return expected.seen.get(expected.emitter, 0)
    return sum(expected.seen.values())


def _meets(expected: ExpectedEmit, log: Log) -> bool:
    wanted = expected.log
    assert wanted is not None
    if len(wanted.topics) != len(log.topics):
        return False
    topics = zip(expected.checks, wanted.topics, log.topics, strict=False)
    if any(check and want != have for check, want, have in topics):
        return False
    return not expected.checks[4] or wanted.data == log.data


def missing_message(state: State, depth: int) -> tuple[str, bool] | None:
    """Return the message for missing logs after a successful call at `depth`, and True for a bare string.

    Forge returns some of its messages as a cheatcode failure and some as an ABI string without a selector.
    """
    emits = state.emits
    if not any(expected.depth == depth for expected in emits):
        return None
    for expected in emits:
        if not expected.found and expected.count > 0:
            return expected.mismatch or "log != expected log", True
    for expected in emits:
        if _seen_count(expected) != expected.count:
            return f"log emitted {_seen_count(expected)} times, expected {expected.count}", False
    emits.clear()
    return None


def missing_at_end(state: State) -> str | None:
    """Return the message for logs that are still missing at the end of a test, or None."""
    missing = [expected for expected in state.emits if not expected.found and expected.count > 0]
    state.emits.clear()
    if not missing:
        return None
    return (
        "expected an emit, but no logs were emitted afterwards. "
        "you might have mismatched events or not enough events were emitted"
    )


def mismatch(expected: ExpectedEmit, log: Log, events: KnownEvents) -> str:
    """Return how a log differs from the expected one, with the names and values of the project's events."""
    wanted = expected.log
    assert wanted is not None
    want, have = (None, None) if expected.anonymous else (events(wanted), events(log))
    wanted_name, name = ("log" if read is None else read.name for read in (want, have))
    other = f"{name} != expected {wanted_name}"
    if len(wanted.topics) != len(log.topics):
        less = 0 if expected.anonymous else 1
        counts = (max(len(topics) - less, 0) for topics in (wanted.topics, log.topics))
        template = "{} indexed topic count mismatch: expected {}, got {}"
        return template.format(name, *counts) if name == wanted_name else other
    if not expected.anonymous and expected.checks[0] and wanted.topics[:1] != log.topics[:1]:
        return other
    sizes_differ = len(wanted.data) != len(log.data) or len(wanted.data) % 32 or not wanted.data
    if expected.checks[4] and wanted.data != log.data and sizes_differ:
        return other
    differences = _differences(expected, wanted, log)
    if not differences:
        return other
    if want is not None and have is not None:
        head = f"{name} param mismatch" if name == wanted_name else "log mismatch"
        return f"{head} at {', '.join(_describe(difference, want, have) for difference in differences)}"
    kind = "anonymous log" if expected.anonymous else "log"
    return f"{kind} mismatch at {', '.join(difference.text() for difference in differences)}"


@dataclass(frozen=True, slots=True)
class _Difference:
    """A differing word, and the number of its parameter, assuming one word per parameter."""

    index: int
    want: bytes
    have: bytes

    def text(self) -> str:
        return f"param {self.index}: expected=0x{self.want.hex()}, got=0x{self.have.hex()}"


def _describe(difference: _Difference, want: ReadLog, have: ReadLog) -> str:
    index = difference.index
    if index >= min(len(want.values), len(have.values)):
        return difference.text()
    name, value = want.values[index]
    return f"{name or f'param{index}'}: expected={value}, got={have.values[index][1]}"


def _differences(expected: ExpectedEmit, wanted: Log, log: Log) -> list[_Difference]:
    first = 0 if expected.anonymous else 1
    found = [
        _Difference(at - first, want, have)
        for at, (want, have) in enumerate(zip(wanted.topics, log.topics, strict=True))
        if at >= first and expected.checks[at] and want != have
    ]
    if expected.checks[4]:
        indexed = max(len(wanted.topics) - first, 0)
        for at in range(0, len(wanted.data), 32):
            want, have = wanted.data[at : at + 32], log.data[at : at + 32]
            if want != have:
                found.append(_Difference(indexed + at // 32, want, have))
    return found


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
    data = outcome.output
    if not data and outcome.exit_code in HALTS:
        data = f"EvmError: {HALTS[outcome.exit_code]}".encode()
    check_reason(expected.reason, expected.partial, data, reason_text, expected.cheatcode)


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
    what = revert_text(unwrap_error(outcome.output)) if outcome.output else ""
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
