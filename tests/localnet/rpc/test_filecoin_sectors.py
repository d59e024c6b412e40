"""Sectors of miners. Sets are in go-bitfield's JSON: {0} is [0, 1], {1} is [1, 1] (Forest `lotus_json/bit_field.rs`).

The network's miners have two sectors in a partition, so three sectors are in two partitions of a deadline.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.bindings import storageminer
from localnet import Network
from localnet.accounts import BLS_ACCOUNT
from localnet.miners.miner import Miner
from localnet.miners.sectors import partitions
from localnet.rpc.node import Node
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.codec import link
from store.trees.amt import Amt
from store.trees.bitfield import encode_members
from tests.conftest import data_file
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed


@pytest.fixture(scope="module")
def mined() -> Iterator[tuple[Network, Miner]]:
    """Return a network whose miner has three sectors, the second of which is faulty."""
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=3)
        place = miner.sector(1)
        while network.block_number + 75 > miner.opening(place.deadline):  # not near the deadline
            network.mine(null_rounds=60)
        miner.declare_faults(1)
        yield network, miner


@pytest.fixture
def ask(mined: tuple[Network, Miner]) -> Any:
    rpc = Client(Node(mined[0]))
    return lambda method, *params: rpc(f"Filecoin.{method}", f"f0{mined[1].id}", *params)


def test_sets_of_sectors_are_those_of_the_partitions(mined: tuple[Network, Miner], ask: Any) -> None:
    place = mined[1].sector(1)
    assert ask("StateMinerSectorCount") == {"Live": 3, "Active": 2, "Faulty": 1}
    assert ask("StateMinerFaults") == [1, 1]
    assert ask("StateMinerRecoveries") == [0]
    assert ask("StateMinerAllocated") == [0, 3]
    assert [ask("StateMinerSectorAllocated", number) for number in (0, 2, 3, 1 << 40)] == [True, True, False, False]
    assert ask("StateSectorGetInfo", (1 << 64) - 1) is None, "no index of an array"
    assert ask("StateSectorPartition", 1) == {"Deadline": place.deadline, "Partition": place.partition}
    first = ask("StateMinerPartitions", place.deadline)[place.partition]
    assert (first["FaultySectors"], first["AllSectors"] == first["LiveSectors"]) == ([1, 1], True)
    active = ask("StateMinerActiveSectors")
    assert [info["SectorNumber"] for info in active] == [0, 2]
    assert len(ask("StateMinerDeadlines")) == 48


def test_information_of_sectors(mined: tuple[Network, Miner], ask: Any) -> None:
    every = ask("StateMinerSectors")
    assert [info["SectorNumber"] for info in every] == [0, 1, 2]
    assert [info["SectorNumber"] for info in ask("StateMinerSectors", [1, 2])] == [1, 2]
    assert ask("StateMinerSectors", [0]) == []
    info = ask("StateSectorGetInfo", 1)
    assert info == every[1]
    assert ask("StateSectorGetInfo", 9) is None
    assert sum(int(each["InitialPledge"]) for each in every) == mined[1].pledge()
    expiration = mined[1]._call(storageminer.get_nominal_sector_expiration(1))
    assert (info["Expiration"], info["SealProof"]) == (expiration, 5)  # StackedDRG2KiBV1P1
    assert (info["DeprecatedDealIDs"], info["SectorKeyCID"]) == (None, None)


def test_sectors_expire_at_the_end_of_their_deadline(mined: tuple[Network, Miner], ask: Any) -> None:
    """On time: the first end of the deadline from the expiration on; a faulty one early, 42 proving periods later.

    Source: builtin-actors miner `quant_spec_for_deadline` and `fault_max_age`.
    """
    network, miner = mined
    period = ask("StateMinerProvingDeadline")["PeriodStart"]
    for number in (0, 2):
        last = period + (miner.sector(number).deadline + 1) * 60 - 1
        expiration = ask("StateSectorGetInfo", number)["Expiration"]
        on_time = expiration + (last - expiration) % 2880
        assert ask("StateSectorExpiration", number) == {"OnTime": on_time, "Early": 0}
    found = ask("StateSectorExpiration", 1)
    assert found["OnTime"] == 0
    due = found["Early"] - 42 * 2880
    assert (due - period - (miner.sector(1).deadline + 1) * 60 + 1) % 2880 == 0
    assert network.block_number - 2880 < due <= network.block_number + 2880
    with pytest.raises(Failed, match="1: failed to find sector 9"):
        ask("StateSectorExpiration", 9)


@pytest.mark.slow
def test_a_terminated_sector_has_no_expiration() -> None:
    bundle = str(data_file("bundles/v18-testing-fake-proofs.car"))
    with Network(network=28, bundle=bundle, evm="fast", clock=Clock()) as network:
        miner = network.create_miner(sectors=2)
        place = miner.sector(0)
        while network.block_number + 75 > miner.opening(place.deadline):
            network.mine(null_rounds=60)
        declared = storageminer.SectorDeclaration(place.deadline, place.partition, encode_members([0]))
        network.send_native(BLS_ACCOUNT, value=10**18, sender=network.accounts[0])
        miner.invoke(storageminer.terminate_sectors([declared]))
        rpc = Client(Node(network))
        assert rpc("Filecoin.StateSectorExpiration", f"f0{miner.id}", 1)["OnTime"] > network.block_number
        with pytest.raises(Failed, match="failed to find sector 0"):
            rpc("Filecoin.StateSectorExpiration", f"f0{miner.id}", 0)


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("StateSectorPartition", [9], "sector 9 not due at any deadline"),
        ("StateMinerPartitions", [48], "invalid deadline index 48 of 48 deadlines"),
        ("StateMinerSectors", [[0, 20_000]], "a set of more than 10000 sectors"),
        ("StateMinerSectors", [[0, 1, 0, 1]], "the set of sectors: run 2 has no length"),
        ("StateMinerSectors", [[1, -1]], "-32602"),
    ],
)
def test_what_there_is_not_is_refused(ask: Any, method: str, params: list[Any], words: str) -> None:
    with pytest.raises(Failed, match=words):
        ask(method, *params)


def test_other_actors_have_no_sectors(mined: tuple[Network, Miner]) -> None:
    with pytest.raises(Failed, match="f01 is not a storage miner"):
        Client(Node(mined[0]))("Filecoin.StateMinerSectors", "f01")


def test_sets_of_a_partition_by_hand() -> None:
    """All: 0 to 6; unproven 5, faulty 1 and 2, recovering 2, terminated 3. Field order: builtin-actors."""
    store = MemoryStore()
    nothing = link(put_object(store, []))
    power = [[b"", b""]] * 4
    sets = [encode_members(each) for each in (range(7), [5], [1, 2], [2], [3])]
    array = Amt.from_values(store, [[*sets, nothing, nothing, *power]], 3)
    fields = [b"", b"", 6, 7, [b"", b""], nothing, nothing, nothing, nothing, [b"", b""], b""]
    due = link(put_object(store, [link(array.flush()), nothing, *fields]))
    state = {"deadlines": link(put_object(store, [[due]]))}
    (found,) = partitions(store, state)
    assert (sorted(found.live), sorted(found.active)) == ([0, 1, 2, 4, 5, 6], [0, 4, 6])
    assert (sorted(found.recovering), found.deadline, found.index) == ([2], 0, 0)


@pytest.mark.slow
def test_an_official_miners_proof_is_in_its_deadline() -> None:
    """Sectors are onboarded and proven by messages; the proof's partition is marked until the window ends."""
    with Network(bundle=data_file("bundles/v18-testing-fake-proofs.car"), network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=1)
        rpc, address = Client(Node(network)), f"f0{miner.id}"
        place = rpc("Filecoin.StateSectorPartition", address, 0)
        assert place["Deadline"] == miner.sector(0).deadline
        assert rpc("Filecoin.StateMinerSectorCount", address) == {"Live": 1, "Active": 1, "Faulty": 0}
        assert rpc("Filecoin.StateMinerDeadlines", address)[place["Deadline"]]["PostSubmissions"] == [0, 1]
        fee = rpc("Filecoin.StateSectorGetInfo", address, 0)["DailyFee"]
        assert rpc("Filecoin.StateMinerDeadlines", address)[place["Deadline"]]["DailyFee"] == fee
