"""Sources of past tipsets: the interface, and a node.

A source is a folder (`localnet.replay.folder_source`) or a node (Lotus, Forest or this project's), which is read block
by block. Its store checks each block against its CID. Network versions, vesting and past randomness are not in blocks;
the source is trusted for them. The results are compared with the receipts and states of the chain. Methods and shapes:
lotus api/api_full.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from hypervisor.context import ExternError, Externs, MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO, FILECOIN
from hypervisor.machine.machine import Hypervisor
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor.versions.overlay import Overlay
from localnet.chain.supply import supply_of
from localnet.fork.forking import NodeBlocks
from localnet.fork.node_client import NodeClient, NodeError, RequestOptions
from localnet.fork.remote_chain import RemoteChain
from localnet.fork.response_values import (
    amount,
    cid_json,
    cid_of_json,
    digest,
    key_of,
    number,
    parent_state_of,
    quantity,
    text,
    tipset_blocks,
)
from localnet.ledger.headers import TipsetHeaders, read_messages, read_tipset
from localnet.replay.tipset_execution import MinedBlock, NullRoundBefore, TipsetWork, null_epochs
from store.blocks.memory import MemoryStore, OverlayStore, RemoteStore
from store.blockstore import Store
from store.cid import Cid, CidError, parse_cid, show

_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ChainResult:
    """Result of a tipset on the chain: the state, and the root of the receipts if known."""

    state: Cid
    receipts: Cid | None


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message's tipset, and the message's CID in it."""

    tipset: Sequence[Cid]
    cid: Cid


