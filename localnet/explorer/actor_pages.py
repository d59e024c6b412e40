"""The page of an actor: what it is, its addresses in every form, its balance, the messages that it sent and got."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import quote

from bridge.addresses import EthAddress, checksummed, from_delegated, masked_id
from hypervisor.address import Address
from hypervisor.errors import InvalidInput
from hypervisor.machine import Hypervisor
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID
from localnet.addresses import filecoin_address
from localnet.explorer.answers import PageAnswer, PageRequest, malformed, not_found, shown
from localnet.explorer.message_rows import MOST_TIPSETS, MessageRow, RowMaker, receipts_back, tipsets_back
from localnet.explorer.site import Site
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.node import NodeReader
from localnet.state.contract_state import contract_state
from store.blockstore import BlockNotFound, get_object
from store.codec import CodecError

_MESSAGES: Final = 25
_ACTORS: Final = 100
_KEYED: Final = ("account",)


@dataclass(frozen=True, slots=True)
class ActorRow:
    """An actor in a list. Balance in attoFIL."""

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
        """The ID address."""
        return Address.id(self.id)


def show_actor(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """The page of one actor, by any of its addresses."""
    actor = find_actor(reader.network.machine, request.named["address"])
    machine, rows = reader.network.machine, RowMaker(site, reader)
    ethereum = from_delegated(actor.state.delegated_address) or masked_id(actor.id)
    below = request.number("below", reader.network.settled.height + 1)
    messages, looked_to = _messages(reader, rows, actor, ethereum, below - 1)
    contract = contract_state(machine, actor.state) if actor.kind == "evm" else None
    return PageAnswer(
        site.page(
            reader,
            "actor.html",
            actor=actor,
            at=f"/actor/{quote(request.named['address'])}",
            title=rows.party(actor.address).name or actor.kind or "actor",
            forms=_forms(machine, actor, ethereum),
            contract=contract,
            messages=messages,
            below=None if below > reader.network.settled.height else below,
            older=looked_to,
        )
    )


def show_actors(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """The actors of the state, in the order of their IDs; of a large state in the order of its tree."""
    machine, rows = reader.network.machine, RowMaker(site, reader)
    first = request.number("first", 0, 1_000_000)
    found = list(islice(machine.state_tree.actors(), first, first + _ACTORS + 1))
    made = [_row(machine, rows, actor, state) for actor, state in sorted(found[:_ACTORS])]
    more = first + _ACTORS if len(found) > _ACTORS else None
    return PageAnswer(site.page(reader, "actors.html", actors=made, first=first, more=more, page=_ACTORS))


def find_actor(machine: Hypervisor, text: str) -> FoundActor:
    """An actor of a machine's state by an address in any form. Raises PageError."""
    try:
        address = filecoin_address(text)
    except InvalidInput as error:
        raise malformed(str(error)) from None
    actor = machine.state_tree.lookup_id(address)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        raise not_found(f"there is no actor {shown(text)} in the state of the newest epoch")
    return FoundActor(actor, state, machine.manifest.name_of(state.code) or "")


def _row(machine: Hypervisor, rows: RowMaker, actor: ActorID, state: ActorState) -> ActorRow:
    ethereum = from_delegated(state.delegated_address)
    return ActorRow(
        id=f"f0{actor}",
        kind=machine.manifest.name_of(state.code) or "actor",
        address="" if ethereum is None else checksummed(ethereum),
        name=rows.party(Address.id(actor)).name,
        balance=state.balance,
        nonce=state.nonce,
    )


def _forms(machine: Hypervisor, actor: FoundActor, ethereum: EthAddress) -> list[tuple[str, str]]:
    """The actor's addresses, each with what it is."""
    forms = [("ID", str(actor.address)), ("Ethereum", checksummed(ethereum))]
    if actor.state.delegated_address is not None:
        forms.append(("Delegated", str(actor.state.delegated_address)))
    if actor.kind in _KEYED:
        forms += [("Key", str(key)) for key in _key_of(machine, actor)]
    return forms


def _key_of(machine: Hypervisor, actor: FoundActor) -> Iterator[Address]:
    """An account's f1 or f3 address, which its state is."""
    try:
        (key,) = get_object(machine.store, actor.state.head)
        yield Address.from_bytes(key)
    except (BlockNotFound, CodecError, InvalidInput, TypeError, ValueError):
        return


def _messages(
    reader: NodeReader, rows: RowMaker, actor: FoundActor, ethereum: EthAddress, height: int
) -> tuple[list[MessageRow], int | None]:
    """An actor's newest messages up to a height, and the height below which older ones may be; None at the first."""
    index = reader.network.chain.index
    looked, found = 0, list[MessageRow]()
    lowest = height
    for tipset in tipsets_back(index, min(height, index.head), MOST_TIPSETS):
        looked, lowest = looked + 1, tipset.height
        if tipset.transactions:
            receipts = receipts_back(index, [tipset])
            found += [rows.row(each) for each in receipts if _concerns(rows, each, actor, ethereum)]
        if len(found) >= _MESSAGES:
            break
    return found, lowest if lowest > index.first and (looked == MOST_TIPSETS or len(found) >= _MESSAGES) else None


def _concerns(rows: RowMaker, receipt: TransactionReceipt, actor: FoundActor, ethereum: EthAddress) -> bool:
    done = receipt.execution
    if ethereum in (done.sender, done.to, receipt.contract_address):
        return True
    return actor.id in (rows.id_of(done.message.message.from_), rows.id_of(done.message.message.to))
