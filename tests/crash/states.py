"""Histories of states, and the network that makes them.

- Numbered states of a deterministic history, so that the content of a store with state n is known.
- A deterministic network history: the content of the next block depends only on the height.

A network that was killed and continues must therefore produce the same tipsets as an uninterrupted one.
"""

import hashlib
import random
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.types import TokenAmount
from localnet import Network
from localnet.addresses import filecoin_address
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan
from store.blocks.memory import BufferedStore
from store.blockstore import BlockNotFound, Blockstore, Store, get_object
from store.cid import Cid, cid_of
from store.codec import encode, link, unlink
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from store.roots import Roots
from store.trees.hamt import Hamt
from tests.localnet.conftest import ARTIFACTS, Clock

KEYS = 300


class Unexpected(AssertionError):
    """Raised if a store contains anything except a complete acknowledged state."""


def change(tree: Hamt, number: int) -> None:
    """Return the changes of state `number` to the previous state's tree."""
    rng = random.Random(number)
    for _ in range(3):
        tree.set(b"%d" % rng.randrange(KEYS), [number, rng.randbytes(rng.randrange(200))])
    tree.delete(b"%d" % rng.randrange(KEYS))


class StateRoots:
    """Root of every state by number; state 0 is the empty store."""

    def __init__(self) -> None:
        self._tree = Hamt(_Nowhere())
        self._roots: list[bytes | None] = [None]

    def __getitem__(self, number: int) -> bytes | None:
        while len(self._roots) <= number:
            change(self._tree, len(self._roots))
            # A node that is flushed stays loaded, so that this tree never reads what it has written.
            self._roots.append(self._tree.flush())
        return self._roots[number]


class _Nowhere:
    """A blockstore that discards all blocks."""

    def get(self, cid: Cid) -> bytes:
        raise BlockNotFound(cid)

    def has(self, cid: Cid) -> bool:
        return False

    def put(self, cid: Cid, data: bytes) -> None:
        """Discard the block."""

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        for _ in blocks:
            pass


def commit_next(store: Store) -> int:
    """Commit the state after the store's current one; return its number once it is acknowledged.

    Blocks, two metadata entries and one index entry change together; the index names a header, as in a chain.
    """
    number = int(store.metadata(b"number") or 0) + 1
    head = store.metadata(b"head")
    buffer = BufferedStore(store)
    tree = Hamt(buffer, None if head is None else Cid(head))
    change(tree, number)
    root = tree.flush()
    blocks = buffer.reachable(root)
    data = encode([number, link(root)])
    header = cid_of(data)
    blocks.append((header, data))
    store.commit(blocks, {b"head": root, b"number": b"%d" % number}, {b"header": header})
    return number


def collector(store: RocksStore, batch: int = 1000) -> GarbageCollector:
    """Return a collection that keeps the state and its header."""
    header = store.index(b"header")
    return GarbageCollector(store, lambda: Roots(shallow=[] if header is None else [Cid(header)]), batch)


def check(store: Store, roots: StateRoots) -> int:
    """Return the number of the store's state after reading all its blocks; raises Unexpected if there is none.

    Raises StoreError if the store detects damage.
    """
    number = int(store.metadata(b"number") or 0)
    head = store.metadata(b"head")
    if head != roots[number]:
        raise Unexpected(f"the head is not the root of state {number}")
    header = store.index(b"header")
    if (header is None) != (number == 0):
        raise Unexpected(f"state {number} with the index entry {header!r}")
    if header is None or head is None:
        return number
    try:
        said, root = get_object(store, Cid(header))
        found = read_all(store, Cid(head))
    except BlockNotFound as error:
        raise Unexpected(f"state {number}: {error}") from None
    if (said, unlink(root)) != (number, head):
        raise Unexpected(f"state {number} with the header of state {said}")
    if not found:
        raise Unexpected(f"state {number} is empty")
    return number


def read_all(store: Blockstore, root: Cid) -> int:
    """Read every entry of a state's tree, and so every block; return the number of entries."""
    return sum(1 for _ in Hamt(store, root).items())


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


def run_until_killed(folder: str, end: int, pipe: Connection) -> None:
    """Run the process to be killed; print when the folder is open, and each block after its commit."""
    with Network(folder, clock=Clock()) as network:
        pipe.send(position(network))
        while network.block_number < end:
            make_tipset(network)
            pipe.send(network.block_number)
    pipe.send("closed")


def position(network: Network) -> Position:
    return network.block_number, network.head.key, network.head.state, network.machine.root


def make_tipset(network: Network) -> None:
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
