"""Where a search leads: to the page of what its text names, or to a list of what has that name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import quote

from actors.schemas import NAMES
from bridge.actor_schemas import methods
from bridge.addresses import eth_address, to_filecoin
from hypervisor.address import Address
from hypervisor.errors import AddressError
from hypervisor.types import ActorID
from localnet.chain.logs import LogFilter, logs_in
from localnet.explorer.answers import PageAnswer, PageRequest, malformed, shown
from localnet.explorer.message_rows import MOST_TIPSETS, tipsets_back
from localnet.explorer.site import Site
from localnet.rpc.filecoin_chain import receipt_of
from localnet.rpc.node import NodeReader
from store.cid import RAW, Cid, CidError, codec_of, parse_cid, show

_LONGEST: Final = 200
_MOST_FOUND: Final = 50
_MOST_ACTORS: Final = 20_000
"""Actors of a state that are looked through for a code or a name."""
_HEX: Final = re.compile(r"0x[0-9a-fA-F]*")
_ADDRESS: Final = re.compile(r"[ft][0-4][0-9a-z]+")


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page that fits a search: its address, its name, and what it is."""

    place: str
    name: str
    what: str


def show_search(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """A redirection to the one page that fits, else the list of those that do."""
    text = request.query.get("q", "")
    if len(text) > _LONGEST:
        raise malformed(f"the search has {len(text):,} characters, at most {_LONGEST} are read")
    found = list(islice(_found(reader, text), _MOST_FOUND)) if text else []
    if len(found) == 1:
        return PageAnswer(b"", 302, place=found[0].place)
    status = 200 if found or not text else 404
    return PageAnswer(site.page(reader, "search.html", text=text, found=found, looked_at=MOST_TIPSETS), status)


def _found(reader: NodeReader, text: str) -> Iterator[FoundPage]:
    if text.isascii() and text.isdigit():
        yield from _epoch(reader, text)
    elif _HEX.fullmatch(text):
        yield from _BY_LENGTH.get(len(text), _nothing)(reader, bytes.fromhex(text[2:]) if len(text) % 2 == 0 else b"")
    elif _ADDRESS.fullmatch(text):
        yield from _address(text)
    else:
        try:
            cid = parse_cid(text)
        except CidError:
            yield from _by_name(reader, text)
        else:
            yield from _by_cid(reader, cid)


def _nothing(reader: NodeReader, data: bytes) -> Iterator[FoundPage]:  # noqa: ARG001
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
        raise malformed(f"{shown(text)} is not an address: {error}") from None
    yield FoundPage(f"/actor/{address}", str(address), "actor")


def _ethereum_address(reader: NodeReader, data: bytes) -> Iterator[FoundPage]:  # noqa: ARG001
    yield FoundPage(f"/actor/0x{data.hex()}", str(to_filecoin(eth_address(data))), "actor")


def _hash(reader: NodeReader, data: bytes) -> Iterator[FoundPage]:
    """A transaction, a block, or the topic of events."""
    network = reader.network
    if network.find_receipt(data) is not None or network.mempool.get(data) is not None:
        yield FoundPage(f"/tx/0x{data.hex()}", f"0x{data.hex()}", "message")
        return
    block = network.chain.index.by_hash(data)
    if block is not None:
        yield FoundPage(f"/epoch/{block.height}", str(block.height), "epoch")
        return
    wanted = [LogFilter(topics=((),) * place + ((data,),)) for place in range(4)]
    for tipset in tipsets_back(network.chain.index, network.settled.height, MOST_TIPSETS):
        for each in wanted:
            for receipt, place, emitted in logs_in(network.chain.index, tipset, each):
                what = f"log {place} of 0x{emitted.address.hex()} at epoch {tipset.height}"
                yield FoundPage(f"/tx/0x{receipt.hash.hex()}#events", f"0x{receipt.hash.hex()}", what)


_BY_LENGTH: Final[dict[int, Callable[[NodeReader, bytes], Iterator[FoundPage]]]] = {42: _ethereum_address, 66: _hash}


def _by_cid(reader: NodeReader, cid: Cid) -> Iterator[FoundPage]:
    """A message, a block of the chain or of the store, or the actors of a code."""
    machine = reader.network.machine
    if receipt_of(reader, cid) is not None:
        yield FoundPage(f"/message/{show(cid)}", show(cid), "message")
        return
    name = machine.manifest.name_of(cid)
    for actor, state in islice(machine.state_tree.actors(), _MOST_ACTORS if codec_of(cid) == RAW else 0):
        if state.code == cid:
            yield FoundPage(f"/actor/f0{actor}", f"f0{actor}", name or "actor of this code")
    if machine.store.has(cid):
        yield FoundPage(f"/block/{show(cid)}", show(cid), f"code of {name}" if name else "block")


def _by_name(reader: NodeReader, text: str) -> Iterator[FoundPage]:
    """Built-in actors by their name, or by that of a method."""
    wanted = text.casefold()
    for actor, state in islice(reader.network.machine.state_tree.actors(), _MOST_ACTORS):
        kind = reader.network.machine.manifest.name_of(state.code) or ""
        if kind == wanted:
            yield FoundPage(f"/actor/f0{actor}", f"f0{actor}", kind)
    for kind in NAMES:
        named = {number: method.name for number, method in methods(kind).items() if method.name.casefold() == wanted}
        if named:
            what = f"method {' or '.join(map(str, sorted(named)))}"
            yield FoundPage(f"/search?q={quote(kind)}", f"{kind}.{next(iter(named.values()))}", what)
