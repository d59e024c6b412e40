"""The reward actor of nv29.

- Every invariant of the streams as a property: random states keep it, and one that does not is refused.
- Input that f02 must refuse, and with which exit code: FIP-0118 and docs/actors.md. A refusal changes nothing.

A broken structure or accounting ends explicit methods with 20 and an award with the gas reward alone; a broken schedule
ends awards so, and no claim (FIP-0118, 2.4.8).
"""

from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.bindings import reward
from hypervisor.types import MethodNumber, encode_bigint
from store.codec import encode
from tests.conftest import samples
from tests.streams import programs
from tests.streams.programs import play
from tests.streams.states import (
    ACCOUNTING,
    AUTHORITY,
    BREAKS,
    EPOCH,
    LAST_EPOCH,
    MINER,
    NO_ACTOR,
    ONE_WRITER,
    RECIPIENT,
    STRUCTURE,
    WHOLE,
    Stage,
    broken,
    flat,
    id_bytes,
    stage,
    state,
)

EPOCH_REWARD: Final = 10**6
NOW_AND_LATER: Final = 1000


def refused(streams: list[Any], accrued: list[Any]) -> None:
    """Explicit methods end with 20; an award pays the gas reward, and keeps nothing."""
    with stage(EPOCH) as at:
        at.put(streams, accrued, EPOCH_REWARD)
        claim = reward.claim(2, [])
        assert at.send(RECIPIENT, claim.method, claim.params).exit_code == 20
        assert minted_by_award(at) == 0


def minted_by_award(at: Stage) -> int:
    """Return the amount minted by an award with tips of 7 attoFIL; if it is 0, only the tips may have moved."""
    at.credit(7)
    head, before, miner, burnt = at.head(), at.state().minted, at.balance(MINER), at.burnt()
    assert at.award(gas=7).exit_code == 0
    minted = at.state().minted - before
    if not minted:
        assert (at.head(), at.balance(MINER), at.burnt()) == (head, miner + 7, burnt)
    return minted


@pytest.mark.slow
@settings(max_examples=samples(40))
@given(st.integers(0, 10**6))
def test_random_states_keep_all_of_them_and_are_taken(seed: int) -> None:
    streams, accrued = state(seed)
    assert broken(streams, accrued, EPOCH) == []
    with stage(EPOCH) as at:
        at.put(streams, accrued, EPOCH_REWARD)
        claim = reward.claim(2, [])
        assert at.send(RECIPIENT, claim.method, claim.params).exit_code == 0
        assert minted_by_award(at) == EPOCH_REWARD // 5


@pytest.mark.slow
@pytest.mark.parametrize("name", [*STRUCTURE, *ACCOUNTING])
@settings(max_examples=samples(20))
@given(seed=st.integers(0, 10**6))
def test_a_state_that_breaks_one_is_refused(name: str, seed: int) -> None:
    streams, accrued = state(seed)
    BREAKS[name](streams, accrued, Random(seed))
    assert name in broken(streams, accrued, EPOCH)
    refused(streams, accrued)


@pytest.mark.slow
@settings(max_examples=samples(40))
@given(st.integers(0, 10**6), st.sampled_from(["floor", "cap", "whole", "sum"]))
def test_a_schedule_that_is_broken_now_stops_awards_alone(seed: int, how: str) -> None:
    streams, accrued = state(seed)
    record = streams[0][1][1]
    match how:
        case "floor":
            record[3] += 1
        case "cap":
            record[0] += 1
        case "whole":
            streams[0][1][1] = [0, 0, 0, 0, WHOLE + 1]
        case _:
            streams[0][1][1] = flat(WHOLE)
    assert broken(streams, accrued, EPOCH)
    with stage(EPOCH) as at:
        at.put(streams, accrued, EPOCH_REWARD)
        claim = reward.claim(2, [])
        assert at.send(RECIPIENT, claim.method, claim.params).exit_code == 0
        assert minted_by_award(at) == 0


@pytest.mark.slow
@settings(max_examples=samples(30))
@given(st.integers(1, 10**6), st.integers(1, NOW_AND_LATER))
def test_a_schedule_that_breaks_later_pays_until_then(seed: int, later: int) -> None:
    """Stream 2 rises from an eighth so that the weights exceed the whole by one part after `later` epochs."""
    streams, accrued = state(seed)
    eighth, slope = WHOLE // 8, WHOLE // 4 // later + 1
    streams[0][1][1] = [eighth, slope, EPOCH, eighth, WHOLE]
    streams[2].clear()
    assert broken(streams, accrued, EPOCH) == ["weights are a whole at most"]
    with stage(EPOCH) as at:
        at.put(streams, accrued, EPOCH_REWARD)
        assert minted_by_award(at) == EPOCH_REWARD // 5
        at.epoch = EPOCH + later
        assert minted_by_award(at) == 0


