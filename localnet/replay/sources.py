"""A source of past tipsets: a node (Lotus, Forest or this project's), read block by block.

Blocks are checked against their CIDs. The node's other responses are trusted, and the results are compared with the
receipts and states of the chain.

Methods and shapes: lotus api/api_full.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.overlay import Overlay
from localnet.chain.tipset_sources import ChainResult, FoundMessage, parse_reference
from localnet.fork.node_blocks import NodeBlocks
from localnet.fork.node_client import NodeClient, NodeError
from localnet.fork.request_options import RequestOptions
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
from store.blocks.memory import MemoryStore
from store.blocks.overlay import RemoteStore
from store.blockstore import Store
from store.cid import Cid, show

T = TypeVar("T")

_REQUESTS: Final = RequestOptions(timeout=60)
"""Options with a longer timeout, since a node computes a state for some requests."""
_EPOCH_SECONDS: Final = 30


class NodeSource:
    """A node as a `localnet.chain.tipset_sources.TipsetSource`. Fetched blocks are stored in `local`."""

    def __init__(
        self,
        url: str,
        local: Store | None = None,
        watch: Callable[[int], None] = lambda _requested: None,
        options: RequestOptions = _REQUESTS,
        overlay: Overlay | None = None,
    ) -> None:
        """Raise NodeError if no node responds, InvalidInput for an invalid URL."""
        self.overlay = overlay
        self._client = NodeClient(url, options=options)
        self.blocks = NodeBlocks(self._client, watch)
        self.local = MemoryStore() if local is None else local
        self.store: Store = RemoteStore(self.local, self.blocks)
        self.name = self._client.read(text, "Filecoin.StateNetworkName")
        self.chain_id = self._client.read(quantity, "eth_chainId")
        self._responses: dict[tuple[Any, ...], Any] = {}

    # --- look-ups ---------------------------------------------------------------------------------------------

    def tipset_at(self, epoch: int) -> Sequence[Cid]:
        """Return the blocks of the tipset at an epoch."""
        head = self._client.read(lambda tipset: number(tipset["Height"]), "Filecoin.ChainHead")
        if not 0 <= epoch <= head:
            raise InvalidInput(f"{self._client.name} has no epoch {epoch}: its chain reaches from 0 to {head}")
        height, cids = self._client.read(_height_and_blocks, "Filecoin.ChainGetTipSetByHeight", epoch, None)
        if height != epoch:
            raise InvalidInput(f"epoch {epoch} is a null round: the tipset before it is at {height}")
        return cids

    def head(self) -> TipsetHeaders:
        """Return the node's newest tipset."""
        _, cids = self._client.read(_height_and_blocks, "Filecoin.ChainHead")
        return read_tipset(self.store, cids)

    def find_message(self, text: str) -> FoundMessage:
        """Find the message of a transaction hash or a CID."""
        cid = self._named_message(text)
        found = self._client.read(_looked_up, "Filecoin.StateSearchMsg", [], cid_json(cid), -1, True)
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

    def _named_message(self, reference: str) -> Cid:
        named = parse_reference(reference)
        if named.cid is not None:
            return named.cid
        found: Cid | None = self._client.read(
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
        head, cids = self._client.read(_height_and_blocks, "Filecoin.ChainHead")
        if tipset.height >= head:
            computed = self._client.read(
                lambda response: cid_of_json(response["Root"]),
                "Filecoin.StateCompute",
                tipset.height,
                None,
                _key(tipset),
            )
            return ChainResult(computed, None)
        _, after = self._client.read(
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
            self._responses[key] = self._client.read(parse, method, *params)
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


def _looked_up(response: Any) -> tuple[tuple[Cid, ...], Cid] | None:
    """Return the tipset and CID of a message look-up; the CID differs from the requested one after a replacement."""
    if response is None:
        return None
    return tuple(cid_of_json(block) for block in response["TipSet"]), cid_of_json(response["Message"])


def _key(tipset: TipsetHeaders) -> list[dict[str, str]]:
    return _json(tipset.cids)


def _json(cids: Sequence[Cid]) -> list[dict[str, str]]:
    return [cid_json(cid) for cid in cids]
