"""Upgrades, miners, DataCap and producers over RPC."""

from collections.abc import Iterator

import pytest

from localnet import Network
from localnet.rpc.node import Node
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal

CLZ = "0x60011e5f5260205ff3"


@pytest.fixture
def older() -> Iterator[Client]:
    """Return a client of a network of version 27."""
    with Network(network=27, clock=Clock()) as network:
        yield Client(Node(network))


def test_an_upgrade_of_the_running_network(older: Client) -> None:
    # CLZ is an instruction since network version 28 (FIP-0116).
    older("anvil_setCode", NOBODY, CLZ)
    with pytest.raises(Failed, match="EVM_CONTRACT_UNDEFINED_INSTRUCTION"):
        older("eth_call", {"to": NOBODY})
    height = older("eth_blockNumber")
    assert int(older("hypervisor_upgrade", "nv28"), 16) == int(height, 16) + 1
    assert older("eth_protocolVersion") == "0x1c"
    assert int(older("eth_call", {"to": NOBODY}), 16) == 255
    with refusal(-32602, "is not an upgrade"):
        older("hypervisor_upgrade", 28)


@pytest.mark.parametrize("bundle", ["../x.car", "/etc/passwd", "v18/x", "", 3, "v99"])
def test_bundles_have_names_and_no_paths(older: Client, bundle: object) -> None:
    with refusal(-32602):
        older("hypervisor_upgrade", "nv28", bundle)
    assert older("eth_protocolVersion") == "0x1b"


def test_rpc_creates_miner_and_sets_block_producer(rpc: Client) -> None:
    miner = rpc("hypervisor_createMiner", BOB, 2)
    assert rpc("Filecoin.StateMinerPower", miner, None)["MinerPower"]["RawBytePower"] == str(2 * 2048)
    large = rpc("hypervisor_createMiner", BOB, 1, False, 8 << 20)
    assert rpc("Filecoin.StateMinerPower", large, None)["MinerPower"]["RawBytePower"] == str(8 << 20)
    assert rpc("hypervisor_setProducer", miner) is True
    before = rpc.node.network.balance(miner)
    rpc("evm_mine")
    assert rpc.node.network.balance(miner) > before
    with refusal(-32602, "only a storage miner produces blocks"):
        rpc("hypervisor_setProducer", ALICE)
    for owner, sectors, code in ((NOBODY, 1, -32000), (BOB, 1_001, -32000)):
        with refusal(code):
            rpc("hypervisor_createMiner", owner, sectors)
    rpc("hypervisor_setProducer", "f00")


def test_datacap_where_it_is_not_frozen_yet(older: Client) -> None:
    rpc, client = older, str(older.node.network.accounts[2].native)
    assert rpc("hypervisor_grantDatacap", client, 1 << 20) is True
    assert rpc("Filecoin.StateVerifiedClientStatus", client, None) == str(1 << 20)
    with refusal(-32602):
        rpc("hypervisor_grantDatacap", client, 1)
