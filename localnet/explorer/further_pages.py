"""Routes of all pages except the home page, and the pages of changes, controls and test vectors.

They are imported after the first response, or when first requested.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from hypervisor.versions.network_versions import versions_after
from localnet.explorer.actors import show_actor, show_actors, show_call_forms, show_proof, show_source, show_state
from localnet.explorer.comparison import show_compared_call, show_comparison
from localnet.explorer.epochs import show_block, show_epoch
from localnet.explorer.messages import (
    requested_receipt,
    show_call,
    show_call_data,
    show_calls_picture,
    show_copy_text,
    show_cron,
    show_cron_call,
    show_flame,
    show_message,
    show_message_by_cid,
)
from localnet.explorer.search import show_search
from localnet.explorer.site import (
    DeferredResponse,
    MakeVector,
    NoVector,
    PageError,
    PageRequest,
    PageResponse,
    Site,
    collected_text,
    not_found,
    page_route,
    parse_number,
)
from localnet.ledger.records import GENESIS_PARENT, Tipset
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import NodeReader
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.state_differences import StateChange, state_differences
from localnet.traces.changes import message_changes
from store.blockstore import Blockstore
from store.cid import Cid

MAX_CHANGES: Final = 500
"""Maximum number of differences on one page."""


def show_message_changes(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Render the state changes of a message, by re-execution."""
    receipt = requested_receipt(reader, request)
    found = list(islice(message_changes(reader.network.chain, receipt), MAX_CHANGES + 1))
    hash_ = f"0x{receipt.hash.hex()}"
    return _page(site, reader, found, title=f"message {hash_}", back=f"/tx/{hash_}", since=None, epoch=None)


def show_epoch_changes(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Render the state changes of an epoch, or of all epochs since another one."""
    tipset = _tipset(reader, parse_number(request.path_params["epoch"], "the epoch"))
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
) -> PageResponse:
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
    return PageResponse(site.page(reader, "changes.html", **names))


def _differences(reader: NodeReader, store: Blockstore, before: Cid, after: Cid) -> list[StateChange]:
    schemas = StoredSchemas(reader.network.machine.base, store)
    return list(islice(state_differences(store, before, after, schemas), MAX_CHANGES + 1))


def _tipset(reader: NodeReader, height: int) -> Tipset:
    index, head = reader.network.chain.index, reader.network.head.height
    found = index.tipset_before(height) if height <= head else None
    if found is None:
        raise not_found(f"epoch {height} is not on this chain, whose head is {head}")
    if found.height < index.retained:
        raise not_found(collected_text(height, index.retained))
    return found


@dataclass(frozen=True, slots=True)
class ControlField:
    """A parameter: its label, its input type (`number`, `fil` or `text`), and its initial value."""

    label: str
    kind: str
    value: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """A method with its parameters; its result becomes the initial value of the input `result_input`."""

    title: str
    method: str
    fields: tuple[ControlField, ...] = ()
    result_input: str = ""


_CONTROLS: Final = (
    Control("Mine blocks", "anvil_mine", (ControlField("blocks", "number", "1"),)),
    Control("Mine after null rounds", "hypervisor_mineAfterNullRounds", (ControlField("null rounds", "number", "5"),)),
    Control("Increase the time", "evm_increaseTime", (ControlField("seconds", "number", "86400"),)),
    Control("Time of the next block", "evm_setNextBlockTimestamp", (ControlField("Unix seconds", "number"),)),
    Control("Take a snapshot", "evm_snapshot", result_input="snapshot"),
    Control("Revert to a snapshot", "evm_revert", (ControlField("snapshot", "text", "0x1"),)),
    Control("Set a balance", "anvil_setBalance", (ControlField("address", "text"), ControlField("FIL", "fil", "100"))),
    Control("Impersonate an address", "anvil_impersonateAccount", (ControlField("address", "text"),)),
    Control("Stop impersonating", "anvil_stopImpersonatingAccount", (ControlField("address", "text"),)),
)


def show_controls(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the page of node controls."""
    controls = list(_CONTROLS)
    later = tuple(str(row.number) for row in versions_after(reader.network.version, reader.network.overlay))
    if later and not reader.network.rules.hardfork:
        field = ControlField("network version", "number", later[0], later)
        controls.append(Control("Upgrade the network", "hypervisor_upgrade", (field,)))
    return PageResponse(site.page(reader, "controls.html", controls=controls))


_JSON = "application/json"


def show_vector(site: Site, reader: NodeReader, request: PageRequest) -> DeferredResponse:
    """Return the test vector of a message in the official format. Building it sends requests to this node."""
    receipt = requested_receipt(reader, request)
    if not site.makes_vectors(reader):
        raise PageError(
            404, "Not found", "this node cannot create vectors: use `hypervisor extract` on the chain's folder"
        )
    assert site.vectors is not None, "the site can create vectors"
    return DeferredResponse(partial(_vector_response, site.vectors, f"0x{receipt.hash.hex()}"))


def _vector_response(vectors: MakeVector, wanted: str) -> PageResponse:
    try:
        return PageResponse(vectors(wanted).encode(), content_type=_JSON)
    except NoVector as error:
        raise PageError(404, "No vector", str(error)) from None


_TRACE: Final = QueryKind.TRACE
ROUTES: Final = (
    page_route(r"/search", show_search),
    page_route(r"/actor/(?P<address>[^/]*)", show_actor),
    page_route(r"/actor/(?P<address>[^/]*)/state(?P<path>/.*)?", show_state),
    page_route(r"/actor/(?P<address>[^/]*)/proof(?P<path>/.*)?", show_proof),
    page_route(r"/actor/(?P<address>[^/]*)/call", show_call_forms),
    page_route(r"/actor/(?P<address>[^/]*)/source", show_source),
    page_route(r"/controls", show_controls),
    page_route(r"/comparison", show_comparison),
    page_route(r"/comparison/(?P<number>[^/]*)", show_compared_call),
    page_route(r"/actors", show_actors),
    page_route(r"/tx/(?P<hash>[^/]*)", show_message, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/calls\.svg", show_calls_picture, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/flame\.svg", show_flame, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/call/(?P<number>[^/]*)", show_call, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/call/(?P<number>[^/]*)/(?P<what>params|return)", show_call_data, _TRACE),
    page_route(r"/tx/(?P<hash>[^/]*)/changes", show_message_changes, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)/changes", show_epoch_changes),
    page_route(r"/tx/(?P<hash>[^/]*)/again/(?P<name>[^/]*)", show_copy_text),
    page_route(r"/tx/(?P<hash>[^/]*)/vector\.json", show_vector),
    page_route(r"/message/(?P<cid>[^/]*)", show_message_by_cid, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)", show_epoch),
    page_route(r"/epoch/(?P<epoch>[^/]*)/cron", show_cron, _TRACE),
    page_route(r"/epoch/(?P<epoch>[^/]*)/cron/call/(?P<number>[^/]*)", show_cron_call, _TRACE),
    page_route(r"/block/(?P<cid>[^/]*)", show_block),
)
