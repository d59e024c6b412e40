"""The search by key, number, name, selector and topic: redirects to the page that a text names, or lists the matches.

Names are those of built-in actors and their methods, and of functions and events of known contracts. A function's
results are the contracts that have it and the newest messages that call it. An event's results are its newest logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final
from urllib.parse import quote

from bridge.actors.schemas import methods
from bridge.ethereum.addresses import eth_address, to_ethereum, to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import calldata_of
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import ActorID
from localnet.chain.logs import MAX_TIPSETS, LogFilter, TipsetSearch, logs_in, receipts_back, tipsets_back
from localnet.explorer.epochs import find_forked
from localnet.explorer.site import FoundPage, PageRequest, PageResponse, Site, malformed
from localnet.ledger.address_index import topic_key
from localnet.rpc.filecoin.chain import receipt_of
from localnet.rpc.node import NodeReader
from localnet.state.controls import contract_state
from store.cid import CBOR, RAW, Cid, CidError, codec_of, parse_cid, show

MAX_ACTORS: Final = 5_000
"""Maximum number of actors searched for a code or a name."""
_MAX_MESSAGES: Final = 25
_TOPICS: Final = 4
_SELECTOR: Final = 4


def by_name(site: Site, reader: NodeReader, text: str) -> Iterator[FoundPage]:
    """Search actors and contracts by name, built-in actors by method, and functions and events also by signature."""
    yield from _built_in(site, reader, text)
    yield from _contracts(site, reader, text)
    interfaces = list(chain(site.interfaces(), site.compiled_interfaces()))
    selectors = {selector for each in interfaces for selector in each.interface.selectors(text)}
    if selectors:
        yield from by_selector(site, reader, selectors)
    for topic in sorted({topic for each in interfaces for topic in each.interface.topics(text)}):
        yield from by_topic(reader, topic)


def by_selector(site: Site, reader: NodeReader, selectors: set[bytes]) -> Iterator[FoundPage]:
    """Yield the contracts that have a function, and the newest messages that call it."""
    for each in site.interfaces():
        for selector in sorted(selectors):
            function = each.interface.function_name(selector)
            if function is not None and each.address:
                yield FoundPage(
                    f"/actor/{each.address}/call", f"{each.name}.{function}", f"function 0x{selector.hex()}"
                )
    index, head = reader.network.chain.index, reader.network.executed_head.height
    every = (receipt for tipset in tipsets_back(index, head) for receipt in receipts_back(index, tipset))
    calls = (each for each in every if _selector(each.candidate.bare) in selectors)
    for receipt in islice(calls, _MAX_MESSAGES):
        hash_ = f"0x{receipt.hash.hex()}"
        yield FoundPage(f"/tx/{hash_}", hash_, f"message that calls it, at epoch {receipt.block_number}")


def by_topic(reader: NodeReader, topic: bytes) -> Iterator[FoundPage]:
    """Yield the messages that logged a topic, newest first."""
    network = reader.network
    index = network.chain.index
    filters = [LogFilter(topics=((),) * position + ((topic,),)) for position in range(_TOPICS)]
    for tipset in TipsetSearch(index, reader.addresses, (topic_key(topic),)).back(network.executed_head.height):
        for each in filters:
            for receipt, position, emitted in logs_in(index, tipset, each):
                what = f"log {position} of 0x{emitted.address.hex()} at epoch {tipset.height}"
                yield FoundPage(f"/tx/0x{receipt.hash.hex()}#events", f"0x{receipt.hash.hex()}", what)


def _contracts(site: Site, reader: NodeReader, text: str) -> Iterator[FoundPage]:
    """Find contracts by name, as registered on the network or as compiled."""
    wanted, machine, known = text.casefold(), reader.network.machine, set[str]()
    for each in site.interfaces():
        if each.address and each.name.casefold() == wanted:
            known.add(each.address)
            yield FoundPage(f"/actor/{each.address}", each.name, f"contract at {each.address}")
    if not any(each.name.casefold() == wanted for each in site.compiled_interfaces()):
        return
    names: dict[Cid, str] = {}
    for actor, state in islice(machine.state_tree.actors(), MAX_ACTORS):
        contract = contract_state(machine, state)
        code = None if contract is None else contract.bytecode
        address = f"0x{to_ethereum(actor, state.delegated_address).hex()}"
        if code is None or address in known:
            continue
        if code not in names:
            names[code] = site.compiled_name(machine, Address.id(actor))
        if names[code].casefold() == wanted:
            yield FoundPage(f"/actor/{address}", names[code], f"contract at {address}")


def _built_in(site: Site, reader: NodeReader, text: str) -> Iterator[FoundPage]:
    wanted, machine = text.casefold(), reader.network.machine
    code = machine.manifest.code(wanted) if wanted in ACTOR_NAMES else None
    for actor, state in islice(machine.state_tree.actors(), MAX_ACTORS if code is not None else 0):
        if state.code == code:
            named = site.name_of(to_ethereum(actor, state.delegated_address))
            yield FoundPage(f"/actor/f0{actor}", f"f0{actor}", f"{wanted} {named}".rstrip())
    for kind in ACTOR_NAMES:
        numbers = {number: method.name for number, method in methods(kind).items() if method.name.casefold() == wanted}
        if numbers:
            what = f"method {' or '.join(map(str, sorted(numbers)))}"
            yield FoundPage(f"/search?q={quote(kind)}", f"{kind}.{next(iter(numbers.values()))}", what)


def _selector(message: Message) -> bytes:
    """Return the function selector of a contract call; empty for any other message."""
    if message.method != INVOKE_EVM or not message.params:
        return b""
    try:
        return calldata_of(CBOR, message.params)[:_SELECTOR]
    except ParamsError:
        return b""


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
