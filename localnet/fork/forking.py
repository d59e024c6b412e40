"""Forks of another network: the fork point, read from a node, and later requests to that node.

State blocks are read with `Filecoin.ChainReadObj` on first access (`store.blocks.memory.RemoteStore`), so forking a
network with hundreds of gigabytes of state takes seconds. Every request is a method of Lotus nodes. Blocks are checked
against their CIDs; the node's other responses (head, fees, past randomness) are trusted.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypervisor.context import ExternError, MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import FILECOIN, rule_names
from hypervisor.machine.opening import MACHINE, machine_record
from hypervisor.machine.rules import PREFIX, canonical_rules
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor.versions.overlay import Overlay
from localnet.fork.node_client import (
    FORK_REQUESTS,
    NodeClient,
    NodeError,
    NotCached,
    OnWait,
    RequestOptions,
    UnfitNode,
    as_unfit_node,
)
from localnet.fork.remote_chain import is_local
from localnet.fork.response_cache import NODE, ResponseCache, cache_file, cached_chain_id
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
from localnet.fork.urls import redacted_url
from localnet.ledger.blocks import tipset_key
from localnet.ledger.index import first_entries
from store.blocks.memory import RemoteStore, RemoteUnavailable
from store.blockstore import Store
from store.cid import Cid, has_digest, show
from store.codec import decode, encode, link, unlink
from store.roots import HEAD

_BLOCKS: Final = "blocks"
"""The block of cache entries that are identified by a CID."""
_NO_BLOCK: Final = ("could not find", "not found")
"""Texts by which nodes report a missing block."""


class NodeBlocks:
    """A `store.blocks.memory.Remote` that reads blocks from a node. The client is closed by its owner."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client
        self._fetched: list[tuple[Cid, bytes]] = []

    def block(self, cid: Cid) -> bytes | None:
        """Request the bytes of a CID from the node; None if it does not have them. Raises RemoteUnavailable."""
        data = read_block(self._client, cid)
        if data is not None:
            self._fetched.append((cid, data))
        return data

    def take(self) -> tuple[tuple[Cid, bytes], ...]:
        """Return the blocks fetched since the last call, unchecked."""
        fetched = tuple(self._fetched)
        self._fetched.clear()
        return fetched

    def close(self) -> None:
        """Do nothing: another owner closes the client."""


def read_block(client: NodeClient, cid: Cid) -> bytes | None:
    """Return the bytes of a CID from the client's cache or its node; None if the node does not have them.

    Raises RemoteUnavailable. Cached bytes match the CID; others are not verified.
    """
    name = show(cid)
    cached = client.cache.get(_BLOCKS, name)
    data = b"" if cached is None else b64decode(cached)
    if cached is not None and has_digest(cid, data):
        return data
    try:
        response = client.request("Filecoin.ChainReadObj", cid_json(cid))
        data = b64decode(response, validate=True)
        if has_digest(cid, data):
            client.cache.put(_BLOCKS, name, response)
        return data
    except NotCached:
        raise RemoteUnavailable(
            str(NotCached(client.name, f"block {name}", client.cache.missing(_BLOCKS, name)))
        ) from None
    except NodeError as error:
        if error.answered and any(text in str(error) for text in _NO_BLOCK):
            return None
        raise RemoteUnavailable(f"block {name} is not stored here, and {error}") from None
    except (Base64Error, TypeError, ValueError):
        raise RemoteUnavailable(f"block {name} is not stored here, and {client.name} did not return base64") from None


_FORK: Final = b"fork"
_ANSWER: Final = b"fork/"
_POINT: Final = "fork point {}"
"""Cache entry of the fork point at an epoch, None for the head."""
_KINDS: Final = {"tipset": "tipset", "chain": "chain randomness", "beacon": "beacon randomness", "state": "tipset"}


