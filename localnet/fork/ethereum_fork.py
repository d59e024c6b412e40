"""A fork of an Ethereum network: accounts, storage, block hashes and history are read from a node.

Everything is read on first access with standard eth_* methods, and cached on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from localnet.fork.account_origin import AccountBlocks, AccountNames, AccountOrigin
from localnet.fork.ethereum_point import EthereumForkPoint, check_same, find_point, recorded_point
from localnet.fork.forking import ForkSource, recorded_fork
from localnet.fork.node_client import NodeError, as_unfit_node
from localnet.fork.remote_chain import RemoteBlock, RemoteChain, RemoteState
from localnet.fork.remote_history import RemoteHistory
from localnet.fork.remote_transactions import transactions_until
from localnet.ledger.blocks import beacon_digest, key_of_hash
from store.blocks.overlay import RemoteStore
from store.blockstore import Store
from store.cid import EMPTY_ARRAY_CID, Cid
from store.roots import HEAD

FILE: Final = "fork.sqlite"
"""Name of the file with the node's responses, in the network's folder."""
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class FirstBlock:
    """The signed transactions of a block of the node, and the block's time in Unix seconds."""

    timestamp: int
    transactions: tuple[bytes, ...]


class EthereumFork:
    """The forked node of a network; also implements `hypervisor.context.Externs`.

    Several threads may use it.
    """

    def __init__(self, point: EthereumForkPoint, chain: RemoteChain, blocks: AccountBlocks) -> None:
        """Create the fork; `blocks` receives the blocks of the node's accounts."""
        self.point, self.chain, self.options = point, chain, chain.options
        self.blocks = blocks
        self._names = AccountNames()
        self._state = chain.state_after(point.block)
        self.history = RemoteHistory(self._state)
        self.first_block: FirstBlock | None = None
        """Transactions that a new fork executes first, or None."""
        self.base: Cid = EMPTY_ARRAY_CID
        """The root of the state without the node's accounts (`localnet.chain.ethereum_start`)."""

    def origin(self, manifest: Manifest, number: int | None = None) -> AccountOrigin:
        """Return the accounts after a block of the node's network, by default that of the fork. Raises NodeError."""
        state = self._state_at(self.point.height if number is None else number)
        return AccountOrigin(state, _key(state.block), manifest, self._names, self.blocks, self._state_of)

    def block(self, number: int) -> RemoteBlock:
        """Return a block up to that of the fork. Raises NodeError."""
        return self._state_at(number).block

    def _state_at(self, number: int) -> RemoteState:
        return self._state if number == self.point.height else self.chain.state(number)

    def _state_of(self, key: bytes) -> RemoteState:
        """Return the state that a key identifies. Raises NodeError if the node's chain has another block there."""
        state = self._state_at(int.from_bytes(key[:_NUMBER_BYTES], "big"))
        if _key(state.block) != key:
            raise NodeError(
                f"{self.chain.client.name} has another block {state.block.number} than when its state was read here: "
                "its chain was reorganized; begin another fork"
            )
        return state

    # --- as externs -------------------------------------------------------------------------------------------

    def tipset_cid(self, epoch: int) -> Cid:
        """Return a CID with the hash of the node's block as its digest. Raises ExternError."""
        try:
            return key_of_hash(self._state.block_hash(max(0, epoch)))
        except NodeError as error:
            raise ExternError(f"block {epoch} is before the fork, and its hash is not available: {error}") from None

    def state_root(self, epoch: int) -> Cid:
        """Raise ExternError: an Ethereum node has no Filecoin state."""
        raise ExternError(f"block {epoch} is before the fork, and its state is not one of Filecoin's")

    def chain_randomness(self, epoch: int) -> bytes:
        """Return the digest that a development network draws from an epoch: Ethereum's blocks have no tickets."""
        return beacon_digest(epoch)

    def beacon_randomness(self, epoch: int) -> bytes:
        """Return the same digest: a native actor on a fork has no other beacon."""
        return beacon_digest(epoch)


def open_ethereum_fork(
    store: Store, requested: ForkSource | None, folder: Path | None
) -> tuple[Store, EthereumFork | None]:
    """Return the store of a network under Ethereum's rules, with the node that it is forked from (None: no fork).

    The store also reads accounts of a later fork (`Network.reset`). `folder` is the network's and stores the node's
    responses. Raises NodeError, InvalidInput.
    """
    point, blocks = recorded_point(store), AccountBlocks()
    if point is not None and requested is not None:
        check_same(point, requested)
    if point is None and requested is None:
        return RemoteStore(store, blocks), None
    if point is None and store.metadata(HEAD) is not None:
        raise InvalidInput("the folder's network is not a fork: omit the fork, or name another folder")
    fork = connect(point, requested, folder, blocks)
    blocks.use(fork.chain.close)
    if point is None:
        store.commit((), {}, fork.point.entries())
    return RemoteStore(store, blocks), fork


def reads_from_node(store: Store) -> bool:
    """Return True if a folder's network is a fork, whose state is in part on another node."""
    fork = recorded_fork(store)
    return recorded_point(store) is not None or (fork is not None and bool(fork.url))


def connect(
    point: EthereumForkPoint | None, requested: ForkSource | None, folder: Path | None, blocks: AccountBlocks
) -> EthereumFork:
    """Return a fork at a recorded point, or at the requested block. Raises UnfitNode, InvalidInput.

    The caller closes the fork's `chain`.
    """
    source = requested or ForkSource(point.url if point else "")
    chain = RemoteChain(
        source.url,
        source.is_cached,
        source.options,
        file=None if folder is None else folder / FILE,
        chain_id=source.chain_id if point is None else point.chain_id,
        on_wait=source.on_wait,
    )
    try:
        if point is not None:
            return EthereumFork(point, chain, blocks)
        with as_unfit_node():
            return _new_fork(chain, source, blocks)
    except BaseException:
        chain.close()
        raise


def _new_fork(chain: RemoteChain, source: ForkSource, blocks: AccountBlocks) -> EthereumFork:
    if source.transaction is None:
        return EthereumFork(find_point(chain, source), chain, blocks)
    block, earlier, last = transactions_until(chain, source.transaction)
    fork = EthereumFork(find_point(chain, replace(source, epoch=block.number - 1)), chain, blocks)
    fork.first_block = FirstBlock(block.timestamp, tuple(each.raw() for each in (*earlier, last)))
    return fork


def _key(block: RemoteBlock) -> bytes:
    return block.number.to_bytes(_NUMBER_BYTES, "big") + block.hash
