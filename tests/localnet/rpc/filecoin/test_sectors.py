"""Sectors of miners. Sets are in go-bitfield's JSON: {0} is [0, 1], {1} is [1, 1] (Forest `lotus_json/bit_field.rs`).

The network's miners have two sectors in a partition, so three sectors are in two partitions of a deadline.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.bindings import storageminer
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR, ActorID, decode_bigint, encode_bigint
from localnet import Network
from localnet.accounts import BLS_ACCOUNT
from localnet.miners import onboarding
from localnet.miners.miner import WINDOW_PROOF, Miner
from localnet.miners.onboarding import NewSector
from localnet.miners.sectors import partitions
from localnet.rpc.node import Node
from store.blocks.memory import MemoryStore
from store.blockstore import get_object, put_object
from store.cid import show
from store.codec import link
from store.trees.amt import Amt
from store.trees.bitfield import encode_members
from tests.conftest import data_file
from tests.localnet.conftest import BUNDLE, Clock, network_fixture
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


@pytest.mark.slow
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
    # go-state-types: the deals are no part of the JSON
    assert (info.get("DeprecatedDealIDs", ...), info["SectorKeyCID"]) == (..., None)


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


SIZE, LIFE = 2048, 540 * 2880
CAP = 59_604_643_840
"""Maximum pledge for 2 KiB in attoFIL: 1 FIL for 32 GiB."""
SMOOTHED, RAMP_START, RAMP_EPOCHS = 8, 11, 12
REWARD_SMOOTHED, BASELINE = 5, 6


network = network_fixture(lambda: Network(network=28, clock=Clock()))


@pytest.fixture
def miner(network: Network) -> Miner:
    return network.create_miner(sectors=1)


def pledge(network: Network, verified: int = 0, size: int = SIZE, duration: int = LIFE) -> int:
    return int(Client(Node(network))("Filecoin.StateMinerInitialPledgeForSector", duration, size, verified, None))


def change(network: Network, actor: int, fields: dict[int, object]) -> None:
    """Replace fields of a state by position."""
    machine = network.machine
    state = machine.state_tree.get_actor(ActorID(actor))
    assert state is not None
    values = get_object(machine.store, state.head)
    for place, value in fields.items():
        values[place] = value
    machine.state_tree.set_actor(ActorID(actor), state.with_head(put_object(machine.store, values)))
    network.chain.keep_changes()


def estimate(position: int, velocity: int) -> list[bytes]:
    return [encode_bigint(position), encode_bigint(velocity)]


@pytest.mark.slow
def test_small_sector_pledge_is_capped_and_tenfold_if_verified(network: Network, miner: Miner) -> None:
    assert pledge(network) == CAP * 110 // 100
    assert pledge(network, SIZE) == 10 * CAP * 110 // 100
    assert pledge(network, SIZE // 2) == CAP * 11 // 2 * 110 // 100


@pytest.mark.parametrize(
    ("power", "velocity", "ramp"),
    [
        (1 << 66 + 128, 0, (0, 0)),
        (1 << 66 + 128, 3 << 128, (0, 0)),
        (1 << 68 + 128, 1 << 50 + 128, (-5_000, 10_000)),
        (1 << 67 + 128, -(1 << 49) << 128, (10_000, 500)),
        ((1 << 70) + 12_345 << 128, (1 << 54) + 77 << 120, (-7, 5)),
    ],
    ids=["still", "slow", "in the ramp", "falling, before the ramp", "behind the ramp"],
)
def test_estimated_pledge_is_that_of_miner_actor_plus_margin(
    network: Network, miner: Miner, power: int, velocity: int, ramp: tuple[int, int]
) -> None:
    """The network's power is higher than tests can create; other tests compare our actor with the official one."""
    change(network, POWER_ACTOR, {SMOOTHED: estimate(power, velocity), RAMP_START: ramp[0], RAMP_EPOCHS: ramp[1]})
    baseline = encode_bigint(1 << 69)
    change(network, REWARD_ACTOR, {REWARD_SMOOTHED: estimate(10**20 << 128, -(10**8) << 128), BASELINE: baseline})
    before, told = miner.pledge(), (pledge(network), pledge(network, SIZE))
    miner.commit(1)
    once = miner.pledge() - before
    assert 0 < once < CAP
    assert told[0] == once * 110 // 100
    assert told[1] > told[0]


