"""The explorer as an ASGI application: routes a path to its view, and renders errors.

It serves GET and HEAD. A view runs on a query thread, like a JSON-RPC query, and is cancelled when the browser
disconnects. Hosts and origins are checked before (`localnet.rpc.server.clients`). Pages run one script, the explorer's
own, and load nothing from other hosts; the headers below let a browser enforce that.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.versions.network_versions import network_version_row
from localnet.chain.logs import MAX_TIPSETS, receipts_back, tipsets_back
from localnet.errors import UnknownBlock, UnknownTransaction
from localnet.explorer.message_rows import RowBuilder
from localnet.explorer.site import (
    ASSETS,
    DeferredResponse,
    PageError,
    PageRequest,
    PageResponse,
    PageRoute,
    Site,
    asset,
    malformed,
    not_found,
    page_route,
    render,
)
from localnet.ledger.records import Tipset
from localnet.rpc.errors import RpcError
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import NodeReader
from localnet.rpc.server.clients import cancel_on_disconnect
from localnet.rpc.server.executors import RunQuery
from store.blockstore import StoreError

_LOG = logging.getLogger(__name__)
_MAX_URL_LENGTH: Final = 4_096
"""Maximum length of a URL path with its query, in characters."""
_MAX_FIELDS: Final = 20
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PICTURE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""Content security policy of an SVG, which allows only inline styles."""
_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


_POOL_SIZE: Final = 2
"""Number of threads for responses that send requests to the node."""
_HOME_PATH: Final = "/"


class Pages:
    """The explorer's ASGI application."""

    def __init__(self, site: Site, run_query: RunQuery) -> None:
        self._site, self._run_query = site, run_query
        self._routes: tuple[PageRoute, ...] = ()
        """Routes of all pages except the home page, which are loaded after the first response."""
        self._loading: asyncio.Task[None] | None = None
        self._pool: ThreadPoolExecutor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, PageResponse(b"use GET, or POST at / for JSON-RPC\n", 405, "text/plain"), scope)
            return
        name = scope["path"].removeprefix("/assets/")
        if name in ASSETS and scope["path"] != f"/{name}":
            await _send(send, PageResponse(asset(name)[0], 200, ASSETS[name]), scope, forever=b"v=" in _query(scope))
            return
        if scope["path"] != _HOME_PATH and not self._routes:
            await self._load()
        await _send(send, await cancel_on_disconnect(receive, self._respond(scope)), scope)
        if not self._routes and self._loading is None:
            self._loading = asyncio.create_task(self._load())  # import while the query thread reads

    async def _load(self) -> None:
        """Import the other pages outside the event loop."""
        self._routes = await asyncio.to_thread(_load_routes)

    async def _respond(self, scope: Scope) -> PageResponse:
        try:
            request, route = _read(scope, (_HOME, *self._routes))
            made: PageResponse | DeferredResponse = await self._run_query(
                lambda reader: route.view(self._site, reader, request), route.kind
            )
            return await self._run_on_pool(made) if isinstance(made, DeferredResponse) else made
        except Exception as error:  # noqa: BLE001  # show any error as a page and keep serving
            return await self._error_page(_as_page_error(error))

    async def _run_on_pool(self, response: DeferredResponse) -> PageResponse:
        """Compute a response on a separate pool, because it sends queries to the node."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_POOL_SIZE, "explorer")
        return await asyncio.get_running_loop().run_in_executor(self._pool, response.make)

    async def _error_page(self, error: PageError) -> PageResponse:
        """Return an error page; it has no navigation if the chain cannot be read."""

        def page(reader: NodeReader) -> bytes:
            return self._site.page(reader, "error.html", title=error.title, text=error.text, status=error.status)

        try:
            body = await self._run_query(page, QueryKind.QUERY)
        except Exception:  # noqa: BLE001  # the store itself may have failed
            body = render("bare.html", title=error.title, text=error.text)
        return PageResponse(body, error.status)


def _read(scope: Scope, routes: tuple[PageRoute, ...]) -> tuple[PageRequest, PageRoute]:
    """Return the request and the route that matches it. Raises PageError."""
    path, query = scope["path"], _query(scope)
    if len(path) + len(query) > _MAX_URL_LENGTH:
        raise malformed(f"it has {len(path) + len(query):,} characters, the limit is {_MAX_URL_LENGTH:,}")
    for route in routes:
        found = route.pattern.fullmatch(path)
        if found is not None:
            return PageRequest(_url(scope), found.groupdict(default=""), _fields(query)), route
    raise not_found("there is no page at this address: use the search for epochs, messages, actors and blocks")


def _load_routes() -> tuple[PageRoute, ...]:
    from localnet.explorer.further_pages import ROUTES

    return ROUTES


def _url(scope: Scope) -> str:
    """Return the node's URL as the browser sees it, with unexpected characters removed from the host."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    return f"http://{''.join(char for char in (hosts or ['127.0.0.1'])[0] if char.isalnum() or char in '.:-[]')}"


def _query(scope: Scope) -> bytes:
    query: bytes = scope.get("query_string", b"")
    return query


def _fields(query: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise malformed(f"its query has more than {_MAX_FIELDS} fields") from None
    return {name: value.strip() for name, value in reversed(fields)}  # the first value of a name is used


def _as_page_error(error: Exception) -> PageError:
    """Return the error page of an exception; the details of a defect are only logged."""
    match error:
        case PageError():
            return error
        case UnknownTransaction() | UnknownBlock():
            return not_found(str(error))
        case InvalidInput():
            return malformed(str(error))
        case RpcError():
            return PageError(503, "The node could not respond", error.message)
        case StoreError() | HypervisorError():
            _LOG.error("a page could not be rendered: %s", error)
            return PageError(500, "This page cannot be shown", f"the chain's data could not be read: {error}")
        case _:
            _LOG.error("a page could not be rendered", exc_info=error)
            return PageError(500, "This page cannot be shown", f"a defect of the explorer: {type(error).__name__}")


async def _send(send: Send, response: PageResponse, scope: Scope, *, forever: bool = False) -> None:
    is_page = response.content_type.startswith("text/html")
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"max-age=31536000, immutable" if forever else b"no-store"),
        (b"content-security-policy", (_POLICY if is_page else _PICTURE_POLICY).encode()),
        *_SECURITY_HEADERS,
    ]
    if response.redirect_to is not None:
        headers.append((b"location", response.redirect_to.encode("ascii", "replace")))
    if response.status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})


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


def show_home(site: Site, reader: NodeReader, request: PageRequest) -> PageResponse:
    """Return the home page."""
    network = reader.network
    index, rows = network.chain.index, RowBuilder(site, reader)
    tipsets = [tipset_row(tipset, index.first) for tipset in tipsets_back(index, network.head.height, _TIPSETS)]
    newest = (
        each for tipset in tipsets_back(index, network.executed_head.height) for each in receipts_back(index, tipset)
    )
    upgrades = [
        UpgradeRow(planned.epoch, planned.version, network_version_row(planned.version, network.overlay).name)
        for planned in network.chain.record.upgrades.planned
        if planned.epoch >= network.head.height
    ]
    return PageResponse(
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


_HOME: Final = page_route(_HOME_PATH, show_home)
