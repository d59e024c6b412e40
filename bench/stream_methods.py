"""The reward actor's streams: an award compared with network version 28, and each method, also with full tables.

Messages are called without committing (`Hypervisor.call`), on constructed states (`tests.streams`). Figures are the
best of many processor times; those that are compared are measured alternately.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from time import process_time
from typing import Any, Final

from bench.rows import Row
from bridge.bindings import reward
from hypervisor import Address, Hypervisor, Message
from hypervisor.types import REWARD_ACTOR, SYSTEM_ACTOR, ActorID, MethodNumber
from store.codec import encode
from tests.streams.states import (
    AUTHORITY,
    EPOCH,
    MINER,
    ONE_WRITER,
    RECIPIENT,
    Stage,
    flat,
    full_tables,
    id_bytes,
    stage,
    two_streams,
)

ROUNDS: Final = 60
CALLS: Final = 4
_EPOCH_REWARD: Final = 36 * 10**18
_WHOLE: Final = 10**18
_MS: Final = 1000

_Measured = tuple[Hypervisor, Message]


def rows() -> Iterator[Row]:
    """Yield an award of two streams, one of full tables, and the slowest of the nine methods with full tables."""
    with ExitStack() as stack:
        before = stack.enter_context(stage(EPOCH, network=28))
        two, full = (_put(stack.enter_context(stage(EPOCH)), tables) for tables in (two_streams(), full_tables()))
        awards = {name: (at.machine, _award()) for name, at in (("nv28", before), ("two", two), ("full", full))}
        times = _times(awards)
        gas = {name: f"{machine.call(message).gas_used:,}" for name, (machine, message) in awards.items()}
        yield Row(
            "an award of two streams, one recipient",
            times["two"] / times["nv28"],
            f"{times['two'] * _MS:.2f} ms and {gas['two']} gas, at nv28 {times['nv28'] * _MS:.2f} ms and {gas['nv28']}",
        )
        yield Row("an award with full tables", times["full"] * _MS, f"8 streams, 64 recipients: {gas['full']} gas")
        room = _put(stack.enter_context(stage(EPOCH)), _with_room(*full_tables()))
        messages = {name: (room.machine, message) for name, message in _messages().items()}
        found = {name: seconds * _MS for name, seconds in _times(messages).items()}
        used = {name: machine.call(message).gas_used for name, (machine, message) in messages.items()}
        worst = max(found, key=lambda name: found[name])
        note = f"{worst}; gas of each: " + ", ".join(f"{name} {amount:,}" for name, amount in used.items())
        yield Row("a method of the streams, the worst", found[worst], note, found)


def _with_room(streams: list[Any], accrued: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return full tables with space to register a stream, remove one and cancel a write."""
    live, tombstones, _ = streams
    waiting = [3, 4, encode([id_bytes(RECIPIENT)]), EPOCH + 5]
    return [live[:-1], tombstones[:-1], [waiting]], accrued[:-1]


def _put(at: Stage, tables: tuple[list[Any], list[Any]]) -> Stage:
    at.put(*tables, _EPOCH_REWARD, timelock=5)
    at.machine.state_tree.flush()
    return at


def _award() -> Message:
    call = reward.award_block_reward(Address.id(ActorID(MINER)), 0, 0, 1)
    return _message(SYSTEM_ACTOR, call.method, call.params)


def _message(sender: int, method: MethodNumber, params: bytes) -> Message:
    return Message(Address.id(REWARD_ACTOR), Address.id(ActorID(sender)), method=method, params=params)


def _messages() -> dict[str, Message]:
    """Return each method with its maximum input."""
    many = [[id_bytes(RECIPIENT + 64 + place), _WHOLE // 64] for place in range(64)]
    weights = [[[id_, flat(_WHOLE // 40)] for id_ in range(2, 8)]]
    writer = id_bytes(ONE_WRITER)
    sent: tuple[tuple[str, int, MethodNumber, list[Any]], ...] = (
        ("SetWeightRecords", AUTHORITY, reward.SET_WEIGHT_RECORDS, weights),
        ("StepWeightRecords", AUTHORITY, reward.STEP_WEIGHT_RECORDS, weights),
        ("RegisterStream", AUTHORITY, reward.REGISTER_STREAM, [9, flat(_WHOLE // 20), [writer, many], EPOCH + 5]),
        ("RemoveStream", AUTHORITY, reward.REMOVE_STREAM, [2]),
        ("SetDistribution", AUTHORITY, reward.SET_DISTRIBUTION, [2, writer]),
        ("CancelPending", AUTHORITY, reward.CANCEL_PENDING, [3, 4]),
        ("SetShares", ONE_WRITER, reward.SET_SHARES, [2, many]),
        ("ReplaceAddress", ONE_WRITER, reward.REPLACE_ADDRESS, [2, id_bytes(RECIPIENT), id_bytes(RECIPIENT + 64)]),
        ("Claim", ONE_WRITER, reward.CLAIM, [2, [id_bytes(RECIPIENT + place) for place in range(64)]]),
    )
    return {name: _message(sender, method, encode(params)) for name, sender, method, params in sent}


def _times(asked: Mapping[str, _Measured]) -> dict[str, float]:
    """Return seconds of each message, measured alternately. Raises AssertionError if one is rejected."""
    for name, (machine, message) in asked.items():
        answer = machine.call(message)
        assert answer.exit_code == 0, (name, answer.exit_code, answer.message)
    best = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):
        for name, (machine, message) in asked.items():
            start = process_time()
            for _ in range(CALLS):
                machine.call(message)
            best[name] = min(best[name], (process_time() - start) / CALLS)
    return best
