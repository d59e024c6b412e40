"""Request processing, from bytes to bytes: single requests, batches, notifications, errors.

Rules: JSON-RPC 2.0. Parameters are positional, as Ethereum's methods have them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import nullcontext, suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

from bridge.ethereum.transactions import BLOB
from localnet.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    NotYetAvailable,
    ReceiptPending,
    RpcError,
    from_exception,
    invalid_params,
)
from localnet.rpc.eth import transactions
from localnet.rpc.eth.history import HANDLERS, PASS, has_history
from localnet.rpc.method_table import MethodTable
from localnet.rpc.methods import Method, Preparation, QueryKind
from localnet.rpc.node import Node, NodeReader, NotInline
from localnet.rpc.requests import transaction as transaction_request
from localnet.rpc.server.access import ANYBODY, Client
from localnet.rpc.server.clients import REQUESTING_CLIENT
from localnet.rpc.server.logs import REQUESTS, log_request
from localnet.rpc.server.metrics import Requests
from localnet.rpc.server.worker import Done
from localnet.rpc.socket_methods import RequestOrder, SocketSession
from localnet.rpc.values import as_data, as_json, data, format_value
from store.blockstore import StoreError

Origin = tuple[Client, float]
"""The client of a request, and its arrival in seconds of `time.perf_counter`."""
RunOnChain = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on the chain's thread."""
CallOnChain = Callable[[Callable[[], bytes], Done], None]
"""Runs a function on the chain's thread; the event loop then calls `Done` with its result or error."""
RunQuery = Callable[[Callable[[NodeReader], Any], QueryKind], Awaitable[Any]]
"""Runs a query on a query thread with a `NodeReader`."""
Inline = Callable[[Callable[[NodeReader], Any]], Any]
"""Runs a short query on the event loop's thread. Raises NotInline if a query thread has to run it."""
AdmitInline = Callable[[Callable[[], bytes]], bytes]
"""Admits a transaction on the event loop's thread. Raises NotInline if the chain's thread has to."""

_ASK_AGAIN: Final = 0.05
"""Interval in seconds at which a missing result is polled."""
_BATCH_SLICE: Final = 0.005
"""Time in seconds after which a batch pauses, so that the event loop can run other requests."""

_SEND: Final = "eth_sendTransaction"
_SEND_RAW: Final = "eth_sendRawTransaction"
_LOG = logging.getLogger(__name__)


