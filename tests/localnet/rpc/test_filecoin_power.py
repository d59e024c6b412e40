"""Power above the minimum for consensus, the power table by expected consensus, and the deposit of new miners.

Rules: builtin-actors power `miner_nominal_power_meets_consensus_minimum`, Forest `rpc/methods/f3.rs`, FIP-0077.
"""

from collections.abc import Mapping

import pytest

from bridge.bindings import storagepower
from hypervisor.integers import encode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import POWER_ACTOR, ActorID, TokenAmount
from localnet import Network
from localnet.accounts import BLS_ACCOUNT
from localnet.miners.miner import SECTOR_SIZE, Miner, window_proof
from localnet.rpc.lotus_values import base64_bytes
from localnet.rpc.node import Node
from store.blockstore import get_object, put_object
from store.codec import link, unlink
from store.trees.hamt import Hamt
from tests.conftest import data_file
from tests.localnet.conftest import Clock, network_fixture
from tests.localnet.rpc.conftest import Client, refusal
from tests.localnet.rpc.filecoin.test_sectors import change

MINIMUM = 2048
"""Minimum power for consensus of this project's actors, in bytes (builtin-actors' feature min-power-2k)."""
ABOVE, CLAIMS = 10, 15
"""Places of miner_above_min_power_count and of the claims in the power actor's state."""
FEE_DEBT, FAULT_ELAPSED = 4, 9
"""Places in the state of a miner and in its information."""


network = network_fixture(lambda: Network(clock=Clock()))


@pytest.fixture
def filecoin_power_rpc(network: Network) -> Client:
    return Client(Node(network))


def claim(network: Network, powers: Mapping[ActorID, tuple[int, int]], above: int) -> None:
    """Set raw and adjusted power of miners, and the number of miners above the minimum."""
    machine = network.machine
    state = machine.state_tree.get_actor(POWER_ACTOR)
    assert state is not None
    claims = Hamt(machine.store, unlink(get_object(machine.store, state.head)[CLAIMS]))
    for number, (raw, adjusted) in powers.items():
        fields = claims.get(Address.id(number).to_bytes()) or [5, b"", b""]
        claims.set(Address.id(number).to_bytes(), [fields[0], encode_bigint(raw), encode_bigint(adjusted)])
    change(network, POWER_ACTOR, {ABOVE: above, CLAIMS: link(claims.flush())})


@pytest.mark.parametrize(
    ("raw", "above", "meets"),
    [
        (MINIMUM, 0, True), (MINIMUM, 4, True), (MINIMUM - 1, 3, True), (MINIMUM - 1, 4, False), (1, 3, True),
        (1, 4, False), (0, 0, False), (0, 4, False),
    ],
)  # fmt: skip
def test_a_small_miner_has_min_power_with_fewer_than_four_large_ones(
    network: Network, filecoin_power_rpc: Client, raw: int, above: int, meets: bool
) -> None:
    miner = network.create_miner()
    claim(network, {miner.id: (raw, 10 * raw)}, above)
    found = filecoin_power_rpc("Filecoin.StateMinerPower", f"f0{miner.id}")
    assert found["HasMinPower"] is meets
    assert found["MinerPower"] == {"RawBytePower": str(raw), "QualityAdjPower": str(10 * raw)}


@pytest.mark.slow
@pytest.mark.parametrize(("raw", "above", "eligible"), [(MINIMUM - 1, 3, True), (MINIMUM - 1, 4, False)])
def test_a_block_needs_min_power_at_the_lookback(
    network: Network, filecoin_power_rpc: Client, raw: int, above: int, eligible: bool
) -> None:
    miner = network.create_miner()
    claim(network, {miner.id: (raw, raw)}, above)
    network.mine(null_rounds=910)
    claim(network, {miner.id: (MINIMUM, MINIMUM)}, 0)
    key = filecoin_power_rpc("Filecoin.ChainHead")["Cids"]
    found = filecoin_power_rpc("Filecoin.MinerGetBaseInfo", f"f0{miner.id}", network.block_number + 1, key)
    assert found["EligibleForMining"] is eligible


