"""The page of an actor: its code, addresses, balance, and sent and received messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final
from urllib.parse import quote

from bridge.ethereum.addresses import EthAddress, checksummed, from_delegated, masked_id
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ARCHIVED, ARCHIVED_CODE, ActorState, archived_actor
from hypervisor.types import ActorID
from localnet.addresses import filecoin_address
from localnet.chain.finding import MAX_TIPSETS, TipsetSearch, receipts_back
from localnet.explorer.message_rows import EventRow, EventRows, MessageRow, RowBuilder
from localnet.explorer.responses import PageRequest, PageResponse, malformed, not_found, quote_value
from localnet.explorer.site import Site
from localnet.ledger.address_keys import emitter_key, message_key, native_key
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.node import NodeReader
from localnet.state.contract_state import contract_state
from store.blockstore import BlockNotFound, get_object
from store.codec import CodecError

_MESSAGES: Final = 25
_EVENTS: Final = 25
"""Minimum numbers of messages and of events on a page. The search ends at the tipset that reaches one of them."""
_MAX_EVENTS: Final = 200
"""Maximum number of events shown on one page."""
_ACTORS: Final = 100
"""Number of actors per page of the list."""
_KINDS_WITH_KEY: Final = ("account",)


@dataclass(frozen=True, slots=True)
class ActorRow:
    """A row in a list of actors. Balance in attoFIL."""

    id: str
    kind: str
    address: str
    name: str
    balance: int
    nonce: int


@dataclass(frozen=True, slots=True)
class FoundActor:
    """An actor of the state, by its ID."""

    id: ActorID
    state: ActorState
    kind: str

    @property
    def address(self) -> Address:
        return Address.id(self.id)


def show_actor(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of one actor, by any of its addresses."""
    actor = find_actor(reader.network.machine, request.path_params["address"])
    machine, rows = reader.network.machine, RowBuilder(site, reader)
    ethereum = from_delegated(actor.state.delegated_address) or masked_id(actor.id)
    keys = list(_key_of(machine, actor)) if actor.kind in _KINDS_WITH_KEY else []
    delegated = () if actor.state.delegated_address is None else (actor.state.delegated_address,)
    search = _ActivitySearch(reader, rows, actor, _ActorAddresses(ethereum, (actor.address, *delegated, *keys)))
    below = request.number("below", reader.network.executed_head.height + 1)
    found = search.activity(EventRows(site, rows), min(below - 1, reader.network.executed_head.height))
    contract = contract_state(machine, actor.state) if actor.kind == "evm" else None
    return PageResponse(
        site.page(
            reader,
            "actor.html",
            actor=actor,
            at=f"/actor/{quote(request.path_params['address'])}",
            title=rows.party(actor.address).name or _kind_of(machine, actor.state),
            forms=_address_rows(actor, ethereum, keys),
            contract=contract,
            source=None if contract is None else site.source_of(machine, actor.address),
            archived=archived_actor(machine.store, actor.state),
            messages=found.messages,
            events=found.events[:_MAX_EVENTS],
            more_events=max(0, len(found.events) - _MAX_EVENTS),
            below=None if below > reader.network.executed_head.height else below,
            older=found.older,
            indexed=reader.addresses is not None,
            looked_at=MAX_TIPSETS,
        )
    )