@dataclass(frozen=True, slots=True)
class ForkSource:
    """A requested fork: the URL of a node, and the epoch or block after which it begins.

    A negative epoch counts back from the node's head; None is the head.
    """

    url: str
    epoch: int | None = None
    on_wait: OnWait | None = field(default=None, compare=False)
    """Called with the seconds that a slow request has taken so far."""
    options: RequestOptions = field(default=FORK_REQUESTS, compare=False)
    caches: bool | None = field(default=None, compare=False)
    """True if the node's responses are cached on disk; None caches those of other machines only."""
    transaction: bytes | None = None
    """The hash of a transaction of an Ethereum network after which the fork begins, in place of a block."""
    chain_id: int | None = None
    """Chain ID of the forked network; None to request it from the node."""

    @property
    def is_cached(self) -> bool:
        """True if responses are cached in the user's cache folder, or only read from it."""
        if self.options.offline or self.caches is None:
            return self.options.offline or not is_local(self.url)
        return self.caches

    def cache(self, chain_id: int) -> ResponseCache:
        """Open the cache of the node's responses for a chain; it is empty if they are not cached."""
        file = cache_file(chain_id, self.url) if self.is_cached else None
        return ResponseCache(file, read_only=self.options.offline)

    def check_chain_id(self, found: int) -> None:
        """Raise InvalidInput if the fork that a folder records has another chain ID than the requested one."""
        if self.chain_id not in (None, found):
            raise InvalidInput(
                f"the folder's network is a fork of chain ID {found}, not {self.chain_id}: omit the fork's chain ID, "
                "or name another folder"
            )

    def number_at(self, head: int, kind: str = "epoch") -> int:
        """Return the number of the epoch or block, given that of the node's head. Raises InvalidInput."""
        if self.epoch is None:
            return head
        number = self.epoch if self.epoch >= 0 else head + self.epoch
        if not 0 <= number <= head:
            raise InvalidInput(f"{kind} {self.epoch} cannot be forked: {redacted_url(self.url)} is at {kind} {head}")
        return number


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The tipset after which a fork begins, and its state; without a URL it was read from a snapshot.

    Times in Unix seconds, fees in attoFIL per gas; `vested` is the circulating supply in attoFIL that the state
    does not contain.
    """

    url: str
    epoch: int
    """Requested height, or the height of a null round after it."""
    height: ChainEpoch
    blocks: tuple[Cid, ...]
    timestamp: int
    base_fee: TokenAmount
    next_base_fee: TokenAmount
    state: Cid
    network: int
    chain_id: int
    name: str
    vested: TokenAmount
    rules: str = FILECOIN
    """With the labs that are on there (`hypervisor.machine.rules`)."""

    @property
    def key(self) -> Cid:
        """The CID of the tipset's key."""
        return tipset_key(self.blocks)

    def entries(self) -> dict[bytes, bytes | None]:
        """Return the index entry that records the fork."""
        amounts = [str(amount) for amount in (self.base_fee, self.next_base_fee, self.vested)]
        fields = [self.url, self.epoch, self.height, [link(block) for block in self.blocks], self.timestamp, *amounts]
        labs = [] if self.rules == FILECOIN else [self.rules]
        return {_FORK: encode([*fields, link(self.state), self.network, self.chain_id, self.name, *labs])}


def recorded_fork(store: Store) -> ForkPoint | None:
    """Return the fork point of a folder's network, or None if it is not a fork."""
    data = store.index(_FORK)
    return None if data is None else _decoded_point(data)


def _decoded_point(data: bytes) -> ForkPoint:
    url, epoch, height, blocks, timestamp, fee, next_fee, vested, state, network, chain_id, name, *labs = decode(data)
    return ForkPoint(
        url=url,
        epoch=epoch,
        height=ChainEpoch(height),
        blocks=tuple(unlink(block) for block in blocks),
        timestamp=timestamp,
        base_fee=TokenAmount(int(fee)),
        next_base_fee=TokenAmount(int(next_fee)),
        state=unlink(state),
        network=network,
        chain_id=chain_id,
        name=name,
        vested=TokenAmount(int(vested)),
        rules=labs[0] if labs else FILECOIN,
    )


def open_fork(
    store: Store, requested: ForkSource | None, overlay: Overlay | None = None
) -> tuple[Store, Origin | None]:
    """Open the store of a fork, or of a network to become one, with its node; other stores are unchanged.

    Raises NodeError, InvalidInput.
    """
    point = recorded_fork(store)
    if requested is not None and point is None and store.metadata(HEAD) is None:
        point = find_fork_point(requested)
        begin_fork(store, point, overlay)
    elif requested is not None:
        _check_same(point, requested)
    if point is None:
        return store, None
    if requested is None:
        origin = Origin(point, store)
    else:
        origin = Origin(
            replace(point, url=requested.url), store, options=requested.options, cache=requested.cache(point.chain_id)
        )
    return RemoteStore(store, origin) if origin.point.url else store, origin  # a snapshot brought all that there is


def begin_fork(store: Store, point: ForkPoint, overlay: Overlay | None = None) -> None:
    """Turn a new folder into a fork: commits the state root, the machine's context and the fork point atomically."""
    version = network_version(point.network, overlay)
    context = MachineContext(version, point.height, point.timestamp, chain_id=point.chain_id, rules=point.rules)
    entries = {**point.entries(), **first_entries(point.height)}
    store.commit((), {HEAD: bytes(point.state), MACHINE: machine_record(context)}, entries)


