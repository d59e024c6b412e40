"""Failures of expectations, pranks and mocks, in forge's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.filecoin.receipts import Log
from hypervisor_tools.soltest.cheatcodes.failures import KnownErrors, failure_data, revert_text, unwrap_error
from hypervisor_tools.soltest.cheatcodes.values import encode
from runtimes.evm import SubcallOutcome
from runtimes.evm.revm import EmittedLog, Failure, FailureReason

_ALL_CHECKS: Final = 5


class ReadLog(NamedTuple):
    """A decoded log: the event's name, and each parameter's name and value as text."""

    name: str
    values: tuple[tuple[str, str], ...]


KnownEvents = Callable[[Log], ReadLog | None]
"""Decodes a log by the project's events; None if none matches."""

_TEXTS: Final[Mapping[int, str]] = {
    Failure.UNUSED_PRANK: "cannot overwrite a prank until it is applied at least once",
    Failure.OTHER_PRANK: (
        "cannot override an ongoing prank with a single vm.prank; use vm.startPrank to override the current prank"
    ),
    Failure.BROADCASTS: (
        "cannot `prank` for a broadcasted transaction; pass the desired `tx.origin` into the `broadcast` cheatcode call"
    ),
    Failure.PRANKED: "you have an active prank; broadcasting and pranks are not compatible",
    Failure.SECOND_BROADCAST: "a broadcast is active already",
    Failure.NO_CODE: "cannot `prank` delegate call from an EOA",
    Failure.SECOND_REVERT: "you must call another function prior to expecting a second revert",
    Failure.SECOND_ASSUMPTION: "you must make another external call prior to calling assumeNoRevert again",
    Failure.COUNTED_TWICE: "counted expected calls can only bet set once",
    Failure.COUNTED: "cannot overwrite a counted expectCall with a non-counted expectCall",
    Failure.REVERT_DEPTH: "call didn't revert at a lower depth than cheatcode call depth",
    Failure.NO_REVERT: "next call did not revert as expected",
    Failure.NO_REASON: "call reverted as expected, but without data",
    Failure.EMITTED: "log emitted but expected 0 times",
    Failure.ANONYMOUS: "use vm.expectEmitAnonymous to match anonymous events",
    Failure.NO_LOG: (
        "expected an emit, but no logs were emitted afterwards. "
        "you might have mismatched events or not enough events were emitted"
    ),
}
CAUGHT: Final = SubcallOutcome(True, bytes(8192), EthAddress(bytes(19) + b"\x01"))
"""The outcome of a call or creation that reverted as expected; Solidity decodes its data as any type."""


def has_reason(reason: FailureReason, errors: KnownErrors) -> bool:
    """Return True if the data of a revert differs from the expected reason, but has the same text."""
    if reason.kind != Failure.REASON:
        return False
    have, want = (revert_text(text or b"", errors) for text in reason.texts)
    return have == want


def failed(reason: FailureReason, events: KnownEvents, errors: KnownErrors, name: str = "") -> SubcallOutcome:
    """Return the outcome of a call that fails for a reason; with the name of a cheatcode, that of its call.

    Forge returns the message of a missing log as an ABI string without a selector.
    """
    text = text_of(reason, events, errors)
    if reason.kind == Failure.NOT_EMITTED:
        return SubcallOutcome(False, encode(["string"], [text]))
    return SubcallOutcome(False, failure_data(f"vm.{name}: {text}" if name else text))


