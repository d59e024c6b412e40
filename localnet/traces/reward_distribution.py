"""The distribution of a tipset's block reward among the streams, by re-execution (network version 29, FIP-0118).

The amounts follow from the reward actor's state before and after the award: its counters give the minted reward, and
the streams after it their weights and shares. They are checked against the counters of explicit and burnt rewards.

Source: lotus chain/stmgr/rewards.go and forest `award_distribution.rs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from hypervisor.messages.address import Address
from hypervisor.migrations.nv29 import DENOM
from hypervisor.tracing import CallEnded, CallNode, CallTrees
from hypervisor.types import BURNT_FUNDS_ACTOR, REWARD_ACTOR, ActorID, decode_bigint
from localnet.chain.streams import stream_fields, weight_at
from localnet.chain.view import ChainReader
from localnet.errors import NetworkError
from localnet.ledger.records import GENESIS_PARENT, Tipset
from localnet.traces.trace import Replay
from store.blockstore import get_object
from store.cid import Cid
from store.codec import decode, unlink

_AWARD: Final = 2
_BURNT: Final = Address.id(BURNT_FUNDS_ACTOR)


class DistributionUnknown(NetworkError):
    """The reward of a tipset was not distributed among streams, or its distribution cannot be reconstructed."""


@dataclass(frozen=True, slots=True)
class RecipientReward:
    """A recipient's share of a stream, in parts of `DENOM`, and its earnings of one award in attoFIL."""

    recipient: Address
    share: int
    earned: int


@dataclass(frozen=True, slots=True)
class ExplicitDistribution:
    """The recipients of an explicit stream's reward, and the part that is burnt.

    `rounding` is the part that no recipient has earned yet, because earnings are rounded down. It is negative if this
    award completes parts of earlier awards.
    """

    writer: Address
    recipients: tuple[RecipientReward, ...]
    burn_share: int
    burnt: int
    rounding: int


@dataclass(frozen=True, slots=True)
class StreamReward:
    """A stream's weight in parts of `DENOM` and its amount in attoFIL; the miners' stream has no distribution."""

    id: int
    weight: int
    amount: int
    accrued: int
    distribution: ExplicitDistribution | None


@dataclass(frozen=True, slots=True)
class AwardAmounts:
    """Amounts of an award, or of several, in attoFIL.

    `minted` = `miner` + `explicit` + `burnt`. `tips` are the message fees of the miner. `miner_paid` and `burn_paid`
    are what the reward actor sent to the miner and to the burnt funds actor.
    """

    minted: int = 0
    miner: int = 0
    tips: int = 0
    explicit: int = 0
    burnt: int = 0
    miner_paid: int = 0
    burn_paid: int = 0


@dataclass(frozen=True, slots=True)
class BlockReward:
    """The award of one block. `burn_weight` is the part of no stream, in parts of `DENOM`."""

    block: Cid
    miner: Address
    wins: int
    amounts: AwardAmounts
    burn_weight: int
    streams: tuple[StreamReward, ...]


class AwardTracer(CallTrees):
    """A tracer that finds the reward actor's award; `after` is the result of `read` when it ends."""

    def __init__(self, read: Callable[[], Any]) -> None:
        super().__init__()
        self.award: CallNode | None = None
        self.after: Any = None
        self._read = read

    def _end(self, event: CallEnded) -> None:
        call = self._open[-1]
        super()._end(event)
        if self.award is None and (call.start.to, call.start.method) == (Address.id(REWARD_ACTOR), _AWARD):
            self.award, self.after = call, self._read()


def paid_by(award: CallNode, receiver: Address) -> int:
    """Return what an award paid to an address directly, in attoFIL."""
    return sum(call.start.value for call in award.calls if call.succeeded and call.start.to == receiver)


