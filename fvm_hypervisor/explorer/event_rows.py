"""Rows of event tables: emitter, decoded event, and message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bridge.actor_schemas import actor_schema
from fvm_hypervisor.explorer.message_rows import Party, RowBuilder
from fvm_hypervisor.explorer.site import Site
from hypervisor.address import Address
from localnet.contracts.named_interface import NamedInterface
from localnet.ledger.records import Emitted, TransactionReceipt
from localnet.traces.decoded_calls import event_text
from store.schema import Schema


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

    def row(self, receipt: TransactionReceipt, index: int, event: Emitted) -> EventRow:
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
        return [*self._site.interfaces(), *self._site.compiled()]
