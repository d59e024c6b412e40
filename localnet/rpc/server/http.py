"""JSON-RPC over HTTP: an ASGI application.

- POST at `/` and at Lotus' paths: JSON-RPC.
- GET at the paths of `localnet.rpc.server.status`.
- OPTIONS: preflight requests of browsers.
- WebSockets at the same paths: `localnet.rpc.server.websocket`.
- Everything else: the explorer's pages, if there are any.

A request that `localnet.rpc.server.clients` refuses gets status 403.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from localnet.rpc.errors import INVALID_REQUEST, LIMIT_EXCEEDED, RpcError
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.access import ANYBODY, CLIENT, Clients
from localnet.rpc.server.clients import Access, cancel_on_disconnect
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.server.status import status_routes
from localnet.rpc.server.websocket import Sockets

PATHS: Final = ("/", "/rpc/v0", "/rpc/v1")
"""Paths of Ethereum's methods and of Filecoin's API version 1."""
VERSION_2: Final = "/rpc/v2"
"""Path of Filecoin's API version 2 (`localnet.rpc.server.filecoin_v2`), over HTTP only."""
_JSON: Final = (b"content-type", b"application/json")
_READ_ON: Final = 64 << 20
"""Bytes of an oversized body that are read and discarded, since most clients read the response only after sending."""
MAKE_ROOM: Final = "hypervisor.room"
"""ASGI scope extension whose `make()` closes stalled connections earlier."""