class Dispatcher:
    """Processes requests. Changes run on the chain's thread, one at a time.

    Queries are executed by `run_query`, short ones by `inline` if possible. If `run_query` is None, they also run on
    the chain's thread. `call_on_chain` starts changes that need no task. `admit_inline` admits transactions if it can.
    """

    def __init__(
        self,
        node: Node,
        on_chain: RunOnChain,
        run_query: RunQuery | None = None,
        inline: Inline | None = None,
        call_on_chain: CallOnChain | None = None,
        admit_inline: AdmitInline | None = None,
    ) -> None:
        self._node = node
        self.on_chain = on_chain
        self._run_query = run_query
        self._inline = inline
        self._call_on_chain = call_on_chain
        self._admit_inline = admit_inline
        self.methods = MethodTable()
        self.requests = Requests(self.methods)
        self._orders: WeakValueDictionary[Hashable, RequestOrder] = WeakValueDictionary()
        """Lock of each sender, while one of its HTTP requests is processed."""
        self._batched = 0
        """Total size in bytes of responses in unfinished batches."""

    def with_methods(self, methods: MethodTable) -> Dispatcher:
        """Return a dispatcher over the same node with other methods."""
        other = copy(self)
        other.methods = methods
        return other

    async def dispatch(
        self, body: bytes | bytearray, session: SocketSession | None = None, client: Client = ANYBODY
    ) -> bytes:
        """Return the response to a client's request; empty for notifications only. `session` is the WebSocket's."""
        origin = client, perf_counter()
        if session is None:
            return await self._decode_and_respond(body, None, origin)
        async with session.turn:
            await session.turn.enter_async_context(session.order.start)
            return await self._decode_and_respond(body, session, origin)

    async def _decode_and_respond(
        self, body: bytes | bytearray, session: SocketSession | None, origin: Origin
    ) -> bytes:
        try:
            request = _with_exact_ids(orjson.loads(body), body)
        except ValueError as error:
            return _unreadable(error)
        return await self._respond(request, session, origin)

    def respond(self, body: bytes, client: Client = ANYBODY) -> bytes | Change | Coroutine[Any, Any, bytes]:
        """Return the response to a client's small HTTP request, or a change or coroutine that produces it.

        docs/architecture.md has the ways to serve a request, with their costs.
        """
        try:
            request = orjson.loads(body)
            if type(request) is not dict or type(request.get("id")) is float:
                request = _with_exact_ids(request, body)
        except ValueError as error:
            return _unreadable(error)
        origin = client, perf_counter()
        direct = self._without_task(request, origin)
        return self._respond(request, None, origin, tries_inline=False) if direct is None else direct

    def _without_task(self, request: Any, origin: Origin) -> bytes | Change | None:
        """Return the response to a request, or its change; None for one that needs a task, and for invalid ones."""
        method = self._method(request)
        if method is None or method.on_socket:
            return None
        inline = self._inline if method.short or method.short_alone else None
        if inline is None and method.name in HANDLERS and has_history(self._node):
            return None
        client = origin[0]
        if not client.may(method) or client.limits.rate is not None:
            return None
        try:
            params = _read(request)[1]
            if inline is not None:
                return self._answer(request, origin, lambda: inline(partial(method.call, params=params)))
            if method.inline:
                return self._answer(request, origin, lambda: method.call(self._node, params))
            if self._call_on_chain is None or method.reads or method.waits:
                return None
            values = method.read(params)
            if method.preparation is not None and method.preparation.applies(values[method.parameters[0]]):
                return None
        except (NotInline, RpcError):
            return None
        execute = partial(self._answer, request, origin, partial(method.handler, self._node, **values))
        if method.name == _SEND_RAW and self._admit_inline is not None and not self._node.network.automine:
            with suppress(NotInline):
                return self._admit_inline(execute)
        return Change(self._call_on_chain, execute, partial(self._encoded, request, origin))

    def _answer(self, request: dict[str, Any], origin: Origin, produce: Callable[[], Any]) -> bytes:
        """Return the encoded response with the result or the error of a function. Raises NotInline."""
        try:
            return self._encoded(request, origin, None, produce())
        except NotInline:
            raise
        except Exception as error:  # noqa: BLE001  # as in `_one`
            return self._encoded(request, origin, error)

    def _encoded(self, request: dict[str, Any], origin: Origin, error: Exception | None, result: Any = None) -> bytes:
        """Return the encoded response with a result or an error; empty for a notification."""
        response = self._response(request, origin, error, result)
        if response is None:
            return b""
        encoded = _encode(response)
        return encoded if len(encoded) <= self._node.limits.response else self._within_limit(encoded, request)

    async def _respond(
        self, request: Any, session: SocketSession | None, origin: Origin, tries_inline: bool = True
    ) -> bytes:
        if not isinstance(request, list):
            if session is not None:
                await session.turn.aclose()
            response = await self._one(request, session, origin, tries_inline)
            return b"" if response is None else self._within_limit(_encode(response), request)
        if not request:
            return _encode(_error_response(None, RpcError(INVALID_REQUEST, "invalid request: empty batch")))
        limit = min(self._node.limits.batch, self._node.network.rules.limits.batch)
        if len(request) > limit:
            message = f"batch of {len(request)} requests, at most {limit}: send smaller batches"
            return _encode(_error_response(None, RpcError(INVALID_REQUEST, message)))
        return await self._batch(request, session, origin)

    def _method(self, request: Any) -> Method | None:
        """Return the method that a request names, None if there is none."""
        name = request.get("method") if isinstance(request, dict) else None
        return self.methods[name] if isinstance(name, str) else None

    def _may_change(self, request: Any) -> bool:
        """Return True if a request may change the chain or the subscriptions of its connection."""
        method = self._method(request)
        return method is not None and not (method.reads or method.inline or method.waits)

    async def _batch(self, requests: list[Any], session: SocketSession | None, origin: Origin) -> bytes:
        answers: list[bytes] = []
        size = 0
        together: deque[dict[str, Any] | None] = deque()
        began = time.monotonic()
        last_change = -1
        if session is not None:
            last_change = max((at for at, request in enumerate(requests) if self._may_change(request)), default=-1)
        try:
            for index, request in enumerate(requests):
                if session is not None and index == last_change + 1:
                    await session.turn.aclose()
                if time.monotonic() - began >= _BATCH_SLICE:
                    await asyncio.sleep(0)
                    began = time.monotonic()
                full = self._without_room(size) or _late(origin)
                if not together and full is None:
                    together.extend(await self._send_batch(requests, index, session, origin))
                if together:
                    response = together.popleft()
                elif full is None:
                    response = await self._one(request, session, (origin[0], perf_counter()))
                else:  # reject without executing, so that a client may safely retry
                    is_notification = isinstance(request, dict) and "id" not in request
                    response = None if is_notification else _error_response(_id(request), full)
                if response is None:
                    continue
                encoded = _encode(response)
                size += len(encoded)
                self._batched += len(encoded)
                answers.append(encoded)
            return b"[" + b",".join(answers) + b"]" if answers else b""
        finally:
            self._batched -= size

    def _without_room(self, size: int) -> RpcError | None:
        """Return an error if the responses of a batch have reached a size limit, else None."""
        limits = self._node.limits
        if size >= limits.response:
            return _too_large(limits.response)
        if self._batched >= limits.held:
            message = f"the responses to all current batches exceed {limits.held} bytes: try again later"
            return RpcError(LIMIT_EXCEEDED, message)
        return None

    async def _send_batch(
        self, requests: list[Any], index: int, session: SocketSession | None, origin: Origin
    ) -> list[dict[str, Any] | None]:
        """Return the responses to consecutive transactions from an index on, which may share blocks."""
        sent: list[bytes | Callable[[], bytes]] = []
        if not self._node.network.automine:
            return []
        for request in islice(requests, index, None):
            transaction = _sent_transaction(self._node, request)
            if transaction is None or not (origin[0].limits.rate is None and origin[0].may_send):
                break
            sent.append(transaction)
        if len(sent) < 2:
            return []
        order = RequestOrder() if session is None else session.order
        try:
            answers = await order.run(lambda: self.on_chain(lambda: self._node.network.submit_together(sent)))
        except Exception as error:  # noqa: BLE001  # reported to each of them
            answers = [error] * len(sent)
        return [
            self._response(request, origin, answer)
            if isinstance(answer, Exception)
            else self._response(request, origin, None, as_data(answer))
            for request, answer in zip(islice(requests, index, None), answers, strict=False)
        ]

    async def _one(
        self, request: Any, session: SocketSession | None, origin: Origin, tries_inline: bool = True
    ) -> dict[str, Any] | None:
        """Return the response to one request, None for a notification."""
        try:
            name, params = _read(request)
        except RpcError as error:
            return _error_response(_id(request), error)
        if session is not None:
            session.request = request.get("id")
        try:
            origin[0].count()
            result = await self._run(name, params, session, origin[0], tries_inline)
        except Exception as error:  # noqa: BLE001  # the client gets an error response and the node continues
            return self._response(request, origin, error)
        return self._response(request, origin, None, result)

    def _response(
        self, request: dict[str, Any], origin: Origin, error: Exception | None, result: Any = None
    ) -> dict[str, Any] | None:
        """Return the response with a result or an error; None for a notification."""
        self.requests.observe(request["method"], origin[1], error is not None)
        if REQUESTS.isEnabledFor(logging.WARNING):
            log_request(request, origin[0].name, origin[1], error)
        if error is not None:
            known = from_exception(error)
            if known.message.startswith("internal error"):
                _LOG.error("%s failed", request["method"], exc_info=error)
            elif isinstance(error, StoreError):
                _LOG.error("%s failed: %s", request["method"], known.message)
            return None if "id" not in request else _error_response(request["id"], known)
        return None if "id" not in request else {"jsonrpc": "2.0", "id": request["id"], "result": result}

    async def _run(
        self, name: str, params: list[Any], session: SocketSession | None, client: Client, tries_inline: bool
    ) -> Any:
        method = self.methods[name]
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"the method {format_value(name)} does not exist or is not available")
        if method.on_socket and session is None:
            raise RpcError(METHOD_NOT_FOUND, f"{name}: notifications are not supported over HTTP: use a WebSocket")
        client.check(method)
        target = session if method.on_socket else self._node
        if method.name in HANDLERS and has_history(self._node):
            async with client.queries or nullcontext():
                answer = await self._history(method, params)
            if answer is not PASS:
                return answer
        if method.inline:
            return method.call(target, params)
        if method.short and tries_inline and self._inline is not None:
            with suppress(NotInline):
                return self._inline(partial(method.call, params=params))
        if method.reads and self._run_query is not None:
            async with client.queries or nullcontext():
                return await self._run_query(lambda reader: method.call(reader, params), method.kind)
        end = time.monotonic() + self._node.limits.wait
        while True:
            try:
                return await self._change(method, params, target, session)
            except NotYetAvailable:
                if time.monotonic() >= end:
                    raise
            except ReceiptPending as pending:
                end = time.monotonic() + pending.seconds
                while (receipt := pending.find()) is None:
                    if time.monotonic() >= end:
                        raise
                    await asyncio.sleep(min(_ASK_AGAIN, pending.seconds))
                return receipt
            await asyncio.sleep(_ASK_AGAIN)

    async def _history(self, method: Method, params: list[Any]) -> Any:
        """Query a fork's history; PASS if the network itself has to respond."""
        values, handler = method.read(params), HANDLERS[method.name]
        if self._run_query is None:
            return await self.on_chain(lambda: handler(self._node, values, params))
        return await self._run_query(lambda reader: handler(reader, values, params), method.kind)

    async def _change(self, method: Method, params: list[Any], target: Any, session: SocketSession | None) -> Any:
        """Execute a method on the chain's thread, in the order of its client's requests.

        Preparation has a time limit, but is not cancelled on disconnect, because a sent transaction must be executed.
        """
        values = method.read(params)
        preparation = None if self._run_query is None else method.preparation
        if preparation is not None and preparation.applies(values[method.parameters[0]]):
            return await self._prepared_change(method, preparation, values, target, session)
        change = partial(method.handler, target, **values)
        if session is None:
            return await self.on_chain(change)
        return await session.order.run(lambda: self.on_chain(change))

    async def _prepared_change(
        self,
        method: Method,
        preparation: Preparation,
        values: dict[str, Any],
        target: Any,
        session: SocketSession | None,
    ) -> Any:
        """Execute the query of a method's preparation on a query thread, then the method with its result."""
        assert self._run_query is not None
        request = values[method.parameters[0]]
        order = (
            self._orders.setdefault(preparation.sender(request), RequestOrder()) if session is None else session.order
        )
        async with order.alone():
            query = preparation.query(self._node, **values)
            if query is not None:
                client = REQUESTING_CLIENT.set(None)
                try:
                    values[method.parameters[0]] = await self._run_query(query, QueryKind.PREPARATION)
                finally:
                    REQUESTING_CLIENT.reset(client)
            return await self.on_chain(lambda: method.handler(target, **values))

    def _within_limit(self, response: bytes, request: Any) -> bytes:
        limit = self._node.limits.response
        return response if len(response) <= limit else _encode(_error_response(_id(request), _too_large(limit)))


