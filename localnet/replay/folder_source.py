"""Sources of past tipsets: a folder with its own chain, and the headers of a chain snapshot.

The index lists the folder's own tipsets. Below the fork point only headers are available: randomness comes from their
tickets and beacon entries, and the vesting of the genesis schedule counts as zero.

A snapshot, as Filecoin nodes export it, is a CAR of headers, messages and states; networks can start from one. In
version 1 the roots of the CAR are the blocks of the head tipset. In version 2 there is one root, a map that contains
them (FRC-0108). The state in a snapshot precedes the head's messages, because a header contains the state root of its
parent. Nothing here reads what a snapshot omits, such as older states and receipts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hypervisor.bundles.bundle_library import release_of
from hypervisor.context import ExternError, Externs, MachineContext
from hypervisor.errors import InvalidInput, MessageError
from hypervisor.installation import AUTO, FILECOIN
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.opening import choose_context
from hypervisor.messages.message import SignedMessage
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import newest_with_actors
from hypervisor.versions.overlay import Overlay
from localnet.chain.externs import ChainExterns
from localnet.fork.forking import ForkPoint, NodeBlocks, Origin, begin_fork, recorded_fork
from localnet.fork.node_client import NodeClient
from localnet.ledger.candidates import message_hashes
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.headers import TipsetHeaders, digest, read_tipset
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.replay.sources import ChainResult, FoundMessage, parse_reference
from localnet.rules.parts import rules_named
from store.blocks.memory import OverlayStore, RemoteStore
from store.blockstore import BlockNotFound, Blockstore, Store, get_object
from store.cid import Cid, show
from store.codec import CodecError, unlink
from store.rocks.database import RocksStore
from store.roots import HEAD, pins

CHAIN_IDS: Final = {"mainnet": 314, "calibrationnet": 314159}
"""Chain ids of known networks, by the name in the init actor's state."""


@dataclass(frozen=True, slots=True)
class ChainSnapshot:
    """The head tipset of a snapshot: its blocks and their header fields. Unix seconds, attoFIL per gas."""

    version: int
    blocks: tuple[Cid, ...]
    height: ChainEpoch
    parents: tuple[Cid, ...]
    state: Cid
    timestamp: int
    base_fee: TokenAmount


