"""Subscriptions of clients, and notifications when the chain changes.

The watcher methods, `add`, `remove`, `of_request` and `open_channel` run on the network's thread. `forget` and
`__len__` may run on any thread, because connections end on the event loop. A lock protects the shared state. A
notification is serialised once per kind and queued on each connection.

Sources: `eth_subscribe` of geth and Lotus; go-jsonrpc's channels for Filecoin clients.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

from localnet.chain.logs import LogFilter, logs_in
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.errors import LIMIT_EXCEEDED, SERVER_ERROR, RpcError
from localnet.rpc.lotus_values import message_json, tipset_json
from localnet.rpc.shapes import block_json, log_json, pending_json, receipt_json
from localnet.rpc.values import as_data, as_json

HEADS: Final = "newHeads"
LOGS: Final = "logs"
TRANSACTIONS: Final = "newPendingTransactions"
RECEIPTS: Final = "transactionReceipts"
SYNCING: Final = "syncing"
TIPSETS: Final = "ChainNotify"
MESSAGES: Final = "MpoolSub"
EVENTS: Final = "SubscribeActorEventsRaw"

MAX_REVERTED: Final = 1_000
"""Maximum number of reverted tipsets in one notification; subscribers are disconnected after a longer reorg."""


class Listener(Protocol):
    """A client's connection, as used by the network's thread."""

    closed: bool

    def notify(self, subscription: Subscription, text: bytes) -> None:
        """Queue a notification."""

    def give_up(self, reason: str) -> None:
        """Close the connection, because too much is unread."""


@dataclass(eq=False, slots=True)
class Subscription:
    """A subscription of a connection, with its id.

    `request` is the id of the request that opened a channel; without one it is a subscription of Ethereum's kind.
    `held` buffers notifications until the response with the id is sent; then it is None.
    """

    id: str | int
    kind: str
    listener: Listener
    wanted: LogFilter = field(default_factory=LogFilter)
    full: bool = False
    hashes: frozenset[bytes] = frozenset()
    """Hashes of the transactions whose receipts are reported; empty for all."""
    events: Callable[[Tipset, bool], list[dict[str, Any]]] | None = None
    """Returns the actor events of an applied or (True) reverted tipset that a channel reports."""
    last: int | None = None
    """Height of the last tipset that a channel of actor events reports."""
    request: Any = None
    held: list[bytes] | None = field(default_factory=list)

    def notice(self, result: bytes) -> bytes:
        """Encode the notification of a result."""
        if isinstance(self.id, str):
            head = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"%b","result":'
            return head % self.id.encode() + result + b"}}"
        return b'{"jsonrpc":"2.0","method":"xrpc.ch.val","params":[%d,' % self.id + result + b"]}"

    def notify(self, result: bytes) -> None:
        """Send the notification to the connection."""
        self.listener.notify(self, self.notice(result))


class Subscriptions:
    """All subscriptions of a node's clients. While there are any it watches the network (`localnet.chain.watching`)."""

    def __init__(self, network: Network, limit: int, limit_per_connection: int) -> None:
        """Create the collection; limits are `limit` in total and `limit_per_connection` per connection."""
        self._network = network
        self._limit, self._limit_per_connection = limit, limit_per_connection
        self._lock = threading.Lock()
        self._by_listener: dict[Listener, dict[str | int, Subscription]] = {}

    def __len__(self) -> int:
        with self._lock:
            return sum(len(own) for own in self._by_listener.values())

    def add(self, new: Subscription) -> None:
        """Add a subscription. Raises RpcError -32000 at the limit."""
        with self._lock:
            if new.listener.closed:
                raise RpcError(SERVER_ERROR, "the connection is closed")
            own = self._by_listener.get(new.listener, {})
            if len(own) >= self._limit_per_connection:
                raise RpcError(
                    LIMIT_EXCEEDED, f"at most {self._limit_per_connection} subscriptions on a connection: cancel one"
                )
            if sum(map(len, self._by_listener.values())) >= self._limit:
                raise RpcError(LIMIT_EXCEEDED, f"at most {self._limit} subscriptions at a time: cancel one")
            own[new.id] = new
            self._by_listener[new.listener] = own
            self._watch()

    def remove(self, listener: Listener, subscription_id: str | int) -> bool:
        """Remove a connection's subscription; return False if it does not exist."""
        with self._lock:
            own = self._by_listener.get(listener, {})
            removed = own.pop(subscription_id, None)
            if not own:
                self._by_listener.pop(listener, None)
            self._watch()
            return removed is not None

    def close_channel(self, channel: Subscription) -> None:
        """Remove a channel, and notify its client of the end."""
        if self.remove(channel.listener, channel.id):
            ended = b'{"jsonrpc":"2.0","method":"xrpc.ch.close","params":[%d]}' % int(channel.id)
            channel.listener.notify(channel, ended)

    def of_request(self, listener: Listener, request: Any) -> list[Subscription]:
        """Return a connection's channels that a request opened."""
        with self._lock:
            return [found for found in self._by_listener.get(listener, {}).values() if found.request == request]

    def forget(self, listener: Listener) -> None:
        """Drop a closed connection."""
        with self._lock:
            self._by_listener.pop(listener, None)
            self._watch()

    def _watch(self) -> None:
        """Watch the network if there are subscriptions."""
        watchers = self._network.chain.watchers
        if self._by_listener and self not in watchers:
            watchers.append(self)
        elif not self._by_listener and self in watchers:
            watchers.remove(self)

    # --- as a watcher -----------------------------------------------------------------------------------------

    def applied(self, tipset: Tipset) -> None:
        """Publish a new head: tipsets, messages no longer pending, the block with new receipts, these and its logs."""
        index, executed_head = self._network.chain.index, self._network.executed_head
        if heads := self._of_kind(HEADS):
            _notify(heads, as_json(block_json(index, executed_head, self._network.rules, full=True)))
        if watching := self._of_kind(RECEIPTS):
            receipts = {each.hash: receipt_json(each, self._network.rules) for each in index.receipts(executed_head)}
            for subscription in watching:
                wanted = subscription.hashes or receipts.keys()
                if found := [receipt for hash_, receipt in receipts.items() if hash_ in wanted]:
                    subscription.notify(as_json(found))
        self._notify_logs(executed_head, removed=False)
        self._notify_events(executed_head, is_reverted=False)
        if channels := self._of_kind(TIPSETS):
            _notify(channels, as_json([_change("apply", self._network, tipset)]))
        if channels := self._of_kind(MESSAGES):
            for receipt in index.receipts(tipset):
                _notify(channels, as_json({"Type": 1, "Message": message_json(receipt.candidate.message)}))

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Publish a reorg: removed logs, and tipsets, newest first."""
        channels, logs, events = (self._of_kind(kind) for kind in (TIPSETS, LOGS, EVENTS))
        if not channels and not logs and not events:
            return
        reported = self._network.executed_head.height
        for tipset in islice(tipsets, MAX_REVERTED):
            if tipset.height <= reported:
                self._notify_logs(tipset, removed=True)
                self._notify_events(tipset, is_reverted=True)
            if channels:
                _notify(channels, as_json([_change("revert", self._network, tipset)]))
        if next(tipsets, None) is not None:
            for listener in {subscription.listener for subscription in channels + logs + events}:
                listener.give_up(f"the chain went back more than {MAX_REVERTED} tipsets: connect again")

    def accepted(self, candidate: Candidate) -> None:
        """Publish an accepted transaction."""
        found = self._of_kind(TRANSACTIONS)
        if by_hash := [subscription for subscription in found if not subscription.full]:
            _notify(by_hash, as_json(as_data(candidate.hash)))
        if whole := [subscription for subscription in found if subscription.full]:
            _notify(whole, as_json(pending_json(candidate, self._network.chain_id)))
        if channels := self._of_kind(MESSAGES):
            _notify(channels, as_json({"Type": 0, "Message": message_json(candidate.message)}))

    def open_channel(self, subscription: Subscription) -> None:
        """Send the first notification of a channel of tipsets: the chain's head."""
        subscription.notify(as_json([_change("current", self._network, self._network.head)]))

    def _of_kind(self, kind: str) -> list[Subscription]:
        with self._lock:
            return [found for own in self._by_listener.values() for found in own.values() if found.kind == kind]

    def notify_events(self, channel: Subscription, events: Iterable[dict[str, Any]], height: int) -> None:
        """Publish events to a channel, which ends with the height that it reports last."""
        for event in events:
            channel.notify(as_json(event))
        if channel.last is not None and channel.last <= height:
            self.close_channel(channel)

    def _notify_events(self, tipset: Tipset, *, is_reverted: bool) -> None:
        for channel in self._of_kind(EVENTS):
            if channel.events is not None:
                found = channel.events(tipset, is_reverted)
                self.notify_events(channel, found, -1 if is_reverted else tipset.height)

    def _notify_logs(self, tipset: Tipset, removed: bool) -> None:
        """Publish each log of a tipset to matching subscriptions."""
        subscriptions = self._of_kind(LOGS)
        if not subscriptions or not any(tipset.bloom):
            return
        for receipt, position, emitted in logs_in(self._network.chain.index, tipset, LogFilter()):
            matching = [subscription for subscription in subscriptions if subscription.wanted.matches(emitted)]
            if matching:
                _notify(matching, as_json({**log_json(receipt, position, emitted), "removed": removed}))


def _notify(subscriptions: Iterable[Subscription], result: bytes) -> None:
    for subscription in subscriptions:
        subscription.notify(result)


def _change(kind: str, network: Network, tipset: Tipset) -> dict[str, Any]:
    return {"Type": kind, "Val": tipset_json(network, tipset)}