def block_reward(chain: ChainReader, tipset: Tipset) -> BlockReward | None:
    """Return the award of a tipset's block; None for the first tipset, which is not executed.

    Raises DistributionUnknown before network version 29, and NotReproduced.
    """
    if tipset.parent == GENESIS_PARENT:
        return None
    replay = Replay(chain, tipset, len(tipset.transactions))
    machine = replay.machine

    def reward_state() -> Any:
        actor = machine.state_tree.get_actor(ActorID(REWARD_ACTOR))
        return None if actor is None else get_object(machine.store, actor.head)

    before, tracer = reward_state(), AwardTracer(reward_state)
    if stream_fields(before) is None:
        raise DistributionUnknown("StateRewardDistribution requires reward actor v19 (network version 29)")
    replay.end(tracer)
    award = tracer.award
    if award is None:
        raise DistributionUnknown("these rules award no block reward: use a network with Filecoin's rules")
    producer, _penalty, tips, wins = decode(award.start.params)
    miner = Address.from_bytes(producer)
    streams, amounts = award_distribution(
        before, tracer.after, lambda root: get_object(machine.store, root), tipset.height
    )
    amounts = replace(
        amounts,
        tips=decode_bigint(tips),
        miner_paid=paid_by(award, miner),
        burn_paid=paid_by(award, _BURNT),
    )
    burn_weight = DENOM - sum(stream.weight for stream in streams)
    return BlockReward(tipset.block, miner, wins, amounts, burn_weight, streams)


def award_distribution(
    before: Any, after: Any, read: Callable[[Cid], Any], epoch: int
) -> tuple[tuple[StreamReward, ...], AwardAmounts]:
    """Return the streams' rewards of one award, and its amounts without payments.

    `before` and `after` are states of the reward actor; `read` returns the object of a CID. Raises DistributionUnknown
    if the streams do not explain the counters.
    """
    old, new = stream_fields(before), stream_fields(after)
    if old is None or new is None:
        raise DistributionUnknown("StateRewardDistribution requires reward actor v19 (network version 29)")

    def growth(name: str) -> int:
        return decode_bigint(new[name]) - decode_bigint(old[name])

    minted = growth("total_minted_reward")
    pools = {row["id"]: decode_bigint(row["amount"]) for row in new["accrued"]}
    rows, _tombstones, _pending = read(unlink(new["streams_root"]))
    streams = tuple(_stream_reward(row, minted, pools, epoch) for row in rows)
    miner = sum(stream.amount for stream in streams if stream.distribution is None)
    explicit = sum(stream.accrued for stream in streams)
    burnt = minted - miner - explicit
    if (explicit, burnt) != (growth("total_explicit_minted"), growth("total_burn_minted")):
        raise DistributionUnknown("the reward's allocation does not match the counters of explicit and burnt rewards")
    if sum(stream.weight for stream in streams) > DENOM:
        raise DistributionUnknown("the weights of the streams exceed 100 %")
    return streams, AwardAmounts(minted=minted, miner=miner, explicit=explicit, burnt=burnt)


def _stream_reward(row: list[Any], minted: int, pools: dict[int, int], epoch: int) -> StreamReward:
    number, record, distribution = row
    weight = weight_at(record, epoch)
    amount = minted * weight // DENOM
    if distribution is None:
        return StreamReward(number, weight, amount, 0, None)
    if number not in pools:
        raise DistributionUnknown(f"stream {number} has shares but no accrued amount")
    writer, shares, *_ = distribution
    total = sum(share for _, share in shares)
    if total <= 0:
        raise DistributionUnknown(f"the shares of stream {number} sum to {total}, not to a positive number")
    accrued = amount * total // DENOM
    # A fold in the same award empties the pool first, so the pool before follows from the pool after.
    pool, pool_before = pools[number], pools[number] - accrued
    recipients = tuple(
        RecipientReward(Address.from_bytes(recipient), share, pool * share // total - pool_before * share // total)
        for recipient, share in shares
    )
    rounding = accrued - sum(each.earned for each in recipients)
    explicit = ExplicitDistribution(Address.from_bytes(writer), recipients, DENOM - total, amount - accrued, rounding)
    return StreamReward(number, weight, amount, accrued, explicit)
