"""State changes of a message, an epoch or a range of epochs: actor, path, value before and after."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Final

from fvm_hypervisor.explorer.answers import PageAnswer, PageRequest, collected, not_found, parse_number
from fvm_hypervisor.explorer.messages import wanted_receipt
from fvm_hypervisor.explorer.site import Site
from localnet.ledger.records import GENESIS_PARENT, Tipset
from localnet.rpc.node import NodeReader
from localnet.state.named_code import stored_interface
from localnet.state.state_differences import StateChange, state_differences
from localnet.traces.changes import message_changes
from store.blockstore import Blockstore
from store.cid import Cid

MAX_CHANGES: Final = 500
"""Differences on one page."""


def show_message_changes(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """Render the state changes of a message, by re-execution."""
    receipt = wanted_receipt(reader, request)
    found = list(islice(message_changes(reader.network.chain, receipt), MAX_CHANGES + 1))
    hash_ = f"0x{receipt.hash.hex()}"
    return _page(site, reader, found, title=f"message {hash_}", back=f"/tx/{hash_}", since=None, epoch=None)


def show_epoch_changes(site: Site, reader: NodeReader, request: PageRequest) -> PageAnswer:
    """Render the state changes of an epoch, or of all epochs since another one."""
    tipset = _tipset(reader, parse_number(request.named["epoch"], "the epoch"))
    text = request.query.get("since", "")
    if not text and tipset.parent != GENESIS_PARENT:
        before, since = tipset.before, None
    else:
        since = _tipset(reader, parse_number(text or str(tipset.height), "the query's 'since'")).height
        before = _tipset(reader, since).state
    found = _differences(reader, reader.network.machine.store, before, tipset.state)
    title = f"epoch {tipset.height}" if since is None else f"epoch {tipset.height} since epoch {since}"
    return _page(site, reader, found, title=title, back=f"/epoch/{tipset.height}", since=since, epoch=tipset.height)


def _page(
    site: Site,
    reader: NodeReader,
    found: list[StateChange],
    *,
    title: str,
    back: str,
    since: int | None,
    epoch: int | None,
) -> PageAnswer:
    shown, more = found[:MAX_CHANGES], len(found) > MAX_CHANGES
    names = {
        "changes": shown,
        "more": more,
        "max_changes": MAX_CHANGES,
        "title": title,
        "back": back,
        "since": since,
        "epoch": epoch,
    }
    return PageAnswer(site.page(reader, "changes.html", **names))


def _differences(reader: NodeReader, store: Blockstore, before: Cid, after: Cid) -> list[StateChange]:
    interfaces = partial(stored_interface, reader.network.machine.base)
    return list(islice(state_differences(store, before, after, interfaces), MAX_CHANGES + 1))


def _tipset(reader: NodeReader, height: int) -> Tipset:
    index, head = reader.network.chain.index, reader.network.head.height
    found = index.tipset_before(height) if height <= head else None
    if found is None:
        raise not_found(f"epoch {height} is not on this chain, whose head is {head}")
    if found.height < index.retained:
        raise not_found(collected(height, index.retained))
    return found