def show_actors(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the list of actors, sorted by ID within a page; pages follow the order of the state tree."""
    machine, rows = reader.network.machine, RowBuilder(site, reader)
    first = request.number("first", 0, 1_000_000)
    found = list(islice(machine.state_tree.actors(), first, first + _ACTORS + 1))
    made = [_row(machine, rows, actor, state) for actor, state in sorted(found[:_ACTORS])]
    more = first + _ACTORS if len(found) > _ACTORS else None
    return PageResponse(site.page(reader, "actors.html", actors=made, first=first, more=more, page=_ACTORS))


def find_actor(machine: Hypervisor, text: str) -> FoundActor:
    """Find an actor in a machine's state by an address in any form. Raises PageError."""
    try:
        address = filecoin_address(text)
    except InvalidInput as error:
        raise malformed(str(error)) from None
    actor = machine.state_tree.lookup_id(address)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        raise not_found(f"there is no actor {quote_value(text)} in the state of the newest epoch")
    return FoundActor(actor, state, machine.manifest.name_of(state.code) or "")


def _row(machine: Hypervisor, rows: RowBuilder, actor: ActorID, state: ActorState) -> ActorRow:
    ethereum = from_delegated(state.delegated_address)
    return ActorRow(
        id=f"f0{actor}",
        kind=_kind_of(machine, state),
        address="" if ethereum is None else checksummed(ethereum),
        name=rows.party(Address.id(actor)).name,
        balance=state.balance,
        nonce=state.nonce,
    )


def _kind_of(machine: Hypervisor, state: ActorState) -> str:
    return ARCHIVED if state.code == ARCHIVED_CODE else machine.manifest.name_of(state.code) or "actor"


def _address_rows(actor: FoundActor, ethereum: EthAddress, keys: Sequence[Address]) -> list[tuple[str, str]]:
    """Return the actor's addresses as (label, address)."""
    forms = [("ID", str(actor.address)), ("Ethereum", checksummed(ethereum))]
    if actor.state.delegated_address is not None:
        forms.append(("Delegated", str(actor.state.delegated_address)))
    return [*forms, *(("Key", str(key)) for key in keys)]


def _key_of(machine: Hypervisor, actor: FoundActor) -> Iterator[Address]:
    """Yield an account's f1 or f3 address, which is stored in its state."""
    try:
        (key,) = get_object(machine.store, actor.state.head)
        yield Address.from_bytes(key)
    except (BlockNotFound, CodecError, InvalidInput, TypeError, ValueError):
        return


@dataclass(slots=True)
class _Activity:
    """Activity of an actor in the searched tipsets, newest first.

    `older` is the height at which the next page starts, or None at the end of the chain.
    """

    messages: list[MessageRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    older: int | None = None


class _ActivitySearch:
    """A search for the messages and events of one actor."""

    def __init__(self, reader: NodeReader, rows: RowBuilder, actor: FoundActor, addresses: _ActorAddresses) -> None:
        self._reader, self._rows, self._actor, self._addresses = reader, rows, actor, addresses

    def activity(self, events: EventRows, height: int) -> _Activity:
        """Return the actor's newest messages and events, up to a height."""
        found, index = _Activity(), self._reader.network.chain.index
        search = TipsetSearch(index, self._reader.addresses, self._addresses.keys)
        for tipset in search.back(height):
            for receipt in receipts_back(index, tipset):
                if self._concerns(receipt):
                    found.messages.append(self._rows.row(receipt))
                emitted = list(enumerate(receipt.execution.events))
                found.events += [
                    events.row(receipt, index, event)
                    for index, event in reversed(emitted)
                    if event.emitter == self._actor.id
                ]
            if len(found.messages) >= _MESSAGES or len(found.events) >= _EVENTS:
                break
        if not search.ended and search.reached > index.first:
            found.older = search.reached
        return found

    def _concerns(self, receipt: TransactionReceipt) -> bool:
        done = receipt.execution
        if self._addresses.ethereum in (done.sender, done.to, receipt.contract_address):
            return True
        message = done.message.message
        return self._actor.id in (self._rows.id_of(message.from_), self._rows.id_of(message.to))


@dataclass(frozen=True, slots=True)
class _ActorAddresses:
    """The addresses of an actor: the Ethereum address and the Filecoin addresses."""

    ethereum: EthAddress
    natives: tuple[Address, ...]

    @property
    def keys(self) -> tuple[int, ...]:
        """Return the keys under which the address index stores the actor's messages and events."""
        natives = map(native_key, self.natives)
        return message_key(self.ethereum), emitter_key(self.ethereum), *natives
