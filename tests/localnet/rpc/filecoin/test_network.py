"""StateGetNetworkParams: names and order of heights as on lotus' development networks."""

import pytest

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import START, Clock
from tests.localnet.rpc.conftest import Client

LOTUS = {
    "Breeze": -1, "Smoke": -1, "Ignition": -2, "Refuel": -3, "Tape": -4, "Assembly": -5, "Liftoff": -6, "Kumquat": -7,
    "Calico": -9, "Persian": -10, "Orange": -11, "Claus": -12, "Trust": -13, "Norwegian": -14, "Turbo": -15,
    "Hyperdrive": -16, "Chocolate": -17, "OhSnap": -18, "Skyr": -19, "Shark": -20, "Hygge": -21, "Lightning": -22,
    "Thunder": -23, "Watermelon": -24, "Dragon": -25, "Phoenix": -26, "Waffle": -27, "Tuktuk": -28, "Teep": -29,
    "Tock": -30, "GoldenWeek": -31,
}  # fmt: skip
"""Heights of lotus build/buildconstants/params_2k.go at network version 27."""
NEVER = 9_999_999_999


def test_next_upgrade_has_its_epoch_and_past_ones_are_negative() -> None:
    with Network(network=27, clock=Clock(), upgrades={5: 28, 9: (29, "own-v19")}) as network:
        found = Client(Node(network))("Filecoin.StateGetNetworkParams")
    heights = found.pop("ForkUpgradeParams")
    assert found == {
        "NetworkName": network.chain.record.name,
        "BlockDelaySecs": 30,
        "ConsensusMinerMinPower": "2048",
        "PreCommitChallengeDelay": 10,
        "Eip155ChainID": network.chain_id,
        "GenesisTimestamp": START,
    }
    assert (heights["UpgradeFireHorseHeight"], heights["UpgradeSolsticeHeight"]) == (5, 9)
    assert heights.pop("BreezeGasTampingDuration") == 0
    assert [(name, heights[f"Upgrade{name}Height"]) for name in LOTUS] == [*LOTUS.items()]
    assert len(heights) == len(LOTUS) + 2


def test_an_upgrade_that_is_not_planned_never_comes() -> None:
    with Network(network=28, clock=Clock()) as network:
        rpc = Client(Node(network))
        assert rpc("Filecoin.StateGetNetworkParams")["ForkUpgradeParams"]["UpgradeSolsticeHeight"] == NEVER
        network.mine(3)
        network.upgrade(29, "own-v19")
        assert rpc("Filecoin.StateGetNetworkParams")["ForkUpgradeParams"]["UpgradeSolsticeHeight"] == 3


def test_multi_version_upgrade_reports_one_height_for_all() -> None:
    with Network(network=25, clock=Clock(), upgrades={4: 28}) as network:
        heights = Client(Node(network))("Filecoin.StateGetNetworkParams")["ForkUpgradeParams"]
    assert [heights[f"Upgrade{name}Height"] for name in ("Teep", "Tock", "GoldenWeek", "FireHorse", "Solstice")] == [
        -29, 4, 4, 4, NEVER,
    ]  # fmt: skip


@pytest.mark.slow
def test_epoch_award_and_cron_follow_its_messages() -> None:
    """Method 2 of f02 with the miner, and what it sends: 95 % to the miner (method 14), the rounding to f099."""
    with Network(network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=1)
        network.set_producer(miner.address)
        network.upgrade(29, "own-v19")
        network.send(network.accounts[1], 5)
        rpc = Client(Node(network))
        head = rpc("Filecoin.ChainHead")
        computed = rpc("Filecoin.StateCompute", head["Height"], None, head["Cids"])
    sent, award, cron = computed["Trace"]
    assert sent["Msg"]["Value"] == "5"
    assert [(each["Msg"]["From"], each["Msg"]["To"], each["Msg"]["Method"]) for each in (award, cron)] == [
        ("t00", "t02", 2),
        ("t00", "t03", 2),
    ]
    assert [each["MsgRct"]["ExitCode"] for each in (award, cron)] == [0, 0]
    assert [each["Msg"]["Nonce"] for each in (award, cron)] == [head["Height"]] * 2
    assert award["Msg"]["GasLimit"] == 1 << 30
    paid = [(call["Msg"]["To"], call["Msg"]["Method"]) for call in award["ExecutionTrace"]["Subcalls"]]
    assert paid == [(f"t0{miner.id}", 14), ("t099", 0)]