@dataclass(slots=True, unsafe_hash=True)
class Change:
    """A request that one function on the chain's thread executes, without a prior query or an asyncio task."""

    call_on_chain: Final[CallOnChain]
    execute: Final[Callable[[], bytes]]
    """Function that executes the change and returns the response."""
    fail: Final[Callable[[Exception], bytes]]
    """Function from an error outside of `execute` to the response."""

    def start(self, respond: Callable[[bytes], None]) -> None:
        """Start the change. The event loop calls `respond` with the response."""

        def done(response: Any, error: BaseException | None) -> None:
            if error is not None:
                response = self.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            respond(response)

        try:
            self.call_on_chain(self.execute, done)
        except RuntimeError as error:  # the thread is stopping (`SerialThread.put`)
            respond(self.fail(error))


def _late(origin: Origin) -> RpcError | None:
    """Return an error if a client's batch has taken longer than its limit, else None."""
    limit = origin[0].limits.batch
    if limit is None or perf_counter() - origin[1] < limit:
        return None
    return RpcError(LIMIT_EXCEEDED, f"the batch has taken {limit:g} s, the limit of a client: send smaller batches")


def _too_large(limit: int) -> RpcError:
    return RpcError(LIMIT_EXCEEDED, f"response exceeds {limit} bytes: request less data")