class TipsetSource(Protocol):
    """A source of past tipsets. Its methods raise InvalidInput for missing data, and NodeError."""

    store: Store
    name: str
    """Display name of the network."""
    chain_id: int
    overlay: Overlay | None
    """Changes to the prices and rules of the tipsets' network versions, or a draft version."""

    def tipset_at(self, epoch: int) -> Sequence[Cid]:
        """Return the blocks of the tipset at an epoch. InvalidInput for a null round, and outside of the chain."""

    def find_message(self, text: str) -> FoundMessage:
        """Find the message of a transaction hash (0x...) or a CID. Raises InvalidInput if there is none."""

    def result_of(self, tipset: TipsetHeaders) -> ChainResult:
        """Return the result of a tipset."""

    def version_at(self, tipset: TipsetHeaders) -> int:
        """Return the number of the network version at a tipset's epoch."""

    def vested_at(self, tipset: TipsetHeaders, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested attoFIL at an epoch: the tipset's, or that of a null round before it."""

    def null_time(self, parent: TipsetHeaders, epoch: ChainEpoch) -> int:
        """Return the time of a null round after a tipset, in Unix seconds."""

    def externs_for(self, tipset: TipsetHeaders) -> Externs:
        """Return externs over the chain for a machine that executes a tipset."""

    def close(self) -> None:
        """Close the source."""


@dataclass(frozen=True, slots=True)
class PastTipset:
    """A tipset to re-execute: its contents, its initial state, and its rules."""

    headers: TipsetHeaders
    parent: TipsetHeaders
    work: TipsetWork
    network: int
    overlay: Overlay | None = None

    @property
    def context(self) -> MachineContext:
        """Return the context before the tipset; execution sets epoch, time and fee."""
        return MachineContext(network_version(self.network, self.overlay))


def read_past_tipset(source: TipsetSource, cids: Sequence[Cid]) -> PastTipset:
    """Read a tipset with its messages.

    Raises InvalidInput for a tipset that cannot be executed separately: the first one, or one after an upgrade.
    """
    headers = read_tipset(source.store, cids)
    if not headers.parents:
        raise InvalidInput(
            f"epoch {headers.height} is the chain's first, where nothing is executed: name a later epoch"
        )
    parent = read_tipset(source.store, headers.parents)
    before, network = source.version_at(parent), source.version_at(headers)
    if before != network:
        raise InvalidInput(
            f"the network went from nv{before} to nv{network} before epoch {headers.height}: "
            f"a vector cannot express this migration; name another epoch"
        )
    null_rounds = tuple(
        NullRoundBefore(epoch, source.null_time(parent, epoch)) for epoch in null_epochs(parent.height, headers.height)
    )
    blocks = tuple(
        MinedBlock(block.producer, block.win_count, read_messages(source.store, block)) for block in headers.blocks
    )
    work = TipsetWork(headers.height, headers.timestamp, headers.blocks[0].base_fee, blocks, null_rounds)
    return PastTipset(headers, parent, work, network, source.overlay)


def machine_for(source: TipsetSource, past: PastTipset, store: Store | None = None) -> Hypervisor:
    """Return a machine at the state before a tipset, which writes nothing to the source's store."""
    machine = Hypervisor.at(
        OverlayStore(source.store if store is None else store),
        past.headers.state,
        past.context,
        evm=AUTO,
        externs=source.externs_for(past.headers),
        proofs=AcceptProofs(),
    )
    machine.advance(chain_id=source.chain_id)
    return machine


class SourceSupply:
    """The circulating supply in a source's states, for `execute_tipset`. Records its results."""

    def __init__(self, source: TipsetSource, tipset: TipsetHeaders) -> None:
        self._source, self._tipset = source, tipset
        self.answered: dict[ChainEpoch, TokenAmount] = {}

    def __call__(self, machine: Hypervisor, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested amount in attoFIL."""
        found = supply_of(machine.state_tree, self._source.vested_at(self._tipset, epoch)).circulating
        self.answered[epoch] = found
        return found


@dataclass(frozen=True, slots=True)
class MessageReference:
    """A reference to a message: its CID or its transaction hash."""

    cid: Cid | None = None
    hash: bytes = b""


def parse_reference(text: str) -> MessageReference:
    """Read a CID or 0x and 64 hex digits. Raises InvalidInput."""
    if _HASH.fullmatch(text):
        return MessageReference(hash=bytes.fromhex(text[2:]))
    try:
        return MessageReference(parse_cid(text))
    except CidError:
        kind = "an epoch, not" if text.isascii() and text.isdigit() else "not"
        raise InvalidInput(
            f"'{text:.200}' is {kind} a transaction's hash or a message's CID; pass 0x and 64 hex digits, or a CID"
        ) from None


T = TypeVar("T")

_REQUESTS: Final = RequestOptions(timeout=60)
"""Options with a longer timeout, since a node computes a state for some requests."""
_EPOCH_SECONDS: Final = 30


class NodeSource:
    """A node as a `localnet.replay.sources.TipsetSource`. Fetched blocks are stored in `local`."""

    def __init__(
        self,
        url: str,
        local: Store | None = None,
        options: RequestOptions = _REQUESTS,
        overlay: Overlay | None = None,
        chain: RemoteChain | None = None,
    ) -> None:
        """Connect to the node; `chain` is a client of it whose requests, and cache, are used.

        Raises NodeError if no node responds, InvalidInput for an invalid URL.
        """
        self.overlay = overlay
        self._client = NodeClient(url, options=options) if chain is None else chain.client
        self._reader = self._client if chain is None else chain
        if chain is not None:
            self._client.cache = chain.cache()
        self.blocks = NodeBlocks(self._client)
        self.local = MemoryStore() if local is None else local
        self.store: Store = RemoteStore(self.local, self.blocks)
        self.name = self._reader.read(text, "Filecoin.StateNetworkName")
        self.chain_id = self._reader.read(quantity, "eth_chainId")
        self._responses: dict[tuple[Any, ...], Any] = {}

    def require_own_rules(self) -> None:
        """Raise InvalidInput for a node of this project whose rules are not those that this source executes.

        Its tipsets do not tell Ethereum's rules, labs and overlays.
        """
        with suppress(NodeError):  # other nodes do not have these methods
            rules = self._client.read(text, "hypervisor_rules")
            name, key = self._client.read(_overlay, "anvil_nodeInfo")
            differs = "" if rules == FILECOIN else f"the rules {rules[:100]!r}"
            if key and (self.overlay is None or self.overlay.digest != key):
                differs = f"the overlay {name[:100]!r}"
            if differs:
                raise InvalidInput(
                    f"{self._client.name} has {differs}, and its blocks would be executed without: use the folder of "
                    "its chain instead"
                )

    # --- look-ups ---------------------------------------------------------------------------------------------

    def tipset_at(self, epoch: int) -> Sequence[Cid]:
        """Return the blocks of the tipset at an epoch."""
        head = self._reader.read(lambda tipset: number(tipset["Height"]), "Filecoin.ChainHead")
        if not 0 <= epoch <= head:
            raise InvalidInput(f"{self._client.name} has no epoch {epoch}: its chain reaches from 0 to {head}")
        height, cids = self._reader.read(_height_and_blocks, "Filecoin.ChainGetTipSetByHeight", epoch, None)
        if height != epoch:
            raise InvalidInput(f"epoch {epoch} is a null round: the tipset before it is at {height}")
        return cids

    def head(self) -> TipsetHeaders:
        """Return the node's newest tipset."""
        _, cids = self._reader.read(_height_and_blocks, "Filecoin.ChainHead")
        return read_tipset(self.store, cids)

    def find_message(self, text: str) -> FoundMessage:
        """Find the message of a transaction hash or a CID."""
        cid = self.message_cid(text)
        found = self._reader.read(_looked_up, "Filecoin.StateSearchMsg", [], cid_json(cid), -1, True)
        if found is None:
            raise InvalidInput(
                f"{self._client.name} has no receipt of the message {text}: it is pending, or not on the chain"
            )
        at, cid = found
        # Lotus returns the tipset after the message's, which has the receipt; `hypervisor node` the message's own.
        tipset = read_tipset(self.store, at)
        for candidate in (tipset.cids, tipset.parents):
            if candidate and self._holds(candidate, cid):
                return FoundMessage(candidate, cid)
        raise InvalidInput(f"{self._client.name} returned a tipset for message {show(cid)} that does not contain it")

    def message_cid(self, reference: str) -> Cid:
        """Return the CID of a message, given as its CID or transaction hash. Raises InvalidInput, NodeError."""
        named = parse_reference(reference)
        if named.cid is not None:
            return named.cid
        found: Cid | None = self._reader.read(
            lambda response: None if response is None else cid_of_json(response),
            "Filecoin.EthGetMessageCidByTransactionHash",
            reference,
        )
        if found is None:
            raise InvalidInput(f"{self._client.name} has no transaction {reference}")
        return found

    def _holds(self, cids: Sequence[Cid], message: Cid) -> bool:
        blocks = read_tipset(self.store, cids).blocks
        included = (one for block in blocks for one in read_messages(self.store, block))
        return any(message in (one.cid, one.message.cid()) for one in included)

    # --- data outside of headers ------------------------------------------------------------------------------

    def result_of(self, tipset: TipsetHeaders) -> ChainResult:
        """Return the result from the next tipset; for the head, computed by the node."""
        head, cids = self._reader.read(_height_and_blocks, "Filecoin.ChainHead")
        if tipset.height >= head:
            computed = self._reader.read(
                lambda response: cid_of_json(response["Root"]),
                "Filecoin.StateCompute",
                tipset.height,
                None,
                _key(tipset),
            )
            return ChainResult(computed, None)
        _, after = self._reader.read(
            _height_and_blocks, "Filecoin.ChainGetTipSetAfterHeight", tipset.height + 1, _json(cids)
        )
        child = read_tipset(self.store, after)
        if set(child.parents) != set(tipset.cids):
            raise InvalidInput(
                f"the tipset of epoch {tipset.height} is not on the chain that {self._client.name} follows now"
            )
        return ChainResult(child.state, child.blocks[0].receipts)

    def version_at(self, tipset: TipsetHeaders) -> int:
        """Return the version from the node."""
        return self._cached_response("Filecoin.StateNetworkVersion", number, _key(tipset))

    def vested_at(self, tipset: TipsetHeaders, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested amount from the node; in a null round interpolated from the parent."""
        vested = self._vested_funds(_key(tipset))
        if epoch == tipset.height:
            return vested
        parent = read_tipset(self.store, tipset.parents)
        before = self._vested_funds(_key(parent))
        share = (vested - before) * (epoch - parent.height) // (tipset.height - parent.height)
        return TokenAmount(before + share)

    def _vested_funds(self, key: list[dict[str, str]]) -> TokenAmount:
        return self._cached_response(
            "Filecoin.StateVMCirculatingSupplyInternal", lambda response: amount(response["FilVested"]), key
        )

    def null_time(self, parent: TipsetHeaders, epoch: ChainEpoch) -> int:
        """Return the time as in Lotus: 30 seconds per epoch since the first block."""
        begun = self._cached_response(
            "Filecoin.ChainGetGenesis", lambda tipset: number(tipset["Blocks"][0]["Timestamp"])
        )
        return begun + _EPOCH_SECONDS * epoch

    def externs_for(self, tipset: TipsetHeaders) -> NodeExterns:
        """Return externs that query the node, as of the tipset."""
        return NodeExterns(self, tipset)

    def read_past(self, method: str, parse: Callable[[Any], T], epoch: int, tipset: TipsetHeaders) -> T:
        """Return a response about an epoch before a tipset, parsed by `parse`. Raises ExternError."""
        try:
            return self._cached_response(method, parse, epoch, _key(tipset))
        except NodeError as error:
            if error.answered:
                raise ExternError(f"the node returned no result for epoch {epoch}: {error}") from None
            raise

    def close(self) -> None:
        """Close the connection."""
        self.store.close()
        self._client.close()

    def _cached_response(self, method: str, parse: Callable[[Any], T], *params: Any) -> T:
        key = (method, repr(params))
        if key not in self._responses:
            self._responses[key] = self._reader.read(parse, method, *params)
        known: T = self._responses[key]
        return known


class NodeExterns:
    """Past randomness and tipsets of a chain, from a node."""

    def __init__(self, source: NodeSource, tipset: TipsetHeaders) -> None:
        self._source, self._tipset = source, tipset

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the tickets' digest of an epoch. Raises ExternError."""
        return self._read_past("Filecoin.StateGetRandomnessDigestFromTickets", digest, epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the beacon's digest of an epoch. Raises ExternError."""
        return self._read_past("Filecoin.StateGetRandomnessDigestFromBeacon", digest, epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the CID of the key of the tipset at an epoch or before it. Raises ExternError."""
        return Cid(self._read_past("Filecoin.ChainGetTipSetByHeight", key_of, epoch))

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the state root after the tipset at an epoch or before it. Raises ExternError."""
        return Cid(self._read_past("Filecoin.ChainGetTipSetAfterHeight", parent_state_of, ChainEpoch(epoch + 1)))

    def _read_past(self, method: str, read: Callable[[Any], Any], epoch: ChainEpoch) -> bytes:
        return bytes(self._source.read_past(method, read, epoch, self._tipset))


def _height_and_blocks(tipset: Any) -> tuple[int, tuple[Cid, ...]]:
    return number(tipset["Height"]), tipset_blocks(tipset)


def _overlay(info: Any) -> tuple[str, str]:
    """Return the name and the digest of a node's overlay; empty texts if it has none."""
    if "overlay" not in info:
        return "", ""
    return text(info["overlay"]["name"]), text(info["overlay"]["digest"])


def _looked_up(response: Any) -> tuple[tuple[Cid, ...], Cid] | None:
    """Return the tipset and CID of a message look-up; the CID differs from the requested one after a replacement."""
    if response is None:
        return None
    return tuple(cid_of_json(block) for block in response["TipSet"]), cid_of_json(response["Message"])


def _key(tipset: TipsetHeaders) -> list[dict[str, str]]:
    return _json(tipset.cids)


def _json(cids: Sequence[Cid]) -> list[dict[str, str]]:
    return [cid_json(cid) for cid in cids]