@pytest.mark.slow
def test_programs_keep_all_of_them_and_every_attofil() -> None:
    """A slice of the recorded run (bench/records/streams.json)."""
    plays = [play(seed) for seed in range(25)]
    assert [words for played in plays for words in played.findings] == []
    assert sum(bool(played.paid) for played in plays) >= 10


@pytest.mark.long
def test_published_crate_agrees_on_each_state() -> None:
    why_not = programs.build()
    if why_not:
        pytest.skip(why_not)
    questions = []
    for seed in range(40):
        streams, accrued = state(seed)
        questions.append((EPOCH, accrued, streams))
        for name, breaks in BREAKS.items():
            streams, accrued = state(seed)
            breaks(streams, accrued, Random(seed))
            questions.append((EPOCH, accrued, streams))
            assert name in broken(streams, accrued, EPOCH)
    answers = programs.ask([(epoch, encode(accrued), encode(streams)) for epoch, accrued, streams in questions])
    for (epoch, accrued, streams), words in zip(questions, answers, strict=True):
        found = broken(streams, accrued, epoch)
        assert words.startswith("broken" if found else "valid"), (found, words)


METHODS: Final = {
    "SetWeightRecords": reward.SET_WEIGHT_RECORDS,
    "StepWeightRecords": reward.STEP_WEIGHT_RECORDS,
    "RegisterStream": reward.REGISTER_STREAM,
    "RemoveStream": reward.REMOVE_STREAM,
    "SetDistribution": reward.SET_DISTRIBUTION,
    "CancelPending": reward.CANCEL_PENDING,
    "SetShares": reward.SET_SHARES,
    "ReplaceAddress": reward.REPLACE_ADDRESS,
    "Claim": reward.CLAIM,
}
GOVERNANCE: Final = tuple(METHODS)[:6]
ONE: Final = [[id_bytes(RECIPIENT), WHOLE]]
HALVES: Final = [[id_bytes(RECIPIENT), WHOLE // 2], [id_bytes(RECIPIENT + 1), WHOLE // 2]]
MALFORMED: Final = {
    "no CBOR": b"\xff",
    "cut short": encode([2])[:-1],
    "a map": encode({"id": 2}),
    "too few fields": b"\x80",
    "too many fields": encode([2] * 9),
    "a negative id": encode([-1]),
    "text": encode("2"),
}


def ledger(streams: int = 2, pending: list[Any] | None = None) -> tuple[list[Any], list[Any]]:
    """The miners' stream of a half, and explicit ones of a hundredth, written by ONE_WRITER."""
    explicit = [[id_, flat(WHOLE // 100), [id_bytes(ONE_WRITER), HALVES, [], []]] for id_ in range(2, streams + 1)]
    return [[[1, flat(WHOLE // 2), None], *explicit], [], pending or []], [[id_, b""] for id_ in range(2, streams + 1)]


def exit_code(
    sender: int, method: int, params: bytes, of: tuple[list[Any], list[Any]] | None = None, timelock: int = 0
) -> int:
    """The exit code of a message, on a state of its own; a refusal changes nothing."""
    with stage(EPOCH) as at:
        at.put(*(of or ledger()), 1000, timelock=timelock)
        head = at.head()
        code = at.send(sender, method, params).exit_code
        assert code == 0 or at.head() == head
        return code


def sender_of(name: str) -> int:
    return AUTHORITY if name in GOVERNANCE else ONE_WRITER


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_parameters_are_21(name: str, what: str) -> None:
    assert exit_code(sender_of(name), METHODS[name], MALFORMED[what]) == 21


@pytest.mark.parametrize("name", METHODS)
def test_empty_params_exit_with_16(name: str) -> None:
    assert exit_code(sender_of(name), METHODS[name], b"") == 16


WELL_FORMED: Final[dict[str, list[Any]]] = {
    "SetWeightRecords": [[[2, flat(1)]]],
    "StepWeightRecords": [[[2, flat(1)]]],
    "RegisterStream": [3, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH],
    "RemoveStream": [2],
    "SetDistribution": [2, id_bytes(RECIPIENT)],
    "CancelPending": [2, 3],
    "SetShares": [2, ONE],
    "ReplaceAddress": [2, id_bytes(RECIPIENT), id_bytes(RECIPIENT + 5)],
    "Claim": [2, [id_bytes(RECIPIENT)]],
}


@pytest.mark.parametrize("name", METHODS)
def test_the_callers_that_a_method_has(name: str) -> None:
    params = encode(WELL_FORMED[name])
    assert exit_code(sender_of(name), METHODS[name], params) == 0
    assert exit_code(RECIPIENT + 9, METHODS[name], params) == (0 if name == "Claim" else 18)


def test_a_ninth_stream_is_16() -> None:
    for live, code in ((7, 0), (8, 16)):
        params = encode([9, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH])
        assert exit_code(AUTHORITY, reward.REGISTER_STREAM, params, ledger(live)) == code


@pytest.mark.parametrize(("waiting", "code"), [(25, 0), (26, 16)])
def test_a_twenty_seventh_write_is_16(waiting: int, code: int) -> None:
    """Writes of streams that are not there yet: they will be dropped, and count as long as they wait."""
    writer = encode([id_bytes(RECIPIENT)])
    pending = [[id_, 4, writer, EPOCH + 1] for id_ in range(10, 10 + waiting)]
    assert exit_code(AUTHORITY, reward.REMOVE_STREAM, encode([2]), ledger(2, pending), timelock=5) == code


@pytest.mark.parametrize("taken", ["removed in between", "a tombstone"])
def test_registering_existing_or_retired_stream_id_exits_16(taken: str) -> None:
    """Refused when it is filed: a queue with such a registration would be a broken state."""
    streams, accrued = ledger(2, [[2, 3, b"\x80", EPOCH + 1]])
    id_ = 2
    if taken == "a tombstone":
        streams[1].append([4, [[id_bytes(RECIPIENT), encode_bigint(5)]]])
        id_ = 4
    params = encode([id_, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH + 9])
    assert exit_code(AUTHORITY, reward.REGISTER_STREAM, params, (streams, accrued)) == 16


def test_a_second_write_of_a_key_is_16() -> None:
    pending = [[2, 3, b"\x80", EPOCH + 5]]
    assert exit_code(AUTHORITY, reward.REMOVE_STREAM, encode([2]), ledger(2, pending), timelock=9) == 16


MAPS: Final[dict[str, tuple[list[Any], int]]] = {
    "one part too few": ([HALVES[0], [HALVES[1][0], WHOLE // 2 - 1]], 16),
    "one part too many": ([HALVES[0], [HALVES[1][0], WHOLE // 2 + 1]], 16),
    "no rows": ([], 16),
    "a share of nothing": ([*ONE, [id_bytes(RECIPIENT + 1), 0]], 16),
    "a recipient twice": ([HALVES[0], HALVES[0]], 16),
    "65 recipients": ([[id_bytes(RECIPIENT + n), WHOLE // 64 if n < 64 else 0] for n in range(65)], 16),
    "a recipient that is not there": ([[id_bytes(NO_ACTOR), WHOLE]], 17),
    "a negative share": ([[id_bytes(RECIPIENT), -1]], 21),
    "all to f099": ([[id_bytes(99), WHOLE]], 0),
    "f099 twice": ([[id_bytes(99), WHOLE // 2], [id_bytes(99), WHOLE // 2]], 0),
    "64 recipients": ([[id_bytes(RECIPIENT + n), WHOLE // 64] for n in range(64)], 0),
}


@pytest.mark.parametrize("name", MAPS)
def test_invalid_share_maps_are_refused(name: str) -> None:
    shares, code = MAPS[name]
    assert exit_code(ONE_WRITER, reward.SET_SHARES, encode([2, shares])) == code
    params = encode([3, flat(1), [id_bytes(ONE_WRITER), shares], EPOCH])
    assert exit_code(AUTHORITY, reward.REGISTER_STREAM, params) == code


HALF: Final = WHOLE // 2
ROOM: Final = WHOLE - HALF - WHOLE // 100
RECORDS: Final[dict[str, tuple[list[int], int]]] = {
    "all the room": (flat(ROOM), 0),
    "one part beyond": (flat(ROOM + 1), 16),
    "above its cap": ([2, 0, 0, 0, 1], 16),
    "below its floor": ([1, 0, 0, 2, 3], 16),
    "a cap beyond the whole": ([0, 0, 0, 0, WHOLE + 1], 16),
    "too much after a million epochs": ([ROOM - 10**6, 1, EPOCH, 0, WHOLE], 16),
    "room to the end": ([0, 1, EPOCH, 0, ROOM], 0),
    "too much at the last epoch alone": ([0, 1, LAST_EPOCH - 10**18, 0, WHOLE], 16),
    "too much at the steepest slope": ([0, (1 << 63) - 1, LAST_EPOCH - 1, 0, WHOLE], 16),
    "too much before it begins to fall": ([ROOM, -1, EPOCH + 10, 0, WHOLE], 16),
    "a slope beyond 64 bits": ([0, 1 << 63, 0, 0, 1], 21),
    "a negative start": ([-1, 0, 0, 0, 1], 21),
}


@pytest.mark.parametrize("name", RECORDS)
def test_invalid_weights_of_new_stream_are_refused(name: str) -> None:
    record, code = RECORDS[name]
    params = encode([3, record, [id_bytes(ONE_WRITER), ONE], EPOCH])
    assert exit_code(AUTHORITY, reward.REGISTER_STREAM, params) == code


@pytest.mark.parametrize(
    ("caller", "method", "params", "code"),
    [
        (AUTHORITY, reward.SET_WEIGHT_RECORDS, [[]], 16),
        (AUTHORITY, reward.SET_WEIGHT_RECORDS, [[[2, flat(1)], [2, flat(2)]]], 16),
        (AUTHORITY, reward.SET_WEIGHT_RECORDS, [[[9, flat(1)]]], 16),
        (AUTHORITY, reward.REGISTER_STREAM, [0, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH], 16),
        (AUTHORITY, reward.REGISTER_STREAM, [2, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH], 16),
        (AUTHORITY, reward.REGISTER_STREAM, [3, flat(1), None, EPOCH], 16),
        (AUTHORITY, reward.REGISTER_STREAM, [3, flat(1), [id_bytes(ONE_WRITER), ONE], EPOCH - 1], 16),
        (AUTHORITY, reward.REGISTER_STREAM, [3, flat(1), [id_bytes(NO_ACTOR), ONE], EPOCH], 17),
        (AUTHORITY, reward.SET_DISTRIBUTION, [2, id_bytes(NO_ACTOR)], 17),
        (AUTHORITY, reward.SET_DISTRIBUTION, [1, id_bytes(RECIPIENT)], 16),
        (AUTHORITY, reward.REMOVE_STREAM, [9], 16),
        (AUTHORITY, reward.CANCEL_PENDING, [None, 1], 16),
        (AUTHORITY, reward.CANCEL_PENDING, [2, 0], 16),
        (AUTHORITY, reward.CANCEL_PENDING, [None, 3], 16),
        (AUTHORITY, reward.CANCEL_PENDING, [2, 5], 21),
        (AUTHORITY, reward.CANCEL_PENDING, [2, 256], 21),
        (ONE_WRITER, reward.SET_SHARES, [1, ONE], 16),
        (ONE_WRITER, reward.SET_SHARES, [9, ONE], 16),
        (ONE_WRITER, reward.REPLACE_ADDRESS, [2, id_bytes(RECIPIENT), id_bytes(RECIPIENT + 1)], 16),
        (ONE_WRITER, reward.REPLACE_ADDRESS, [2, id_bytes(RECIPIENT), id_bytes(NO_ACTOR)], 17),
        (ONE_WRITER, reward.REPLACE_ADDRESS, [2, id_bytes(NO_ACTOR), id_bytes(RECIPIENT + 5)], 17),
        (ONE_WRITER, reward.CLAIM, [1, []], 16),
        (ONE_WRITER, reward.CLAIM, [2, [id_bytes(RECIPIENT)] * 65], 16),
        (ONE_WRITER, reward.CLAIM, [2, [id_bytes(RECIPIENT)] * 64], 0),
        (ONE_WRITER, reward.CLAIM, [9, [id_bytes(NO_ACTOR)]], 0),
    ],
)
def test_invalid_request_has_its_exit_code(caller: int, method: MethodNumber, params: list[Any], code: int) -> None:
    assert exit_code(caller, method, encode(params)) == code


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x80", encode([flat(1)]), encode([flat(1), None, 0])])
def test_malformed_queued_payload_exits_20_and_pays_gas_only(payload: bytes) -> None:
    streams, accrued = ledger(2, [[3, 2, payload, EPOCH + 5]])
    assert exit_code(ONE_WRITER, reward.CLAIM, encode([2, []]), (streams, accrued)) == 20
    with stage(EPOCH) as at:
        at.put(streams, accrued, 1000)
        at.credit(7)
        miner = at.balance(MINER)
        assert at.award(gas=7).exit_code == 0
        assert (at.balance(MINER) - miner, at.state().minted) == (7, 0)


def test_due_write_breaking_the_schedule_is_dropped_with_event() -> None:
    """Filed when there was room; stream 2 has grown since."""
    heavy = encode([[[2, flat(WHOLE)]]])
    streams, accrued = ledger(2, [[None, 1, heavy, EPOCH]])
    with stage(EPOCH) as at:
        at.put(streams, accrued, 1000)
        applied = at.award()
        assert applied.exit_code == 0
        kinds = [entry.value for event in applied.events for entry in event.entries if entry.key == "$type"]
        assert encode("write-dropped") in kinds
        assert at.state().streams[2] == []
        assert at.state().minted == 200
        assert_paid(at)


def assert_paid(at: Stage) -> None:
    """Assert that of 200 attoFIL half went to the miner, a hundredth to stream 2, and the rest was burnt."""
    now = at.state()
    assert (now.burnt, now.explicit, now.accrued) == (98, 2, [[2, encode_bigint(2)]])
