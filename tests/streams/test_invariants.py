"""Every invariant of the streams as a property: random states keep it, and one that does not is refused.

A broken structure or accounting ends explicit methods with 20 and an award with the gas reward alone; a broken schedule
ends awards so, and no claim (FIP-0118, 2.4.8).
"""

from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.bindings import reward
from store.codec import encode
from tests.conftest import samples
from tests.streams import oracle
from tests.streams.invariants import ACCOUNTING, STRUCTURE, WHOLE, broken
from tests.streams.plants import PLANTS
from tests.streams.programs import play
from tests.streams.stage import MINER, RECIPIENT, Stage, stage
from tests.streams.states import BREAKS, EPOCH, flat, state

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


@pytest.mark.parametrize("name", [*STRUCTURE, *ACCOUNTING])
@settings(max_examples=samples(20))
@given(seed=st.integers(0, 10**6))
def test_a_state_that_breaks_one_is_refused(name: str, seed: int) -> None:
    streams, accrued = state(seed)
    BREAKS[name](streams, accrued, Random(seed))
    assert name in broken(streams, accrued, EPOCH)
    refused(streams, accrued)


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


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_defect_is_found(plant: str) -> None:
    assert any(play(seed, PLANTS[plant]).findings for seed in range(60))


@pytest.mark.long
def test_published_crate_agrees_on_each_state() -> None:
    why_not = oracle.build()
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
    answers = oracle.ask([(epoch, encode(accrued), encode(streams)) for epoch, accrued, streams in questions])
    for (epoch, accrued, streams), words in zip(questions, answers, strict=True):
        found = broken(streams, accrued, epoch)
        assert words.startswith("broken" if found else "valid"), (found, words)
