"""The home page: newest tipsets, null rounds and messages, fees, and planned upgrades."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from fvm_hypervisor.explorer.answers import PageAnswer, PageRequest
from fvm_hypervisor.explorer.message_rows import RowBuilder
from fvm_hypervisor.explorer.site import Site
from hypervisor.network_versions import network_version
from localnet.chain.finding import MAX_TIPSETS, receipts_back, tipsets_back
from localnet.ledger.records import Tipset
from localnet.rpc.node import NodeReader

_TIPSETS: Final = 20
_MESSAGES: Final = 25


@dataclass(frozen=True, slots=True)
class TipsetRow:
    """A tipset, with the null rounds between it and its parent."""

    epoch: int
    timestamp: int
    messages: int
    null_rounds: int


@dataclass(frozen=True, slots=True)
class UpgradeRow:
    """A planned upgrade."""

    epoch: int
    version: int
    name: str


def tipset_row(tipset: Tipset, first: int) -> TipsetRow:
    """Return the row of a tipset."""
    parent = max(tipset.parent, first - 1)
    nulls = max(0, tipset.height - parent - 1)
    return TipsetRow(tipset.height, tipset.timestamp, len(tipset.transactions), nulls)


def show_home(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """Return the home page."""
    network = reader.network
    index, rows = network.chain.index, RowBuilder(site, reader)
    tipsets = [tipset_row(tipset, index.first) for tipset in tipsets_back(index, network.head.height, _TIPSETS)]
    newest = (each for tipset in tipsets_back(index, network.settled.height) for each in receipts_back(index, tipset))
    upgrades = [
        UpgradeRow(planned.epoch, planned.version, network_version(planned.version).name)
        for planned in network.chain.record.upgrades.planned
        if planned.epoch >= network.head.height
    ]
    return PageAnswer(
        site.page(
            reader,
            "home.html",
            tipsets=tipsets,
            messages=[rows.row(receipt) for receipt in islice(newest, _MESSAGES)],
            upgrades=upgrades,
            base_fee=network.base_fee,
            head=network.head,
            accounts=site.accounts(),
            looked_at=MAX_TIPSETS,
        )
    )