def _with_exact_ids(request: Any, body: bytes | bytearray) -> Any:
    """Return the request with exact IDs: orjson reads integers beyond 64 bits as floats."""
    several = isinstance(request, list)
    if not any(type(_id(each)) is float for each in (request if several else [request])):
        return request
    try:
        exact = json.loads(body)
    except RecursionError:  # in the parameters, which the method refuses
        return request
    for each, source in zip(request, exact, strict=True) if several else [(request, exact)]:
        if type(_id(each)) is float:
            each["id"] = source["id"]
    return request


def _unreadable(error: ValueError) -> bytes:
    return _encode(_error_response(None, RpcError(PARSE_ERROR, f"parse error: {error}")))


def _sent_transaction(node: Node, request: Any) -> bytes | Callable[[], bytes] | None:
    """Return a transaction that may share a block, as bytes or as a function that signs it; None for other requests."""
    if node.throws_on_failure or not isinstance(request, dict) or request.get("method") not in (_SEND_RAW, _SEND):
        return None
    try:
        name, params = _read(request)
        if len(params) != 1:
            return None
        if name == _SEND_RAW:
            raw = data(params[0])
            return None if raw[:1] == bytes([BLOB]) else raw  # blobs are verified on another thread first
        return transactions.to_share_block(node, transaction_request(params[0]))
    except RpcError:
        return None