def _check_same(found: ForkPoint | None, requested: ForkSource) -> None:
    """Raise InvalidInput if a folder's network is not the requested fork. The node's URL may have changed."""
    if found is None:
        raise InvalidInput("the folder's network is not a fork: omit the fork, or name another folder")
    if requested.epoch is not None and requested.epoch >= 0 and requested.epoch not in (found.epoch, found.height):
        raise InvalidInput(
            f"the folder's network was forked at epoch {found.epoch}, not at {requested.epoch}: "
            f"omit the epoch, or name another folder"
        )
    requested.check_chain_id(found.chain_id)


def find_fork_point(requested: ForkSource) -> ForkPoint:
    """Read the tipset at an epoch (or the one before a null round) and the state after it from a node.

    Raises UnfitNode, and InvalidInput for an epoch that the node has not reached.
    """
    if requested.transaction is not None:
        raise InvalidInput(
            "a fork under Filecoin's rules begins after a tipset, not after a transaction: name an epoch"
        )
    if requested.options.offline:
        return _cached_fork_point(requested)
    with as_unfit_node(), NodeClient(requested.url, options=requested.options, on_wait=requested.on_wait) as client:
        try:
            point = _read_fork_point(client, requested)
            _cache_fork_point(point, requested)
            return point
        except (KeyError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise NodeError(
                f"{redacted_url(requested.url)} returned a malformed response ({error!r}): is it a Filecoin node?"
            ) from None


def _cache_fork_point(point: ForkPoint, requested: ForkSource) -> None:
    """Cache a fork point under the requested epoch and its own. The URL, which may contain a token, is left out."""
    data = replace(point, url="").entries()[_FORK]
    assert data is not None
    with closing(requested.cache(point.chain_id)) as cache:
        for epoch in (requested.epoch, point.epoch):
            cache.put(NODE, _POINT.format(epoch), data.hex())


def has_cached_tipset(source: ForkSource) -> bool:
    """Return True if the fork point of a source is cached."""
    try:
        _cached_fork_point(source)
    except UnfitNode:
        return False
    return True


def _cached_fork_point(requested: ForkSource) -> ForkPoint:
    """Return the fork point that was cached for the requested epoch. Raises UnfitNode."""
    chain_id = cached_chain_id(requested.url) if requested.chain_id is None else requested.chain_id
    at = "the newest tipset" if requested.epoch is None else f"the tipset at epoch {requested.epoch}"
    with as_unfit_node():
        if chain_id is None:
            raise NotCached(redacted_url(requested.url), at)
        entry = NODE, _POINT.format(requested.epoch)
        with closing(requested.cache(chain_id)) as cache:
            data = cache.get(*entry)
            if data is None:
                raise NotCached(redacted_url(requested.url), at, cache.missing(*entry))
    return replace(_decoded_point(bytes.fromhex(data)), url=requested.url)


def _read_fork_point(client: NodeClient, requested: ForkSource) -> ForkPoint:
    head = tipset = _head(client, requested)
    epoch = None if requested.epoch is None else requested.number_at(number(head["Height"]))
    if epoch is not None:
        tipset = client.request("Filecoin.ChainGetTipSetByHeight", epoch, head["Cids"])
    height, cids, block = number(tipset["Height"]), tipset["Cids"], tipset["Blocks"][0]
    if height == head["Height"]:
        state = client.request("Filecoin.StateCompute", height, None, cids)["Root"]
        next_fee = quantity(client.request("eth_feeHistory", "0x1", hex(height), [])["baseFeePerGas"][-1])
    else:
        child = client.request("Filecoin.ChainGetTipSetAfterHeight", height + 1, head["Cids"])["Blocks"][0]
        state, next_fee = child["ParentStateRoot"], amount(child["ParentBaseFee"])
    return ForkPoint(
        url=client.url,
        epoch=height if epoch is None else epoch,
        height=ChainEpoch(height),
        blocks=tipset_blocks(tipset),
        timestamp=number(block["Timestamp"]),
        base_fee=amount(block["ParentBaseFee"]),
        next_base_fee=TokenAmount(next_fee),
        state=cid_of_json(state),
        network=number(client.request("Filecoin.StateNetworkVersion", cids)),
        chain_id=number(quantity(client.request("eth_chainId"))) if requested.chain_id is None else requested.chain_id,
        name=text(client.request("Filecoin.StateNetworkName")),
        vested=amount(client.request("Filecoin.StateVMCirculatingSupplyInternal", cids)["FilVested"]),
        rules=_rules(client),
    )


def _rules(client: NodeClient) -> str:
    """Return the rules of the node's network: with the labs that it reports, else Filecoin's."""
    try:
        name = client.request("hypervisor_rules")
    except NodeError as error:
        if not error.answered:
            raise
        return FILECOIN  # not a `hypervisor node`
    if name != FILECOIN and name in rule_names():
        raise InvalidInput(
            f"{client.name} is of a network under the rules '{name}', and this fork is under Filecoin's: fork it with "
            "--rules ethereum, which reads accounts and slots of any Ethereum node"
        )
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return FILECOIN
    try:
        return canonical_rules(name)
    except InvalidInput as error:
        raise InvalidInput(f"{client.name} is of a network under the rules '{name:.100}': {error}") from None


def _head(client: NodeClient, requested: ForkSource) -> Any:
    try:
        return client.request("Filecoin.ChainHead")
    except NodeError as error:
        if not error.is_unknown_method:
            raise
        raise NodeError(
            f"{redacted_url(requested.url)} cannot be forked: it does not answer Filecoin.ChainHead ({error}). "
            "A fork under Filecoin's rules needs a Filecoin node, such as Lotus or `hypervisor node`; fork any other "
            "Ethereum node with --rules ethereum",
            error.data,
            code=error.code,
            answered=True,
        ) from None


class Origin:
    """The forked node of a network, for blocks and for the past.

    Without a URL there is no node. Responses about the past are stored in the fork's store, so that executed tipsets
    can be re-executed without the node.
    """

    def __init__(
        self,
        point: ForkPoint,
        store: Store,
        client: NodeClient | None = None,
        options: RequestOptions = FORK_REQUESTS,
        cache: ResponseCache | None = None,
    ) -> None:
        """Create the origin. A given `client` is closed by its owner; otherwise the origin opens one with `cache`."""
        self.point, self.options = point, options
        self._store = store
        self._own = NodeClient(point.url, options=options) if client is None and point.url else None
        if self._own is not None and cache is not None:
            self._own.cache = cache
        self._client = self._own if client is None else client

    def block(self, cid: Cid) -> bytes | None:
        """Request the bytes of a CID from the node; None if it does not have them. Raises RemoteUnavailable."""
        if self._client is None:
            return None
        return read_block(self._client, cid)

    def tipset_cid(self, epoch: int) -> Cid:
        """Return the CID of the key of the tipset at an epoch or before it. Raises ExternError."""
        cached = self._cached("tipset", epoch, "Filecoin.ChainGetTipSetByHeight", key_of)
        return Cid(cached)

    def state_root(self, epoch: int) -> Cid:
        """Return the state root after the tipset at an epoch or before it. Raises ExternError."""
        return Cid(self._cached("state", epoch + 1, "Filecoin.ChainGetTipSetAfterHeight", parent_state_of))

    def chain_randomness(self, epoch: int) -> bytes:
        """Return the tickets' digest of an epoch. Raises ExternError."""
        return self._cached("chain", epoch, "Filecoin.StateGetRandomnessDigestFromTickets", digest)

    def beacon_randomness(self, epoch: int) -> bytes:
        """Return the beacon's digest of an epoch. Raises ExternError."""
        return self._cached("beacon", epoch, "Filecoin.StateGetRandomnessDigestFromBeacon", digest)

    def _cached(self, kind: str, epoch: int, method: str, read: Any) -> bytes:
        key = _ANSWER + f"{kind}/{epoch}".encode()
        known = self._store.index(key)
        if known is not None:
            return known
        if self._client is None:
            raise ExternError(f"epoch {epoch} is before the start of this network, which has no node to query")
        cache, entry = self._client.cache, (show(self.point.key), f"{kind}/{epoch}")
        cached = cache.get(*entry)
        if cached is not None:
            return bytes.fromhex(cached)
        try:
            response = bytes(
                read(self._client.request(method, epoch, [cid_json(block) for block in self.point.blocks]))
            )
        except NotCached:
            what = f"the {_KINDS[kind]} of epoch {epoch}"
            raise ExternError(str(NotCached(self._client.name, what, cache.missing(*entry)))) from None
        except (NodeError, KeyError, TypeError, ValueError) as error:
            raise ExternError(
                f"epoch {epoch} is before the fork, and the forked node does not respond: {error}"
            ) from None
        cache.put(*entry, response.hex())
        self._store.commit((), {}, {key: response})
        return response

    def close(self) -> None:
        """Close the connection if it is the origin's own."""
        if self._own is not None:
            self._own.close()