def application(
    node: Node,
    dispatcher: Dispatcher,
    access: Access | None = None,
    pages: ASGIApp | None = None,
    metrics: Callable[[], bytes] | None = None,
    clients: Clients | None = None,
) -> ASGIApp:
    """Return the application over a node, for this machine and the hosts in `access`; `pages` handle other paths."""
    rpc, sockets = _RpcEndpoint(dispatcher, node.limits), Sockets(node, dispatcher)
    routes: list[BaseRoute] = [Route(path, rpc, methods=["POST"]) for path in PATHS]
    routes.append(Route(VERSION_2, _Version2(dispatcher, node.limits), methods=["POST"]))
    routes += status_routes(node, dispatcher.on_chain, metrics)
    if pages is not None:
        routes.append(Mount("/", pages))
    others = Starlette(routes=routes)

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch frequent requests directly: a router costs a fifth of their time."""
        if scope["type"] == "websocket":
            await _for_socket(sockets, scope["path"])(scope, receive, send)
            return
        straight = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in PATHS
        await (rpc if straight else others)(scope, receive, send)

    return _Guard(routed, access or Access(), clients or Clients())


def _for_socket(sockets: Sockets, path: str) -> ASGIApp:
    """Return the application that handles WebSocket handshakes."""
    if path not in PATHS:
        return JSONResponse({"error": f"nothing is served at {path}: use {', '.join(PATHS)}"}, status_code=404)
    if sockets.full:
        return JSONResponse({"error": "too many connections: close some, or try again later"}, status_code=503)
    return sockets


class _Guard:
    """Middleware that rejects other hosts, origins and unknown tokens, and responds to preflight requests."""

    def __init__(self, inner: ASGIApp, access: Access, clients: Clients) -> None:
        self._inner = inner
        self._access, self._clients = access, clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._inner(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origin = _header(scope, b"origin")
        refusals = (self._access.refusal(host, origin) for host in hosts or [""])
        refusal = next((refusal for refusal in refusals if refusal is not None), None)
        address = scope.get("client")
        client = self._clients.find(address[0] if address else "", scope["headers"], scope.get("query_string", b""))
        scope[CLIENT] = client
        if refusal is not None:
            await JSONResponse({"error": f"refused: {refusal}"}, status_code=403)(scope, receive, send)
        elif client is None:
            await JSONResponse({"error": "unknown token: pass one of the node's"}, status_code=401)(
                scope, receive, send
            )
        elif not client.may_send and scope.get("method", "GET") == "POST" and scope["path"] not in (*PATHS, VERSION_2):
            await JSONResponse({"error": "this requires the right 'write': pass a token"}, status_code=403)(
                scope, receive, send
            )
        elif origin is None or scope["type"] == "websocket":
            await self._inner(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_preflight(origin))(scope, receive, send)
        else:
            await self._inner(scope, receive, _with_origin(send, origin))


class _Version2:
    """The JSON-RPC endpoint of API version 2, which is loaded with the first request."""

    def __init__(self, dispatcher: Dispatcher, limits: NodeLimits) -> None:
        self._dispatcher, self._limits = dispatcher, limits
        self._endpoint: _RpcEndpoint | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._endpoint is None:
            from localnet.rpc.server.filecoin_v2 import V2MethodTable

            methods = V2MethodTable(self._dispatcher.methods)
            self._endpoint = _RpcEndpoint(self._dispatcher.with_methods(methods), self._limits)
        await self._endpoint(scope, receive, send)


class _RpcEndpoint:
    """The JSON-RPC endpoint: reads a body within the limits per request and in total, and sends the response."""

    def __init__(self, dispatcher: Dispatcher, limits: NodeLimits) -> None:
        self._dispatcher = dispatcher
        self._limit, self._max_held = limits.body, limits.held
        self._held = 0
        """Bytes of the bodies that arrive or are answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            refusal = await self._read(body, scope, receive)
            if refusal is None:
                response, status = (
                    await cancel_on_disconnect(
                        receive, self._dispatcher.dispatch(body, client=scope.get(CLIENT, ANYBODY))
                    ),
                    200,
                )
            else:
                status, error = refusal
                response = orjson.dumps({"jsonrpc": "2.0", "id": None, "error": error.as_json()})
        finally:
            self._held -= len(body)
        headers = [_JSON, (b"content-length", str(len(response)).encode())]
        if status != 200:
            headers.append((b"connection", b"close"))  # the rest of a body is not read, beyond _READ_ON or at all
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": response})

    async def _read(self, body: bytearray, scope: Scope, receive: Receive) -> tuple[int, RpcError] | None:
        """Return the body, None if the client disconnects while sending, or a status and an error if it is rejected."""
        too_large = 413, RpcError(INVALID_REQUEST, f"request exceeds {self._limit} bytes")
        declared = _header(scope, b"content-length") or ""
        length = int(declared) if declared.isdigit() else 0
        if length > _READ_ON or (length > self._limit and _header(scope, b"expect") is not None):
            return too_large
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                self._forget(body)
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > _READ_ON:
                return too_large
            if size > self._limit:
                self._forget(body)
            elif self._held + len(part) > self._max_held:
                _make_room(scope)
                text = f"requests of other clients hold {self._held} bytes, at most {self._max_held}: try again"
                return 503, RpcError(LIMIT_EXCEEDED, text)
            else:
                self._held += len(part)
                body += part
            more = message.get("more_body", False)
        return too_large if size > self._limit else None

    def _forget(self, body: bytearray) -> None:
        self._held -= len(body)
        body.clear()


def _make_room(scope: Scope) -> None:
    room = scope.get("extensions", {}).get(MAKE_ROOM)
    if room is not None:
        room["make"]()


def _header(scope: Scope, wanted: bytes) -> str | None:
    """Return a header of the request; servers pass names in lower case."""
    for name, value in scope["headers"]:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text
    return None


def _preflight(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "POST, GET, OPTIONS",
        "access-control-allow-headers": "content-type, authorization",
        "access-control-max-age": "86400",
        "vary": "origin",
    }


def _with_origin(send: Send, origin: str) -> Send:
    async def sender(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            assert isinstance(headers, list)
            headers += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]
        await send(message)

    return sender  # type: ignore[return-value]  # starlette wants a mutable mapping
