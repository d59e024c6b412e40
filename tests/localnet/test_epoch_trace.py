"""Traces of an epoch's implicit messages: awards of nv29 with their streams' events, and cron."""

import re
from collections.abc import Iterator

import pytest

from bridge.bindings import reward
from hypervisor.types import ChainEpoch
from localnet import Network, stream_settings
from localnet.accounts import TEST_MNEMONIC, accounts
from localnet.errors import UnknownBlock
from tests.localnet.conftest import Clock

ALICE, BOB, CAROL = accounts(TEST_MNEMONIC, 3)
F02 = "f02"
WHOLE = 10**18


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Network]:
    """Create a network: ALICE is the authority (timelock of three epochs), BOB sets the shares of CAROL's stream 2."""
    roles = ALICE.native, BOB.native, CAROL.native
    with Network(network=28, clock=Clock()) as opened:
        opened.set_producer(opened.create_miner().address)
        opened.upgrade(29, streams=stream_settings(*roles, timelock=3))
        yield opened


@pytest.fixture
def epoch_trace_network(upgraded: Network) -> Iterator[Network]:
    """Return the network as it was after its upgrade."""
    mark = upgraded.snapshot()
    yield upgraded
    upgraded.revert(mark)


def remove_stream_2(network: Network) -> ChainEpoch:
    """Remove stream 2, whose weight becomes available; return the epoch whose award applies that, which is executed."""
    network.invoke(F02, reward.remove_stream(2), sender=ALICE)
    due = ChainEpoch(network.head.height + 3)
    network.mine(3)
    return due


def test_award_applying_a_write_shows_it_in_epoch_trace(epoch_trace_network: Network) -> None:
    due = remove_stream_2(epoch_trace_network)
    trace = epoch_trace_network.epoch_trace(due)
    assert trace.reproduced
    award, cron = trace.report()["calls"]
    assert (award["decoded"]["callee"], award["decoded"]["function"]) == ("reward", "AwardBlockReward")
    assert cron["decoded"]["function"] == "EpochTick"
    applied, folded = award["decoded"]["events"]
    assert applied == f"write-applied(op=RemoveStream, effective-epoch={due}, stream-id=2)"
    assert re.fullmatch(
        r'period-folded\(stream-id=2, cause="RemoveStream", accrued=[1-9][0-9]+, dust=0\)', folded
    )  # one recipient of the whole: nothing is left over
    assert f"event {applied}" in str(trace)
    assert [call["decoded"]["function"] for call in award["calls"]] == ["ApplyRewards", "Send"]


def test_governance_events_are_decoded_in_message_trace(epoch_trace_network: Network) -> None:
    remove_stream_2(epoch_trace_network)
    weight = reward.WeightRecord(WHOLE // 20, -7, ChainEpoch(9), 0, WHOLE // 20)
    first = reward.DistributionInit(BOB.native, (reward.RecipientShare(CAROL.native, WHOLE),))
    call = reward.register_stream(3, weight, first, epoch_trace_network.head.height + 10)
    receipt = epoch_trace_network.send_native(F02, call.method, call.params, sender=ALICE)
    (event,) = receipt.trace.report()["calls"][0]["decoded"]["events"]
    bob, carol = (epoch_trace_network.machine.state_tree.lookup_id(account.native) for account in (BOB, CAROL))
    assert event == (
        f"write-queued(op=RegisterStream, effective-epoch={epoch_trace_network.head.height + 9}, stream-id=3, payload="
        f"{{weight={{v_start={WHOLE // 20}, slope=-7, t_start=9, floor=0, cap={WHOLE // 20}}}, "
        f"distribution={{writer=f0{bob}, shares=[{{recipient=f0{carol}, share={WHOLE}}}]}}}})"
    )


def test_an_epoch_without_a_tipset_is_refused(epoch_trace_network: Network) -> None:
    epoch_trace_network.mine(1, null_rounds=1)
    for epoch in (-1, 0, epoch_trace_network.head.height - 1, epoch_trace_network.head.height + 1):
        with pytest.raises(UnknownBlock, match=f"no tipset was executed at epoch {epoch}"):
            epoch_trace_network.epoch_trace(epoch)
