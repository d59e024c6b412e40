"""A fork of an Ethereum network: accounts, storage, block hashes and history are read from a node.

The fork point, the block after which the fork begins, is read from a node or from the folder. Everything else is read
on first access with standard eth_* methods, and cached on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import next_base_fee
from hypervisor.bundles.manifest import Manifest
from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from hypervisor.types import Gas, TokenAmount
from localnet.fork.account_origin import AccountBlocks, AccountNames, AccountOrigin
from localnet.fork.forking import ForkSource, recorded_fork
from localnet.fork.node_client import NodeError, as_unfit_node
from localnet.fork.remote_chain import RemoteBlock, RemoteChain, RemoteState
from localnet.fork.remote_history import RemoteHistory, transactions_until
from localnet.fork.urls import redacted_url
from localnet.ledger.blocks import beacon_digest, key_of_hash
from localnet.ledger.index import first_entries
from localnet.ledger.records import LEAST_GAS_LIMIT, MAX_GAS_LIMIT
from store.blocks.memory import RemoteStore
from store.blockstore import Store
from store.cid import EMPTY_ARRAY_CID, Cid
from store.codec import decode, encode
from store.roots import HEAD

_FORK: Final = b"ethereum fork"
_HARDFORKS: Final = {
    1: (("Osaka", 1_764_798_551), ("Prague", 1_746_612_311)),
    11_155_111: (("Osaka", 1_760_427_360), ("Prague", 1_741_159_776)),
    17_000: (("Osaka", 1_759_308_480), ("Prague", 1_740_434_112)),
    560_048: (("Osaka", 1_761_677_592), ("Prague", 1_742_999_832)),
}
"""Hardforks by chain ID (mainnet, Sepolia, Holesky, Hoodi), newest first, with their times in Unix seconds.

Source: go-ethereum params/config.go. Blocks before Prague run under the rules of Cancun, the oldest supported fork
here.
"""
_OLDEST: Final = "Cancun"
_BLOB_TARGETS: Final = {
    1: ((14, 1_767_747_671), (10, 1_765_290_071)),
    11_155_111: ((14, 1_761_607_008), (10, 1_761_017_184)),
    17_000: ((14, 1_760_389_824), (10, 1_759_800_000)),
    560_048: ((14, 1_762_955_544), (10, 1_762_365_720)),
}
"""Targets of the forks after Osaka that change the blob schedule only (EIP-7892): BPO2 and BPO1, with their times.

Keys and source as above. These forks multiply Osaka's target, maximum and update fraction by the same factor.
"""
_OSAKA_TARGET: Final = 6


def blob_gas_of(chain_id: int, block: RemoteBlock) -> tuple[int, int]:
    """Return excess and use of blob gas of a network's block, in proportion to the schedule of its hardfork here.

    The blob base fee that follows from them is the network's, also where it has more blobs than Osaka.
    """
    targets = _BLOB_TARGETS.get(chain_id, ())
    target = next((target for target, begins in targets if block.timestamp >= begins), _OSAKA_TARGET)
    return block.excess_blob_gas * _OSAKA_TARGET // target, block.blob_gas_used * _OSAKA_TARGET // target


@dataclass(frozen=True, slots=True)
class EthereumForkPoint:
    """A fork point: a block of the network of the node at `url`, whose chain ID is `chain_id`."""

    url: str
    chain_id: int
    block: RemoteBlock

    @property
    def height(self) -> int:
        """The number of the block."""
        return self.block.number

    @property
    def hardfork(self) -> str:
        """The hardfork of the block, or an empty string if the network's hardforks are unknown."""
        known = _HARDFORKS.get(self.chain_id)
        if known is None:
            return ""
        return next((name for name, begins in known if self.block.timestamp >= begins), _OLDEST)

    @property
    def gas_limit(self) -> Gas:
        """The gas limit of the block; the maximum for a network without a limit, whose blocks have 0."""
        limit = self.block.gas_limit
        return Gas(min(max(limit, LEAST_GAS_LIMIT), MAX_GAS_LIMIT) if limit else MAX_GAS_LIMIT)

    @property
    def next_base_fee(self) -> TokenAmount:
        """The base fee of the next block, in wei per gas."""
        block = self.block
        return TokenAmount(next_base_fee(block.base_fee, min(block.gas_used, self.gas_limit), self.gas_limit))

    def entries(self) -> dict[bytes, bytes | None]:
        """Return the entries of the index that record the fork."""
        block = self.block
        numbers = [block.number, block.timestamp, block.base_fee, block.gas_limit, block.gas_used]
        if block.excess_blob_gas or block.blob_gas_used:
            numbers += [block.excess_blob_gas, block.blob_gas_used]
        return {
            **first_entries(self.height),
            _FORK: encode(
                [self.url, self.chain_id, numbers, block.hash, bytes(block.coinbase), block.randomness]
            )
        }  # fmt: skip


def recorded_point(store: Store) -> EthereumForkPoint | None:
    """Return the fork point that a folder records, or None."""
    data = store.index(_FORK)
    if data is None:
        return None
    url, chain_id, numbers, block_hash, coinbase, randomness = decode(data)
    number, timestamp, base_fee, gas_limit, gas_used, *blob_gas = numbers
    excess, blob_gas_used = blob_gas or (0, 0)
    block = RemoteBlock(
        number, block_hash, timestamp, base_fee, EthAddress(coinbase), randomness, gas_limit, excess, gas_used,
        blob_gas_used,
    )  # fmt: skip
    return EthereumForkPoint(url, chain_id, block)


def forgotten_entries() -> dict[bytes, bytes | None]:
    """Return the index entries that remove the record of the fork."""
    return {_FORK: None}


def find_point(chain: RemoteChain, requested: ForkSource) -> EthereumForkPoint:
    """Read the fork point from a node. Raises NodeError, InvalidInput."""
    return EthereumForkPoint(
        requested.url, chain.chain_id, chain.block(requested.number_at(chain.block_number(), "block"))
    )


def check_same(found: EthereumForkPoint, requested: ForkSource) -> None:
    """Raise InvalidInput if the fork that a folder records begins after another block than the requested one."""
    if requested.epoch is not None and requested.epoch >= 0 and requested.epoch != found.height:
        raise InvalidInput(
            f"the folder's network was forked at block {found.height}, not at {requested.epoch}: omit "
            f"the block, or name another folder (the node was {redacted_url(found.url)})"
        )
    requested.check_chain_id(found.chain_id)


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