def text_of(reason: FailureReason, events: KnownEvents, errors: KnownErrors) -> str:
    """Return the message of a failure."""
    kind, numbers, addresses, texts, logs, _ = reason
    match kind:
        case Failure.REASON:
            have, want = (revert_text(text or b"", errors) for text in texts)
            return f"Error != expected error: {have} != {want}"
        case Failure.REVERTER:
            by, wanted = (checksummed(address or EthAddress(bytes(20))) for address in addresses)
            return f"Reverter != expected reverter: {by} != {wanted}"
        case Failure.REVERTED:
            return _reverted(addresses[0], addresses[1], texts[0], texts[1] or b"")
        case Failure.NOT_EMITTED:
            return _not_emitted(numbers, addresses[0], logs, events)
        case Failure.LOG_COUNT:
            return f"log emitted {numbers[0]} times, expected {numbers[1]}"
        case Failure.NOT_CALLED:
            return _not_called(numbers, addresses[0], *texts)
        case Failure.NOT_CREATED:
            deployer, second = addresses[0] or b"", "CREATE2" if numbers[0] else "CREATE"
            return (
                f"expected {second} call by address 0x{deployer.hex()} for bytecode "
                f"0x{(texts[0] or b'').hex()} but not found"
            )
    return _TEXTS[kind]


def _reverted(wanted_by: EthAddress | None, by: EthAddress | None, reason: bytes | None, output: bytes) -> str:
    """Return the message for a revert where none was expected."""
    if reason is None and wanted_by is None:
        return "call reverted when it was expected not to revert"
    same_reason = reason is not None and unwrap_error(output) == reason
    same_reverter = wanted_by is not None and by == wanted_by
    what = revert_text(unwrap_error(output)) if output else ""
    wanted = "" if reason is None else revert_text(reason)
    name = "" if wanted_by is None else checksummed(wanted_by)
    if same_reason and same_reverter:
        return f"expected 0 reverts with reason: {wanted}, from address: {name}, but got one"
    if same_reason and wanted_by is None:
        return f"expected 0 reverts with reason: {wanted}, but got one"
    if same_reverter and reason is None:
        return f"expected 0 reverts from address: {name}, but got one"
    if wanted_by is None:
        return f"call reverted with '{what}' when it was expected not to revert"
    but = f"reverts from {name}" if reason is None else f"reverts with reason '{wanted}' from {name}"
    return f"call reverted with '{what}' from {checksummed(by or EthAddress(bytes(20)))}, but expected 0 {but}"


def _not_called(numbers: list[int], callee: EthAddress | None, data: bytes | None, value: bytes | None) -> str:
    count, seen, delegates, has_gas, gas, has_least, least = numbers
    values = [f"data 0x{(data or b'').hex()}"]
    values += [] if value is None else [f"value {int.from_bytes(value, 'big')}"]
    values += [f"gas {gas}"] if has_gas else []
    values += [f"minimum gas {least}"] if has_least else []
    values += ["call type Delegatecall"] if delegates else []
    return (
        f"expected call to {checksummed(callee or EthAddress(bytes(20)))} with {', '.join(values)} to be called "
        f"{_times(count)}, but was called {_times(seen)}"
    )


def _times(count: int) -> str:
    return f"{count} time" if count == 1 else f"{count} times"


def _not_emitted(numbers: list[int], emitter: EthAddress | None, logs: list[EmittedLog], events: KnownEvents) -> str:
    """Return how the last other log differs from the expected one, which comes first."""
    checks, is_anonymous, is_match = numbers
    if len(logs) < 2:
        return "log != expected log"
    (_, wanted), (by, log) = logs
    checked = tuple(bool(checks >> bit & 1) for bit in range(_ALL_CHECKS))
    if emitter is not None and emitter != by and is_match:
        return f"log emitter mismatch: expected=0x{emitter.hex()}, got=0x{by.hex()}"
    return _mismatch(_Expected(checked, bool(is_anonymous), wanted), log, events)


class _Expected(NamedTuple):
    """An expected log, and what of it is compared: each topic, and the data."""

    checks: tuple[bool, ...]
    anonymous: bool
    log: Log


def _mismatch(expected: _Expected, log: Log, events: KnownEvents) -> str:
    """Return how a log differs from the expected one, with the names and values of the project's events."""
    wanted = expected.log
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


def _differences(expected: _Expected, wanted: Log, log: Log) -> list[_Difference]:
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