class TestPowerTable:
    @pytest.fixture
    def miners(self, network: Network) -> list[Miner]:
        return [network.create_miner(network.accounts[place], sectors=0) for place in range(4)]

    def table(self, rpc: Client) -> list[tuple[int, int]]:
        return [(entry["ID"], int(entry["Power"])) for entry in rpc("Filecoin.F3GetECPowerTable", None)]

    def test_entries_descend_by_adjusted_power_then_ascend_by_id(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, four = (miner.id for miner in miners)
        claim(network, {one: (9_000, 9_000), two: (3_000, 30_000), three: (9_000, 9_000), four: (5_000, 0)}, 3)
        assert self.table(filecoin_power_rpc) == [(two, 30_000), (one, 9_000), (three, 9_000)]
        (entry, *_) = filecoin_power_rpc("Filecoin.F3GetECPowerTable")
        assert base64_bytes(entry["PubKey"]) == BLS_ACCOUNT.payload

    def test_small_miners_are_left_out_once_four_are_large(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, four = (miner.id for miner in miners)
        powers = {one: (MINIMUM, 1), two: (MINIMUM - 1, 2), three: (10 * MINIMUM, 3), four: (5, 4)}
        claim(network, powers, 3)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [four, three, two, one]
        claim(network, {}, 4)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, one]

    def test_miners_with_debts_or_a_recent_fault_are_left_out(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, _ = (miner.id for miner in miners)
        claim(network, {one: (9_000, 1), two: (9_000, 2), three: (9_000, 3)}, 3)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, two, one]
        state = network.machine.state_tree.get_actor(ActorID(two))
        assert state is not None
        assert get_object(network.machine.store, state.head)[FEE_DEBT] == b""
        change(network, two, {FEE_DEBT: encode_bigint(1)})
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, one]
        store, actor = network.machine.store, network.machine.state_tree.get_actor(ActorID(three))
        assert actor is not None
        info = get_object(store, unlink(get_object(store, actor.head)[0]))
        height = filecoin_power_rpc("Filecoin.ChainHead")["Height"]
        for elapsed, expected in ((height, [one]), (height - 1, [three, one])):
            info[FAULT_ELAPSED] = elapsed
            change(network, three, {0: link(put_object(store, info))})
            assert [number for number, _ in self.table(filecoin_power_rpc)] == expected

    def test_a_network_without_miners_has_no_entries(self, filecoin_power_rpc: Client) -> None:
        assert filecoin_power_rpc("Filecoin.F3GetECPowerTable") == []


@pytest.mark.parametrize("method", [
    "F3GetCertificate", "F3GetLatestCertificate", "F3GetManifest", "F3GetF3PowerTable", "F3GetF3PowerTableByInstance",
    "F3GetOrRenewParticipationTicket", "F3GetPowerTableByInstance", "F3GetProgress", "F3IsRunning",
    "F3ListParticipants", "F3Participate",
])  # fmt: skip
def test_f3_is_disabled(filecoin_power_rpc: Client, method: str) -> None:
    """Lotus' ErrF3Disabled: the code is its place in the list of errors, from 2 on, the third."""
    with refusal(4, "f3 is disabled"):
        filecoin_power_rpc(f"Filecoin.{method}")


class TestCreationDeposit:
    def deposit(self, network: Network) -> int:
        return int(Client(Node(network))("Filecoin.StateMinerCreationDeposit"))

    def accepts(self, network: Network, value: int) -> int:
        """Return the exit code of CreateMiner with a deposit."""
        owner = network.accounts[0].native
        call = storagepower.create_miner(owner, BLS_ACCOUNT, window_proof(network, SECTOR_SIZE), b"", [])
        message = Message(
            Address.id(POWER_ACTOR), owner, method=call.method, params=call.params, value=TokenAmount(value)
        )
        return network.machine.call(message).exit_code

    def test_new_miner_needs_exactly_the_deposit(self, network: Network) -> None:
        """On a fresh chain 5,937,181,320 attoFIL: the most per byte for 204 bytes, a tenth of 2 KiB."""
        deposit = self.deposit(network)
        network.send_native(BLS_ACCOUNT, sender=network.accounts[0])
        assert deposit == (10**18 // (32 << 30)) * 204 == 5_937_181_320
        assert [self.accepts(network, value) for value in (deposit - 1, deposit)] == [19, 0]

    @pytest.mark.slow
    @pytest.mark.parametrize(("bundle", "deposit"), [
        ("v18-testing-fake-proofs", 5_937_181_320), ("v18-mainnet", 31_999_999_497_815_982_080),
    ])  # fmt: skip
    def test_official_actors_need_it_too(self, bundle: str, deposit: int) -> None:
        """The amounts are those of facts about the official actors on a fresh chain."""
        path = str(data_file(f"bundles/{bundle}.car"))
        with Network(network=28, bundle=path, evm="fast", clock=Clock()) as network:
            network.send_native(BLS_ACCOUNT, sender=network.accounts[0])
            assert self.deposit(network) == deposit
            if "testing" in bundle:  # mainnet's actors have no sectors of 2 KiB
                assert [self.accepts(network, value) for value in (deposit - 1, deposit)] == [19, 0]

    def test_there_is_none_before_version_27(self) -> None:
        with Network(network=26, clock=Clock()) as network:
            assert self.deposit(network) == 0
