"""Expected logs: which of those that come is which that was announced, and what forge says of one that is not.

Rules: forge's `expectEmit`. The first log after the announcement fills it, announcements are met in their order, other
logs may come between them.
"""

from __future__ import annotations

from bridge.addresses import EthAddress
from bridge.events import Log
from devtools.soltest.cheatcodes.state import ExpectedEmit, State

_ANONYMOUS = "use vm.expectEmitAnonymous to match anonymous events"


def announce(state: State, expected: ExpectedEmit) -> None:
    """Expect a log, behind those that are still to come and before those that have."""
    at = next((at for at, known in enumerate(state.emits) if known.found), len(state.emits))
    state.emits.insert(at, expected)


def take(state: State, emitter: EthAddress, log: Log) -> None:
    """Let a log fill or meet an announcement."""
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
        return
    _meet(expected, emitter, log)
    del emits[at]
    if expected.found:
        emits.append(expected)
    else:
        emits.appendleft(expected)


def _meet(expected: ExpectedEmit, emitter: EthAddress, log: Log) -> None:
    assert expected.log is not None
    if _meets(expected, log):
        expected.seen[emitter] = expected.seen.get(emitter, 0) + 1
    else:
        expected.mismatch = mismatch(expected, log)
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


def _seen(expected: ExpectedEmit) -> int:
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


def unmet(state: State, depth: int) -> tuple[str, bool] | None:
    """What a call at `depth` that succeeded has left out of what was announced there; whether as a bare string.

    Forge gives some of its words as a cheatcode's failure and some as an ABI string without a selector.
    """
    emits = state.emits
    if not any(expected.depth == depth for expected in emits):
        return None
    for expected in emits:
        if not expected.found and expected.count > 0:
            return expected.mismatch or "log != expected log", True
    for expected in emits:
        if _seen(expected) != expected.count:
            return f"log emitted {_seen(expected)} times, expected {expected.count}", False
    emits.clear()
    return None


def left_over(state: State) -> str | None:
    """What is wrong at the end of the test with what was announced."""
    missing = [expected for expected in state.emits if not expected.found and expected.count > 0]
    state.emits.clear()
    if not missing:
        return None
    return (
        "expected an emit, but no logs were emitted afterwards. "
        "you might have mismatched events or not enough events were emitted"
    )


def mismatch(expected: ExpectedEmit, log: Log) -> str:
    """How a log differs from the one that was expected."""
    wanted = expected.log
    assert wanted is not None
    if len(wanted.topics) != len(log.topics):
        less = 0 if expected.anonymous else 1
        want, have = max(len(wanted.topics) - less, 0), max(len(log.topics) - less, 0)
        return f"log indexed topic count mismatch: expected {want}, got {have}"
    if not expected.anonymous and expected.checks[0] and wanted.topics[:1] != log.topics[:1]:
        return "log != expected log"
    sizes_differ = len(wanted.data) != len(log.data) or len(wanted.data) % 32 or not wanted.data
    if expected.checks[4] and wanted.data != log.data and sizes_differ:
        return "log != expected log"
    differences = _differences(expected, wanted, log)
    if not differences:
        return "log != expected log"
    return f"{'anonymous log' if expected.anonymous else 'log'} mismatch at {', '.join(differences)}"


def _differences(expected: ExpectedEmit, wanted: Log, log: Log) -> list[str]:
    first = 0 if expected.anonymous else 1
    found = [
        f"param {at - first}: expected=0x{want.hex()}, got=0x{have.hex()}"
        for at, (want, have) in enumerate(zip(wanted.topics, log.topics, strict=True))
        if at >= first and expected.checks[at] and want != have
    ]
    if expected.checks[4]:
        indexed = max(len(wanted.topics) - first, 0)
        for at in range(0, len(wanted.data), 32):
            want, have = wanted.data[at : at + 32], log.data[at : at + 32]
            if want != have:
                found.append(f"param {indexed + at // 32}: expected=0x{want.hex()}, got=0x{have.hex()}")
    return found
