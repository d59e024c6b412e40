"""Search: redirects to the page that a text names, or lists the matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from bridge.ethereum.addresses import eth_address, to_filecoin
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from hypervisor.types import ActorID
from localnet.chain.finding import MAX_TIPSETS
from localnet.explorer.forked_pages import find_forked
from localnet.explorer.named_pages import MAX_ACTORS, by_name, by_selector, by_topic
from localnet.explorer.responses import FoundPage, PageRequest, PageResponse, malformed
from localnet.explorer.site import Site
from localnet.rpc.filecoin.chain import receipt_of
from localnet.rpc.node import NodeReader
from localnet.state.contract_state import contract_state
from store.cid import RAW, Cid, CidError, codec_of, parse_cid, show

_MAX_QUERY_LENGTH: Final = 200
_MAX_FOUND: Final = 50
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_ADDRESS: Final = re.compile(r"[ft][0-4][0-9a-z]+")


def show_search(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return a redirect to the only match, or else a list of matches."""
    text = request.query.get("q", "")
    if len(text) > _MAX_QUERY_LENGTH:
        raise malformed(f"the search has {len(text):,} characters, the limit is {_MAX_QUERY_LENGTH}")
    found = list(islice(_search(site, reader, text), _MAX_FOUND)) if text else []
    if len(found) == 1:
        return PageResponse(b"", 302, redirect_to=found[0].url)
    status = 200 if found or not text else 404
    return PageResponse(
        site.page(
            reader, "search.html", text=text, found=found, looked_at=MAX_TIPSETS, indexed=reader.addresses is not None
        ),
        status,
    )


def _search(site: Site, reader: NodeReader, text: str) -> Iterator[FoundPage]:
    if text.isascii() and text.isdigit():
        yield from _epoch(reader, text)
    elif _HEX.fullmatch(text):
        yield from _BY_LENGTH.get(len(text), _find_nothing)(
            site, reader, bytes.fromhex(text[2:]) if len(text) % 2 == 0 else b""
        )
    elif _ADDRESS.fullmatch(text):
        yield from _address(text)
    else:
        try:
            cid = parse_cid(text)
        except CidError:
            yield from by_name(site, reader, text)
        else:
            yield from _by_cid(reader, cid)


def _find_nothing(site: Site, reader: NodeReader, data: bytes) -> Iterator[FoundPage]:
    return iter(())


def _epoch(reader: NodeReader, text: str) -> Iterator[FoundPage]:
    if len(text) <= 18 and int(text) <= reader.network.head.height:
        yield FoundPage(f"/epoch/{int(text)}", text, "epoch")
    elif len(text) <= 18 and reader.network.machine.state_tree.get_actor(ActorID(int(text))) is not None:
        yield FoundPage(f"/actor/f0{int(text)}", f"f0{int(text)}", "actor")


def _address(text: str) -> Iterator[FoundPage]:
    try:
        address = Address.parse(text)
    except AddressError as error:
        raise malformed(f"invalid address: {error}") from None
    yield FoundPage(f"/actor/{address}", str(address), "actor")


def _ethereum_address(site: Site, reader: NodeReader, data: bytes) -> Iterator[FoundPage]:
    yield FoundPage(f"/actor/0x{data.hex()}", str(to_filecoin(eth_address(data))), "actor")


def _hash(site: Site, reader: NodeReader, data: bytes) -> Iterator[FoundPage]:
    """Yield the transaction or block with a hash, or else the messages that logged it as a topic.

    The forked node is queried last.
    """
    network = reader.network
    if network.find_executed(data) is not None or network.mempool.get(data) is not None:
        yield FoundPage(f"/tx/0x{data.hex()}", f"0x{data.hex()}", "message")
        return
    block = network.chain.index.by_hash(data)
    if block is not None:
        yield FoundPage(f"/epoch/{block.height}", str(block.height), "epoch")
        return
    logged = False
    for logged_by in by_topic(reader, data):
        logged = True
        yield logged_by
    forked = None if logged else find_forked(reader, data)
    if forked is not None:
        yield forked


def _short(site: Site, reader: NodeReader, data: bytes) -> Iterator[FoundPage]:
    """Yield the matches of a function selector."""
    return by_selector(site, reader, {data})


_ByLength = Callable[[Site, NodeReader, bytes], Iterator[FoundPage]]
_BY_LENGTH: Final[dict[int, _ByLength]] = {10: _short, 42: _ethereum_address, 66: _hash}


def _by_cid(reader: NodeReader, cid: Cid) -> Iterator[FoundPage]:
    """Yield the message or block with a CID, or the actors that run a code CID."""
    machine = reader.network.machine
    if receipt_of(reader, cid) is not None:
        yield FoundPage(f"/message/{show(cid)}", show(cid), "message")
        return
    name = machine.manifest.name_of(cid)
    for actor, state in islice(machine.state_tree.actors(), MAX_ACTORS if codec_of(cid) == RAW else 0):
        contract = None if name else contract_state(machine, state)
        if state.code == cid or (contract is not None and contract.bytecode == cid):
            yield FoundPage(f"/actor/f0{actor}", f"f0{actor}", name or "actor of this code")
    if machine.store.has(cid):
        yield FoundPage(f"/block/{show(cid)}", show(cid), f"code of {name}" if name else "block")
