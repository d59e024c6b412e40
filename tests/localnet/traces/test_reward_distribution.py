"""Distribution of block rewards among streams. The cases and amounts of the first part are those of Forest 0.39.0.

See its `shim/actors/builtin/reward/award_distribution/tests.rs`. The second part compares with balances on a network.
"""

from typing import Any

import pytest

from hypervisor.messages.address import Address
from hypervisor.migrations.nv29 import DENOM
from hypervisor.tracing import CallEnded, CallStarted
from hypervisor.types import CRON_ACTOR, REWARD_ACTOR, ActorID, MethodNumber, TokenAmount, encode_bigint
from localnet import Network
from localnet.rpc.method_table import MethodTable
from localnet.rpc.node import Node
from localnet.rpc.server.filecoin_v2 import V2MethodTable
from localnet.traces.reward_distribution import (
    AwardTracer,
    DistributionUnknown,
    StreamReward,
    award_distribution,
    paid_by,
)
from store.cid import cid_of
from store.codec import encode, link
from tests.localnet.chain.test_streams import FIRST, PERCENT, QUICK, SRA, to
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed

ALICE, BOB, WRITER = (Address.id(ActorID(number)).to_bytes() for number in (101, 102, 104))
METHOD = "Filecoin.StateRewardDistribution"
_ROOT = link(cid_of(encode([])))


def miners(percent: int) -> list[Any]:
    return [1, [percent * PERCENT, 0, 0, percent * PERCENT, percent * PERCENT], None]


def service(percent: int, **shares: int) -> list[Any]:
    rows = [[owner, share * PERCENT] for owner, share in zip((ALICE, BOB), shares.values(), strict=False)]
    return [2, [percent * PERCENT, 0, 0, percent * PERCENT, percent * PERCENT], [WRITER, rows, [], []]]


def state(minted: int, explicit: int, burnt: int, pool: int | None) -> list[Any]:
    """Return a state of the reward actor with these counters, and the pool of stream 2."""
    zero = encode_bigint(0)
    accrued = [] if pool is None else [[2, encode_bigint(pool)]]
    counters = [encode_bigint(each) for each in (minted, burnt, explicit)]
    return [zero, zero, 0, zero, zero, [zero, zero], zero, 0, *counters, 0, ALICE, accrued, _ROOT]


def award(streams: list[Any], before: Any, after: Any, epoch: int = 0) -> Any:
    return award_distribution(state(*before), state(*after), lambda _: [streams, [], []], epoch)


def earned(streams: tuple[StreamReward, ...]) -> list[int]:
    found = streams[-1].distribution
    assert found is not None
    return [row.earned for row in found.recipients]


def test_the_miners_stream_takes_its_weight_and_the_rest_is_burnt() -> None:
    streams, amounts = award([miners(60)], (1000, 0, 0, None), (1100, 0, 40, None))
    assert streams == (StreamReward(1, 60 * PERCENT, 60, 0, None),)
    assert (amounts.minted, amounts.miner, amounts.explicit, amounts.burnt) == (100, 60, 0, 40)


def test_weights_are_those_of_the_epoch() -> None:
    rising = [1, [0, PERCENT, 0, 0, DENOM], None]
    streams, amounts = award([rising], (1000, 0, 0, None), (1100, 0, 70, None), epoch=30)
    assert (streams[0].weight, amounts.miner) == (30 * PERCENT, 30)


@pytest.mark.parametrize(
    ("streams", "before", "after", "parts"),
    [
        ([miners(60), service(40, alice=75, bob=25)], (1000, 0, 0, 0), (1100, 40, 0, 40), [30, 10]),
        ([miners(60), service(40, alice=75, bob=25)], (1100, 40, 0, 40), (1200, 80, 0, 80), [30, 10]),
        ([miners(60), service(40, alice=100)], (1000, 500, 0, 500), (1100, 540, 0, 40), [40]),
        ([service(50, alice=100)], (1000, 0, 0, 0), (1010, 5, 5, 5), [5]),
    ],
    ids=["recipients", "next-award", "fold-in-the-award", "no-miners-stream"],
)
def test_recipients_earn_the_growth_of_their_part_of_the_pool(
    streams: list[Any], before: Any, after: Any, parts: list[int]
) -> None:
    assert earned(award(streams, before, after)[0]) == parts


def test_shares_of_nobody_are_burnt() -> None:
    streams, amounts = award([miners(60), service(40, alice=50, bob=25)], (1000, 0, 0, 0), (1100, 30, 10, 30))
    explicit = streams[1].distribution
    assert explicit is not None
    assert (explicit.burn_share, explicit.burnt, earned(streams)) == (25 * PERCENT, 10, [20, 10])
    assert (amounts.explicit, amounts.burnt) == (30, 10)


def test_rounding_is_adjusted_by_later_awards() -> None:
    halves = [service(100, alice=50, bob=50)]
    for before, after, parts, rounding in (
        ((1000, 0, 0, 0), (1001, 1, 0, 1), [0, 0], 1),
        ((1001, 1, 0, 1), (1002, 2, 0, 2), [1, 1], -1),
    ):
        streams, _ = award(halves, before, after)
        explicit = streams[0].distribution
        assert explicit is not None
        assert (earned(streams), explicit.rounding) == (parts, rounding)
    streams, amounts = award([miners(41), service(59, alice=75)], (1000, 0, 0, 0), (1010, 3, 3, 3))
    assert ([stream.amount for stream in streams], amounts.explicit, amounts.burnt) == ([4, 5], 3, 3)


