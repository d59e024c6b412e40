"""Search by name: built-in actors and their methods, and functions and events of known contracts.

A function's results are the contracts that have it and the newest messages that call it. An event's results are its
newest logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final
from urllib.parse import quote

from bridge.actors.schemas import methods
from bridge.ethereum.addresses import to_ethereum
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import INVOKE_EVM, calldata_of
from hypervisor.builtin_actors.schemas import NAMES
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from localnet.chain.finding import TipsetSearch, receipts_back, tipsets_back
from localnet.chain.logs import LogFilter, logs_in
from localnet.explorer.responses import FoundPage
from localnet.explorer.site import Site
from localnet.ledger.address_keys import topic_key
from localnet.rpc.node import NodeReader
from localnet.state.contract_state import contract_state
from store.cid import CBOR, Cid

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
    calls = (each for each in every if _selector(each.execution.message.message) in selectors)
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
    code = machine.manifest.code(wanted) if wanted in NAMES else None
    for actor, state in islice(machine.state_tree.actors(), MAX_ACTORS if code is not None else 0):
        if state.code == code:
            named = site.name_of(to_ethereum(actor, state.delegated_address))
            yield FoundPage(f"/actor/f0{actor}", f"f0{actor}", f"{wanted} {named}".rstrip())
    for kind in NAMES:
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
