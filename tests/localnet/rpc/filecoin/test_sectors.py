"""StateMinerInitialPledgeForSector: a tenth more than the miner actor's pledge for the sector, on any network."""

import pytest

from hypervisor.integers import decode_bigint, encode_bigint
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR, ActorID
from localnet import Network
from localnet.miners import onboarding
from localnet.miners.miner import WINDOW_PROOF, Miner
from localnet.miners.onboarding import NewSector
from localnet.rpc.node import Node
from store.blockstore import get_object, put_object
from store.cid import show
from tests.conftest import data_file
from tests.localnet.conftest import BUNDLE, Clock, network_fixture
from tests.localnet.rpc.conftest import Client, Failed

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