@pytest.mark.parametrize(
    ("streams", "after", "words"),
    [
        ([miners(60), service(40, alice=50, bob=25)], (1100, 29, 10, 30), "does not match the counters"),
        ([miners(60), service(40, alice=50, bob=25)], (1100, 30, 9, 30), "does not match the counters"),
        ([miners(60), service(40, alice=100)], (1100, 40, 0, None), "stream 2 has shares but no accrued amount"),
        ([miners(60), service(50, alice=100)], (1100, 50, -10, 50), "the weights of the streams exceed 100 %"),
        ([miners(60), service(40, alice=0)], (1100, 0, 40, 0), "the shares of stream 2 sum to 0"),
    ],
)
def test_states_that_the_streams_do_not_explain_are_refused(streams: list[Any], after: Any, words: str) -> None:
    with pytest.raises(DistributionUnknown, match=words):
        award(streams, (1000, 0, 0, 0), after)


def test_only_direct_transfers_that_succeed_are_payments() -> None:
    """The calls and sums are those of Forest's `reward_distribution.rs`: 107 to the miner, 2 and 20 burnt."""
    miner, burnt, other = (Address.id(ActorID(number)) for number in (1000, 99, 1001))

    def call(sender: int, to: Address, value: int, exit_code: int, *inner: Any) -> list[Any]:
        start = CallStarted(ActorID(sender), to, MethodNumber(0), TokenAmount(value), b"", 0, False, 0)
        return [start, *(event for calls in inner for event in calls), CallEnded(exit_code, b"", 0, 0)]

    params = encode([miner.to_bytes(), b"", b"", 1])
    start = CallStarted(ActorID(0), Address.id(REWARD_ACTOR), MethodNumber(2), TokenAmount(0), params, 0, False, 0)
    cron = CallStarted(ActorID(0), Address.id(CRON_ACTOR), MethodNumber(2), TokenAmount(0), b"", 0, False, 0)
    end = CallEnded(0, b"", 0, 0)
    tracer = AwardTracer(lambda: "after")
    for event in [
        start, *call(2, miner, 107, 0, call(1000, burnt, 13, 0)), *call(2, miner, 41, 20), *call(2, burnt, 2, 0),
        *call(2, burnt, 20, 0), *call(2, burnt, 99, 20), *call(2, other, 5, 0), end, cron, *call(3, burnt, 7, 0), end,
    ]:  # fmt: skip
        tracer.event(event)
    award = tracer.award
    assert award is not None
    assert [paid_by(award, receiver) for receiver in (miner, burnt, other)] == [107, 22, 5]
    assert tracer.after == "after"


# --- on a network ----------------------------------------------------------------------------------------------------


def v2(network: Network) -> Client:
    client = Client(Node(network))
    client.dispatcher = client.dispatcher.with_methods(V2MethodTable(MethodTable()))
    return client


@pytest.mark.slow
def test_a_tipsets_distribution_equals_the_balances_that_it_changed() -> None:
    with Network(streams=QUICK, clock=Clock()) as network:
        miner = network.create_miner()
        network.set_producer(miner.address)
        network.mine(5 - network.block_number)
        burnt = network.balance("f099")
        before = network.balance(miner.address)
        receipt = network.send(network.accounts[3].address, 10)
        assert receipt.block_number == 6
        found = v2(network)(METHOD, {"tag": "latest"})
        (block,) = found["Blocks"]
        amounts = {name: int(text) for name, text in block["Amounts"].items()}
        assert found["Totals"] == block["Amounts"]
        assert (found["Height"], found["Denom"], found["TipSetKey"]) == (6, str(DENOM), [block["Block"]])
        assert (block["Miner"], block["WinCount"]) == (f"t0{miner.id}", 1)
        # By hand: 95 % less five times half a per cent; 5 % and as much more.
        assert [stream["Weight"] for stream in block["Streams"]] == [str(925 * PERCENT // 10), str(75 * PERCENT // 10)]
        assert block["BurnWeight"] == "0"
        assert amounts["MinerPaid"] == network.balance(miner.address) - before
        assert amounts["MinerPaid"] == amounts["MinerReward"] + amounts["MessageReward"]
        execution = receipt.execution
        tip = execution.candidate.bare.gas_limit * execution.candidate.bare.gas_premium
        assert amounts["MessageReward"] == tip
        assert amounts["BurnPaid"] == network.balance("f099") - burnt - (execution.paid - tip)
        assert amounts["MintedReward"] == sum(
            amounts[name] for name in ("MinerReward", "ExplicitReward", "BurnAllocation")
        )
        explicit = block["Streams"][1]["Distribution"]
        roles = [f"t0{network.machine.state_tree.lookup_id(to(role))}" for role in (SRA, FIRST)]
        assert [explicit["Writer"], explicit["Recipients"][0]["Recipient"]] == roles
        assert explicit["Recipients"][0]["EarnedAmount"] == str(amounts["ExplicitReward"])
        assert block["Streams"][0]["Distribution"] is None


def test_the_first_tipset_has_no_award_and_older_versions_have_no_streams() -> None:
    with Network(clock=Clock()) as network:
        client = v2(network)
        assert client(METHOD, {"tag": "latest"})["Blocks"] == []
        network.mine()
        (block,) = client(METHOD, {"tag": "latest"})["Blocks"]
        assert [stream["Weight"] for stream in block["Streams"]] == [str(DENOM)]
    with Network(network=28, clock=Clock()) as network:
        network.mine()
        with pytest.raises(Failed, match=r"^1: .*requires reward actor v19 \(network version 29\)"):
            v2(network)(METHOD, {"tag": "latest"})
    with Network(rules="ethereum", clock=Clock()) as network:
        network.mine()
        with pytest.raises(Failed, match="award no block reward"):
            v2(network)(METHOD, {"tag": "latest"})
