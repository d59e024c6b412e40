"""A deterministic network history: the content of the next block depends only on the height.

A network that was killed and continues must therefore produce the same tipsets as an uninterrupted one.
"""

import hashlib
from multiprocessing.connection import Connection
from pathlib import Path

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.types import TokenAmount
from localnet import Network
from localnet.addresses import filecoin_address
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan
from store.cid import Cid
from tests.localnet.conftest import ARTIFACTS, Clock
from tests.localnet.kill_run import write_behind

FIRST_VERSION, LAST_VERSION = 28, 29
_COUNTER = EthAddress(bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3"))
"""Address of the first account's first contract."""

Position = tuple[int, bytes, bytes, bytes]
"""A height, the tipset's key and state there, and the state of the machine."""


def start_network(folder: Path, epochs: int) -> int:
    """Start a network for this many epochs, with an upgrade in the middle; return its final height.

    There are a contract, and a miner with three sectors that produces the blocks.
    """
    with Network(folder, network=FIRST_VERSION, clock=Clock()) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        assert counter.address == _COUNTER
        miner = network.create_miner(network.accounts[9], sectors=3)
        network.set_producer(miner.address)
        network.mine()
        start = network.block_number
    with Network(folder, clock=Clock(), upgrades=upgrades(start, epochs)):
        return start + epochs


def upgrades(start: int, epochs: int) -> UpgradePlan:
    """Return the upgrade in the middle, which replaces the actors' code and migrates their states."""
    return {start + epochs // 2: LAST_VERSION} if epochs > 1 else NO_UPGRADES


def run_until_killed(folder: str, end: int, defect: bool, pipe: Connection) -> None:
    """Run the process to be killed; print when the folder is open, and each block after its commit.

    With the planted defect, a block is written only when the next one is made.
    """
    with Network(folder, clock=Clock()) as network:
        if defect:
            write_behind(network)
        pipe.send(position(network))
        while network.block_number < end:
            make_tipset(network)
            pipe.send(network.block_number)
    pipe.send("closed")


def position(network: Network) -> Position:
    """Return the position of a network."""
    return network.block_number, network.head.key, network.head.state, network.machine.root


def make_tipset(network: Network) -> None:
    """Make the next tipset."""
    height = network.block_number
    sender = network.accounts[height % 7]
    match height % 8:
        case 0:
            network.mine(null_rounds=height // 8 % 4)
        case 1 | 4:
            network.contract(_COUNTER, ARTIFACTS / "Counter.json").send("increment", sender=sender)
        case 2:
            network.send(EthAddress(hashlib.sha256(b"%d" % height).digest()[:20]), height, sender=sender)
        case 3:
            network.send_native(filecoin_address(network.accounts[8].native), value=height, sender=sender)
        case 5 if height % 40 == 5:
            network.deploy(ARTIFACTS / "Inbox.json", sender=sender)
        case 6:
            _block_of_five(network, height)
        case _:
            network.mine()


def _block_of_five(network: Network, height: int) -> None:
    """Return a block of five messages, of which one fails."""
    network.automine = False
    for number, sender in enumerate(network.accounts[:5]):
        transaction = Transaction(
            type=DYNAMIC_FEE,
            chain_id=network.chain_id,
            nonce=network.pending_nonce(sender.delegated),
            to=_COUNTER if number == 3 else network.accounts[5 + number % 3].address,
            value=1 + height,
            data=b"\xff\xff\xff\xff" if number == 3 else b"",
            gas_limit=50_000_000,
            max_fee=2 * network.base_fee + TokenAmount(100_000),
            max_priority_fee=100_000,
        )
        network.submit(sender.sign(transaction).raw())
    network.mine()
    network.automine = True


def tipset_positions(network: Network) -> list[tuple[int, Cid, Cid]]:
    """Return height, key and state of all tipsets, newest first."""
    found: list[tuple[int, Cid, Cid]] = []
    tipset = network.head
    while tipset.parent >= 0:
        found.append((tipset.height, tipset.key, tipset.state))
        tipset = network.chain.index.tipset(tipset.parent)
    return found