def read_chain_snapshot(store: Blockstore, roots: Sequence[Cid]) -> ChainSnapshot:
    """Read the head of a snapshot whose blocks are in a store. Raises InvalidInput if it is not a chain snapshot."""
    version, blocks = 1, tuple(roots)
    try:
        first = get_object(store, roots[0]) if roots else None
        if isinstance(first, dict):
            version, blocks = int(first["Version"]), tuple(unlink(block) for block in first["HeadTipsetKey"])
    except (BlockNotFound, CodecError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is not a snapshot of a chain: {error}") from None
    if not blocks or version not in (1, 2):
        raise InvalidInput(f"a snapshot of version {version} with {len(blocks)} blocks at its head cannot be read")
    try:
        head = read_tipset(store, blocks)
    except (BlockNotFound, InvalidInput) as error:
        raise InvalidInput(f"this is not a snapshot of a chain: {error}") from None
    base_fee = head.blocks[0].base_fee
    return ChainSnapshot(version, blocks, head.height, head.parents, head.state, head.timestamp, base_fee)


def network_of(store: Store, snapshot: ChainSnapshot) -> int:
    """Return the newest network version with a snapshot's actors. Raises InvalidInput for unknown actors."""
    manifest = Hypervisor.at(store, snapshot.state, MachineContext(), evm=AUTO).manifest
    release = release_of(manifest.root)
    if release is None:
        raise InvalidInput(
            f"the actors of manifest {show(manifest.root)} are not a known release: pass the network version"
        )
    found = newest_with_actors(release.version)
    if found is None:
        raise InvalidInput(
            f"the snapshot's actors are of version {release.version}, which no known network version has"
        )
    return found.number


def check_empty(store: Store) -> None:
    """Raise InvalidInput if a folder already contains a state."""
    if store.metadata(HEAD) is not None:
        raise InvalidInput("the folder already contains a state: name another folder")


def begin_from(store: Store, snapshot: ChainSnapshot, network: int) -> ForkPoint:
    """Start a folder's network with the state of a snapshot, after the parent of its head.

    `network` is its version, which blocks do not contain; the chain ID is derived from the network's name if possible.
    The first tipset is one epoch before the head, whose messages are not executed. Vesting outside the state is
    unknown and counts as zero. Raises InvalidInput for a folder that already contains a state.
    """
    check_empty(store)
    name = StateTree(store, snapshot.state).init_state().network_name
    rules = rules_named("filecoin")
    height = ChainEpoch(max(0, snapshot.height - 1))
    point = ForkPoint(
        url="",
        epoch=height,
        height=height,
        blocks=snapshot.parents or snapshot.blocks,
        timestamp=snapshot.timestamp - 1,
        base_fee=snapshot.base_fee,
        next_base_fee=snapshot.base_fee,
        state=snapshot.state,
        network=network,
        chain_id=CHAIN_IDS.get(name, rules.chain_id),
        name=name,
        vested=TokenAmount(0),
    )
    for block in point.blocks:
        if not store.has(block):
            raise InvalidInput(f"the snapshot lacks the header {show(block)} of its last executed tipset")
    begin_fork(store, point)
    return point


_EPOCH_SECONDS: Final = 30


class RulesMismatch(InvalidInput):
    """Raised if a chain's tipsets depend on more than the network version."""


class FolderSource:
    """A source of the tipsets in a folder, which is opened read-only; a node may have it open."""

    def __init__(self, path: Path, overlay: Overlay | None = None) -> None:
        """Raise InvalidInput for a folder without a chain, and for one under other rules than Filecoin's.

        `overlay` is that of the chain, if it has one.
        """
        self._path, self.overlay = path, overlay
        self._folder = RocksStore.open(path, read_only=True)
        try:
            self._open()
        except BaseException:
            self._folder.close()
            raise

    def _open(self) -> None:
        self._client: NodeClient | None = None
        self._walked: list[TipsetHeaders] = []
        self._index = ChainIndex(self._folder)
        self._fork = recorded_fork(self._folder)
        self._record = self._index.network()
        if self._record is None and self._fork is None:
            raise InvalidInput(f"{self._path} contains no chain: create one with `hypervisor node --state DIR`")
        if self._record is not None and self._record.rules != FILECOIN:
            raise RulesMismatch(
                f"the chain in {self._path} is under the rules '{self._record.rules}': tipsets are Filecoin's"
            )
        if self._record is not None and self._record.overlay != self.overlay:
            recorded = self._record.overlay
            follows = "no overlay and no draft version" if recorded is None else f"the overlay {recorded}"
            hint = ": pass its file with --network" if recorded is not None and recorded.draft is not None else ""
            raise RulesMismatch(
                f"the chain in {self._path} follows {follows}, so its tipsets are not those of the network version "
                f"alone{hint}"
            )
        self.store: Store = self._folder
        self.chain_id = choose_context(self._folder, None, None, None, overlay=self.overlay).chain_id
        self._index.chain_ids = self._index.chain_ids or [self.chain_id]
        self.name = self._fork.name if self._record is None and self._fork is not None else self._folder_record.name
        self._externs = ChainExterns()
        origin = None
        if self._fork is not None:
            # The folder of a fork contains its node's responses, and those of its blocks that were read.
            origin = Origin(replace(self._fork, url=""), self._folder)
        if self._fork is not None and self._fork.url:
            self._client = NodeClient(self._fork.url)
            self.store = RemoteStore(OverlayStore(self._folder), NodeBlocks(self._client))
        self._externs.attach(self._index, origin)

    # --- finding ----------------------------------------------------------------------------------------------

    def tipset_at(self, epoch: int) -> Sequence[Cid]:
        """Return the blocks of the tipset at an epoch."""
        if self._fork is not None and epoch <= self._fork.height:
            return self._before_fork(self._fork, epoch)
        found = self._index.at(epoch)
        if found is None:
            raise InvalidInput(
                f"the chain in {self._path} has no epoch {epoch}: it reaches from {self._index.first} to "
                f"{self._index.head}"
            )
        if not isinstance(found, Tipset):
            raise InvalidInput(f"epoch {epoch} is a null round: the tipset before it is at {found.before}")
        return (found.block,)

    def _before_fork(self, fork: ForkPoint, epoch: int) -> Sequence[Cid]:
        """Return the blocks of a tipset at or below the fork point, as far as headers reach."""
        try:
            for tipset in self._past(fork):
                if tipset.height == epoch:
                    return tipset.cids
                if tipset.height < epoch:
                    raise InvalidInput(f"epoch {epoch} is a null round: the tipset before it is at {tipset.height}")
        except BlockNotFound as error:
            raise InvalidInput(f"{self._path} does not reach back to epoch {epoch}: {error}") from None
        raise InvalidInput(f"{self._path} has no epoch {epoch}")

    def _past(self, fork: ForkPoint) -> Iterator[TipsetHeaders]:
        """Yield the tipsets from the fork point down; each is read once.

        Raises BlockNotFound after the last stored header.
        """
        index = 0
        while True:
            if index == len(self._walked):
                parents = self._walked[-1].parents if self._walked else fork.blocks
                if not parents:
                    return
                self._walked.append(read_tipset(self.store, parents))
            yield self._walked[index]
            index += 1

    def is_own(self, height: int) -> bool:
        """Return True if the tipset was made by the folder's network, after its fork point if it has one."""
        return self._fork is None or height > self._fork.height

    def headers_at(self, epoch: int) -> TipsetHeaders:
        """Return the tipset at an epoch. Raises as `tipset_at`."""
        return read_tipset(self.store, self.tipset_at(epoch))

    def past_with_states(self) -> Iterator[TipsetHeaders]:
        """Yield the tipsets of a snapshot that can be re-executed, since their initial state is there, newest first."""
        if self._fork is None or self._fork.url:
            return
        with suppress(BlockNotFound):
            for tipset in self._past(self._fork):
                if not tipset.parents or not self.store.has(tipset.state):
                    return
                if self.store.has(tipset.parents[0]):
                    yield tipset

    def find_message(self, text: str) -> FoundMessage:
        """Find the message of a transaction hash or a CID in the folder's own tipsets."""
        named = parse_reference(text)
        receipt = self._index.receipt(named.hash) if named.cid is None else self._receipt_of(named.cid)
        if receipt is None:
            raise InvalidInput(f"no message {text} was executed on the chain in {self._path}")
        return FoundMessage((receipt.tipset.block,), receipt.candidate.message.cid())

    def _receipt_of(self, cid: Cid) -> TransactionReceipt | None:
        try:
            signed = SignedMessage.from_cbor(self.store.get(cid))
        except BlockNotFound:
            return None
        except MessageError:
            signed = None  # a bare one, of a BLS key
        found = map(self._index.receipt, message_hashes(signed, cid, self._index.chain_ids))
        return next(filter(None, found), None)

    # --- what headers do not tell -----------------------------------------------------------------------------

    def result_of(self, tipset: TipsetHeaders) -> ChainResult:
        """Return the result from the index; at and below a fork point from the next tipset."""
        if self._fork is None or tipset.height > self._fork.height:
            own = self._index.tipset(tipset.height)
            return ChainResult(own.state, own.receipts)
        if tipset.cids == self._fork.blocks:
            return ChainResult(self._fork.state, self._head_receipts(self._fork))
        child = None
        for found in self._past(self._fork):
            if found.cids == tipset.cids:
                break
            child = found
        assert child is not None, "a tipset below the fork point has one after it"
        return ChainResult(child.state, child.blocks[0].receipts)

    def _head_receipts(self, fork: ForkPoint) -> Cid | None:
        """Return the receipts of a snapshot's newest executed tipset, from its head's headers."""
        for root in pins(self.store).values():
            try:
                head = read_tipset(self.store, read_chain_snapshot(self.store, [root]).blocks)
            except (BlockNotFound, InvalidInput):
                continue
            if head.parents == fork.blocks:
                return head.blocks[0].receipts
        return None

    def version_at(self, tipset: TipsetHeaders) -> int:
        """Return the version from the network's record; at and below a fork point the fork's."""
        if self._fork is not None and tipset.height <= self._fork.height:
            return self._fork.network
        return self._folder_record.upgrades.version_at(tipset.height)

    def vested_at(self, tipset: TipsetHeaders, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested amount, which is constant."""
        return self._folder_record.vested if self._fork is None else self._fork.vested

    def null_time(self, parent: TipsetHeaders, epoch: ChainEpoch) -> int:
        """Return a null round's time: the previous tipset's on this network, 30 seconds per epoch on others."""
        if self._fork is not None and epoch <= self._fork.height:
            return parent.timestamp + _EPOCH_SECONDS * (epoch - parent.height)
        return parent.timestamp

    def externs_for(self, tipset: TipsetHeaders) -> Externs:
        """Return externs that read the index, and headers at a fork point and below."""
        if self._fork is not None and tipset.height <= self._fork.height:
            return HeaderExterns(self.store, tipset)
        self._externs.executing = tipset.height
        return self._externs.snapshot()

    def close(self) -> None:
        """Close the folder and the connection to its forked node."""
        if self._client is not None:
            self._client.close()
        self._folder.close()

    @property
    def _folder_record(self) -> NetworkRecord:
        assert self._record is not None, "the folder has its own tipsets"
        return self._record


class HeaderExterns:
    """Past randomness and tipsets from the headers below a tipset. Source: lotus chain/rand."""

    def __init__(self, store: Store, tipset: TipsetHeaders) -> None:
        self._store, self._tipset = store, tipset

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the digest of the least ticket at an epoch, or after a null round. Raises ExternError."""
        after, _ = self._around(epoch)
        return digest(after.ticket)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the digest of an epoch's beacon entry; a later tipset has a null round's. Raises ExternError."""
        after, before = self._around(epoch)
        entries = after.blocks[0].beacon
        index = epoch - after.height - 1 if epoch > 0 else -1
        if before is None or len(entries) < -index:
            raise ExternError(f"the headers of the chain have no beacon entry of epoch {epoch}")
        return digest(entries[index])

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the CID of the key of the tipset at an epoch or before it. Raises ExternError."""
        after, before = self._around(epoch)
        found = after if after.height == epoch or before is None else before
        return found.key

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the state root after the tipset at an epoch or before it. Raises ExternError."""
        after, _ = self._around(epoch + 1)
        return after.state

    def _around(self, epoch: int) -> tuple[TipsetHeaders, TipsetHeaders | None]:
        """Return the tipset at an epoch or after it, and its parent."""
        if epoch > self._tipset.height:
            raise ExternError(f"epoch {epoch} is in the future")
        after = self._tipset
        try:
            for tipset in _backwards(self._store, self._tipset):
                if tipset.height < epoch:
                    return after, tipset
                after = tipset
        except BlockNotFound:
            raise ExternError(f"the headers of the chain do not reach back to epoch {epoch}") from None
        return after, None


def _backwards(store: Store, tipset: TipsetHeaders) -> Iterator[TipsetHeaders]:
    """Yield a tipset and its ancestors, as far as headers reach. Raises BlockNotFound if one is missing."""
    while True:
        yield tipset
        if not tipset.parents:
            return
        tipset = read_tipset(store, tipset.parents)