def test_estimated_deposit_is_that_of_the_miner_actor_plus_margin(official: Network) -> None:
    data_file(BUNDLE)  # our own actor estimates no deposits
    miner, rpc = official.create_miner(sectors=0), Client(Node(official))
    official.mine()
    owner, until = f"f0{miner.id}", official.block_number + LIFE
    told = rpc("Filecoin.StateMinerPreCommitDepositForPower", owner, {"SealProof": 5, "Expiration": until}, None)
    call = onboarding.pre_commit(miner.id, WINDOW_PROOF, [NewSector(7, None)], official.block_number, until)
    miner.invoke(call)
    found = rpc("Filecoin.StateSectorPreCommitInfo", owner, 7, None)
    assert int(told) == int(found["PreCommitDeposit"]) * 110 // 100
    assert found["PreCommitEpoch"] == official.block_number
    assert found["Info"] == {
        "SealProof": 5, "SectorNumber": 7, "SealedCID": {"/": show(onboarding.sealed_cid(miner.id, 7))},
        "SealRandEpoch": official.block_number - 2, "DealIDs": None, "Expiration": until, "UnsealedCid": None,
    }  # fmt: skip
    assert rpc("Filecoin.StateSectorPreCommitInfo", owner, 8, None) is None


def test_collateral_of_a_deal_is_its_share_of_a_hundredth_of_the_supply(network: Network) -> None:
    """Source: go-state-types builtin/v17/market/policy.go `DealProviderCollateralBounds`, and Lotus' margin."""
    change(network, REWARD_ACTOR, {BASELINE: encode_bigint(1 << 40)})
    rpc = Client(Node(network))
    supply = int(rpc("Filecoin.StateVMCirculatingSupplyInternal", None)["FilCirculating"])
    bounds = rpc("Filecoin.StateDealProviderCollateralBounds", 1 << 30, True, None)
    assert bounds == {"Min": str(supply // 100 // 1024 * 110 // 100), "Max": str(2 * 10**27)}
    change(network, REWARD_ACTOR, {BASELINE: encode_bigint(0)})
    change(network, POWER_ACTOR, {0: encode_bigint(0)})
    whole = rpc("Filecoin.StateDealProviderCollateralBounds", 1 << 30, False, None)
    assert whole["Min"] == str(supply // 100 * 110 // 100)


def test_unknown_seal_proof_is_refused(network: Network) -> None:
    with pytest.raises(Failed, match="SealProof: 20 is not a seal proof: expected 0 to 19"):
        Client(Node(network))("Filecoin.StateMinerPreCommitDepositForPower", "f01", {"SealProof": 20}, None)


@pytest.mark.slow
def test_before_fip_0081_there_is_no_ramp() -> None:
    """Computed by hand: 10^20 attoFIL per epoch for 20 days, 2 KiB of 2^66; 3/10 of 2 * 10^23, 2 KiB of 2^69."""
    with Network(network=23, bundle=data_file("bundles/v14-testing-fake-proofs.car"), clock=Clock()) as network:
        change(network, POWER_ACTOR, {SMOOTHED: estimate(1 << 66 + 128, 0)})
        baseline = encode_bigint(1 << 69)
        change(network, REWARD_ACTOR, {REWARD_SMOOTHED: estimate(10**20 << 128, 0), BASELINE: baseline})
        assert pledge(network) == (159_872_115 + 208_166) * 110 // 100


@pytest.mark.slow
def test_nv29_estimated_pledge_is_full_sector_pledge_plus_margin(network: Network, miner: Miner) -> None:
    network.upgrade(29, "own-v19")
    change(network, POWER_ACTOR, {SMOOTHED: estimate(1 << 66 + 128, 5 << 128)})
    change(network, REWARD_ACTOR, {REWARD_SMOOTHED: estimate(10**20 << 128, 1 << 128)})
    before, told = miner.pledge(), pledge(network, SIZE)
    miner.commit(1)
    assert 0 < miner.pledge() - before < 10 * CAP
    assert told == (miner.pledge() - before) * 110 // 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, SIZE, 0), "sector duration must greater than 0"),
        ((LIFE, 0, 0), "sector size must be non-zero"),
        ((LIFE, SIZE, SIZE + 1), "verified deal size must be less than or equal to sector size"),
        ((LIFE, -1, 0), "not an unsigned number"),
    ],
)
def test_invalid_sector_arguments_are_refused(
    network: Network, miner: Miner, arguments: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(Failed, match=words):
        Client(Node(network))("Filecoin.StateMinerInitialPledgeForSector", *arguments, None)


@pytest.mark.slow
def test_reported_mined_supply_is_ninth_reward_state_field(network: Network, miner: Miner) -> None:
    network.set_producer(miner.address)
    network.mine(2)

    def mined() -> tuple[int, int]:
        parts = Client(Node(network))("Filecoin.StateVMCirculatingSupplyInternal", None)
        state = network.machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        return int(parts["FilMined"]), decode_bigint(get_object(network.machine.store, state.head)[8])

    told, kept = mined()
    assert told == kept > 0
    network.upgrade(29, "own-v19")
    later, kept = mined()
    assert later == kept > told