def _read(request: Any) -> tuple[str, list[Any]]:
    """Read method and parameters of a request. Raises RpcError -32600 or -32602."""
    if not isinstance(request, dict):
        raise RpcError(INVALID_REQUEST, f"invalid request: {format_value(request)} is not an object")
    if request.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'invalid request: jsonrpc must be "2.0"')
    name, params = request.get("method"), request.get("params")
    if not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, "invalid request: method must be a string")
    if not isinstance(request.get("id"), str | int | float | None) or isinstance(request.get("id"), bool):
        raise RpcError(INVALID_REQUEST, "invalid request: id must be a string, a number or null")
    if params is None:
        return name, []
    if not isinstance(params, list):
        raise invalid_params("params must be a list")
    return name, params


def _id(request: Any) -> Any:
    """Return the ID of a request; None if it has no valid one."""
    identifier = request.get("id") if isinstance(request, dict) else None
    return identifier if isinstance(identifier, str | int | float) and not isinstance(identifier, bool) else None


def _error_response(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json()}


def _encode(response: dict[str, Any]) -> bytes:
    if type(response["id"]) is int and not -(1 << 63) <= response["id"] < 1 << 64:  # orjson encodes no such integers
        response = {**response, "id": orjson.Fragment(str(response["id"]))}
    try:
        return as_json(response)
    except TypeError:
        _LOG.exception("a result is not valid JSON")
        return orjson.dumps(
            _error_response(response["id"], RpcError(INTERNAL_ERROR, "internal error: the result is not valid JSON"))
        )
