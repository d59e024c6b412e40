"""Methods available on WebSockets only, and the order of a client's pipelined requests.

The methods are subscriptions, and the channels of Filecoin clients. A handler gets a `SocketSession` instead of the
node. Sources: geth's `eth_subscribe`, and go-jsonrpc's channels. A channel's response is a number; `xrpc.ch.val`
notifications carry it, and `xrpc.cancel` closes the channel.

Requests that change the chain are executed in order of arrival. A request with a gas estimate, which runs outside the
chain's thread, starts after the effects of earlier requests and completes before later ones start. On a WebSocket,
messages after a batch start when the last change in it has completed, whichever queries precede the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from localnet.chain.logs import LogFilter
from localnet.ledger.records import Tipset
from localnet.rpc.errors import invalid_params
from localnet.rpc.filecoin.events import EVERYTHING, EventFilter, actor_events, emitters_of, event_filter, events_of
from localnet.rpc.filters import new_id
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.requests import log_request, receipt_request
from localnet.rpc.subscriptions import (
    EVENTS,
    HEADS,
    LOGS,
    MESSAGES,
    RECEIPTS,
    SYNCING,
    TIPSETS,
    TRANSACTIONS,
    Listener,
    Subscription,
)
from localnet.rpc.values import any_value, as_data, as_json, format_value, text


class RequestOrder:
    """The order of the requests of one connection or sender. All methods run on the event loop's thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last: asyncio.Future[Any] | None = None
        self.start = asyncio.Lock()
        """Held by a message until later ones may start. The lock is fair, so they start in order."""

    async def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run work after earlier `alone` requests, concurrently with others; return its result."""
        async with self._turn:
            response = self._last = asyncio.ensure_future(work())
        return await response

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait for all earlier requests, and delay later ones until the block ends."""
        async with self._turn:
            if self._last is not None:
                await asyncio.wait([self._last])
            yield


_KINDS: Final = (HEADS, LOGS, TRANSACTIONS, RECEIPTS, SYNCING)


class Channels(Listener, Protocol):
    """A connection that numbers its channels."""

    def next_channel(self) -> int:
        """Return an unused channel number of the connection."""


@dataclass(slots=True)
class SocketSession:
    """The requests of one WebSocket message; `request` is the current id, `opened` the subscriptions opened."""

    node: Node
    connection: Channels
    order: RequestOrder = field(default_factory=RequestOrder)
    """Order of all messages on the connection."""
    request: Any = None
    opened: list[Subscription] = field(default_factory=list)
    turn: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closed when the connection's next message may start."""

    def open(self, subscription: Subscription) -> None:
        """Add a subscription; its notifications are held until the response is sent. Raises RpcError -32000."""
        self.node.subscriptions.add(subscription)
        self.opened.append(subscription)


def subscribe(session: SocketSession, kind: str, options: Any = None) -> str:
    """Subscribe to a kind, with options of geth: a filter of logs, true for whole transactions, hashes of receipts.

    A subscription of `syncing` gets false at once, because the node is never behind.
    """
    if kind not in _KINDS:
        raise invalid_params(f"{format_value(kind)} is not a subscription: expected {', '.join(_KINDS)}")
    wanted, full, hashes = LogFilter(), False, frozenset[bytes]()
    if kind == LOGS and options is not None:
        request = log_request(options)
        if request.block is not None:
            raise invalid_params("a subscription has no blockHash: use eth_getLogs")
        wanted = request.wanted
    elif kind == TRANSACTIONS and options is not None:
        if not isinstance(options, bool):
            raise invalid_params(f"{format_value(options)} is neither true nor false")
        full = options
    elif kind == RECEIPTS and options is not None:
        hashes = receipt_request(options)
    opened = Subscription(as_data(new_id()), kind, session.connection, wanted, full, hashes)
    session.open(opened)
    if kind == SYNCING:
        opened.notify(as_json(False))
    return str(opened.id)


def unsubscribe(session: SocketSession, subscription_id: str) -> bool:
    """End a subscription; return false if it does not exist."""
    return session.node.subscriptions.remove(session.connection, subscription_id)


def chain_notify(session: SocketSession) -> int:
    """Open a channel of tipsets: the current head, then applied and reverted ones; return its number."""
    channel = _channel(session, TIPSETS)
    session.node.subscriptions.open_channel(channel)
    return int(channel.id)


def mempool_subscription(session: SocketSession) -> int:
    """Open a channel of new pending messages (Type 0) and mined ones (Type 1); return its number."""
    return int(_channel(session, MESSAGES).id)


def cancel(session: SocketSession, request: Any) -> None:
    """Close the channel opened by the request with this ID."""
    for subscription in session.node.subscriptions.of_request(session.connection, request):
        session.node.subscriptions.close_channel(subscription)


def subscribe_actor_events(session: SocketSession, wanted: EventFilter = EVERYTHING) -> int:
    """Open a channel of actor events: past ones from `fromHeight` on, then new and reverted ones; return its number.

    The channel ends with the block at `toHeight`.
    """
    network, subscriptions = session.node.network, session.node.subscriptions
    past = actor_events(session.node, wanted) if wanted.first is not None or wanted.key.blocks else []

    def events(tipset: Tipset, is_reverted: bool) -> list[dict[str, Any]]:
        if not wanted.includes(tipset.height):
            return []
        return events_of(network, tipset, wanted, emitters_of(network, wanted), is_reverted=is_reverted)

    channel = _channel(session, EVENTS)
    channel.events, channel.last = events, wanted.last
    subscriptions.notify_events(channel, past, network.executed_head.height)
    return int(channel.id)


def _channel(session: SocketSession, kind: str) -> Subscription:
    number = session.connection.next_channel()
    channel = Subscription(number, kind, session.connection, request=session.request)
    session.open(channel)
    return channel


METHODS = (
    Method("eth_subscribe", (text, optional(any_value)), subscribe, on_socket=True),
    Method("eth_unsubscribe", (text,), unsubscribe, on_socket=True),
    Method("Filecoin.ChainNotify", (), chain_notify, on_socket=True),
    Method("Filecoin.MpoolSub", (), mempool_subscription, on_socket=True),
    Method("Filecoin.SubscribeActorEventsRaw", (optional(event_filter),), subscribe_actor_events, on_socket=True),
    Method("xrpc.cancel", (any_value,), cancel, on_socket=True),
)
