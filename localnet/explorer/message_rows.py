"""Rows of message tables: sender, receiver, method, value and result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from bridge.actors.interfaces import Interface
from bridge.actors.schemas import actor_method, actor_schema
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import calldata_of
from hypervisor.kernel.call import NATIVE_TRAITS, CodeTraits
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import EAM_NAMESPACE, ActorID
from localnet.addresses import display_address
from localnet.contracts.named_interface import NamedInterface
from localnet.explorer.site import Site, show_address
from localnet.ledger.records import EmittedEvent, TransactionReceipt
from localnet.rpc.node import NodeReader
from localnet.rules.parts import exit_text
from localnet.state.actor_interfaces import StoredSchemas
from localnet.traces.trace_report import event_text
from store.blocks.memory import RemoteUnavailable
from store.cid import CBOR
from store.schema import Schema


@dataclass(frozen=True, slots=True)
class Party:
    """The sender or receiver of a message: its address as text, and its name if known."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """The row of a message. Value in attoFIL."""

    hash: str
    epoch: int
    index: int
    sender: Party
    receiver: Party | None
    method: str
    value: int
    gas: int
    failed: bool
    end: str


class RowBuilder:
    """Builds the message rows of a page, with one lookup for shared data."""

    def __init__(self, site: Site, reader: NodeReader) -> None:
        self._site, self._machine, self._rules = site, reader.network.machine, reader.network.rules
        self._parties: dict[Address, Party] = {}
        self._kinds: dict[Address, str] = {}
        self._traits: dict[Address, CodeTraits] = {}
        self._own: dict[Address, Interface | None] = {}
        self._ids: dict[Address, ActorID | None] = {}
        self._interfaces: Sequence[NamedInterface] | None = None

    def row(self, receipt: TransactionReceipt) -> MessageRow:
        message = receipt.candidate.bare
        created = receipt.contract_address
        receiver = None if receipt.candidate.to is None and created is None else message.to
        if created is not None:
            receiver = Address.delegated(EAM_NAMESPACE, created)
        text = exit_text(self._rules, receipt.exit_code, native=receipt.is_native) or receipt.exit_name
        return MessageRow(
            hash=f"0x{receipt.hash.hex()}",
            epoch=receipt.block_number,
            index=receipt.index,
            sender=self.party(message.from_),
            receiver=None if receiver is None else self.party(receiver),
            method="create contract" if receipt.candidate.to is None else self.method(message),
            value=message.value,
            gas=receipt.gas_used,
            failed=not receipt.succeeded,
            end="ok" if receipt.succeeded else text,
        )

    def party(self, address: Address) -> Party:
        """Return the sender or receiver of a message."""
        found = self._parties.get(address)
        if found is None:
            kind = self.kind(address) or self._own_name(address)
            named = self._site.name_of(self._ethereum(address)) or self._native_accounts.get(self.id_of(address), "")
            if not named and self.traits(address).is_contract and self._has_compiled:
                named = self._site.compiled_name(self._machine, address)
            plain = "" if kind in ("account", "ethaccount", "evm", "placeholder", "") else kind
            found = self._parties[address] = Party(show_address(address), named or plain)
        return found

    def party_of(self, address: Address, ethereum: EthAddress) -> Party:
        """Return an actor by the address that contracts see, with its name."""
        return Party(show_address(to_filecoin(ethereum)), self.party(address).name)

    @cached_property
    def _has_compiled(self) -> bool:
        """Return True if there are compiled contracts; changed folders are read again."""
        return bool(self._site.artifacts.contracts())

    @cached_property
    def _native_accounts(self) -> dict[ActorID | None, str]:
        """The node's accounts by the IDs of their f1 addresses."""
        natives = enumerate(self._site.native_accounts())
        return {found: f"account {index}" for index, each in natives if (found := self.id_of(each)) is not None}

    def id_of(self, address: Address) -> ActorID | None:
        """Return the actor ID at an address; None if there is no actor."""
        if address not in self._ids:
            self._ids[address] = self._machine.state_tree.lookup_id(address)
        return self._ids[address]

    def kind(self, address: Address) -> str:
        """Return the name of the built-in actor at an address; empty if there is none or it runs other code."""
        if address not in self._kinds:
            state = self._machine.actor(address)
            self._kinds[address] = "" if state is None else self._machine.manifest.name_of(state.code) or ""
        return self._kinds[address]

    def traits(self, address: Address) -> CodeTraits:
        """Return the properties of the code of the actor at an address.

        Without an actor, or if a forked node does not return the code, they are those of native code.
        """
        if address not in self._traits:
            state = self._machine.actor(address)
            self._traits[address] = NATIVE_TRAITS
            with suppress(RemoteUnavailable):
                self._traits[address] = NATIVE_TRAITS if state is None else self._machine.traits(state.code)
        return self._traits[address]

    def own_interface(self, address: Address) -> Interface | None:
        """Return the interface that a user's actor was installed with; None for any other actor."""
        if address not in self._own:
            state = None if self.kind(address) else self._machine.actor(address)
            self._own[address] = None if state is None else StoredSchemas.of_machine(self._machine)(state).interface()
        return self._own[address]

    def _own_name(self, address: Address) -> str:
        """Return the name of user-installed code; empty if there is no actor."""
        state = self._machine.actor(address)
        return "" if state is None else self._machine.name_of(state.code)

    def method(self, message: Message) -> str:
        """Return the name of the function or method that a message calls, or `method` and its number."""
        if message.method == INVOKE_EVM and (self.traits(message.to).speaks_abi or not message.params):
            return self._function(message)
        own = self.own_interface(message.to)
        known = actor_method(self.kind(message.to), message.method) if own is None else own.method_at(message.method)
        return f"method {message.method}" if known is None else known.name

    def _function(self, message: Message) -> str:
        try:
            calldata = calldata_of(CBOR, message.params) if message.params else b""
        except ParamsError:
            return "invoke"
        if len(calldata) < 4:
            return "Send" if not calldata else "fallback"
        if self._interfaces is None:
            self._interfaces = (*self._site.interfaces(), *self._site.compiled_interfaces())
        own = f"0x{self._ethereum(message.to).hex()}"
        ordered = sorted(self._interfaces, key=lambda each: each.address != own)
        names = (each.interface.function_name(calldata) for each in ordered)
        return next(filter(None, names), None) or f"0x{calldata[:4].hex()}"

    def _ethereum(self, address: Address) -> EthAddress:
        return display_address(self._machine, address)


@dataclass(frozen=True, slots=True)
class EventRow:
    """The row of an event. `hash` is the message's, `index` the number of the event in it."""

    emitter: Party
    words: str
    hash: str
    epoch: int
    index: int


class EventRows:
    """Builds the event rows of a page, with one lookup per interface."""

    def __init__(self, site: Site, rows: RowBuilder) -> None:
        self._site, self._rows = site, rows

    def row(self, receipt: TransactionReceipt, index: int, event: EmittedEvent) -> EventRow:
        emitter, text = Address.id(event.emitter), f"0x{event.address.hex()}"
        ordered = sorted(self._interfaces, key=lambda each: each.address != text)
        return EventRow(
            emitter=self._rows.party_of(emitter, event.address),
            words=event_text(self._schema(emitter), event.entries, ordered),
            hash=f"0x{receipt.hash.hex()}",
            epoch=receipt.block_number,
            index=index,
        )

    def _schema(self, emitter: Address) -> Schema:
        own = self._rows.own_interface(emitter)
        return actor_schema(self._rows.kind(emitter)) if own is None else own.schema

    @cached_property
    def _interfaces(self) -> Sequence[NamedInterface]:
        return [*self._site.interfaces(), *self._site.compiled_interfaces()]
