"""State of a node that methods use: a network, the clients' filters, and request limits; and timed block production.

A query has a view of the node at one point of its chain, on its own thread, unaffected by later blocks. Timed
production makes one block of the pending messages per interval, with optional null rounds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from uuid import UUID

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput, LongExecution
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import Gas
from localnet.calls.overrides import NONE, Overrides
from localnet.chain.block_production import PendingBlock, PendingBlocks, PendingPlan, PendingPlans, has_pending
from localnet.chain.mempool import MempoolView
from localnet.chain.reading import NetworkReader, NetworkView
from localnet.chain.view import ChainPoint
from localnet.chain.watching import Background
from localnet.errors import CallFailed
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.blocks_and_null_rounds import PENDING, BlockRef, state_tipset
from localnet.rpc.errors import from_exception
from localnet.rpc.filters import Filters
from localnet.rpc.methods import QueryKind
from localnet.rpc.subscriptions import Subscriptions
from localnet.rules.facts import CallRequest
from store.blockstore import StoreError

if TYPE_CHECKING:
    from localnet.calls.side_states import SideStates
    from localnet.chain.retention import FolderCollector
    from localnet.ledger.address_index import AddressIndex
    from localnet.rpc.tokens import Tokens

_LOG = logging.getLogger(__name__)
_MAX_SECONDS: Final = 1 << 31


class BlockTimer:
    """Timer of block production: the interval between epochs in seconds (0: off) and the share of null rounds.

    `null_rate` is the share of epochs without a block. `seed` makes their choice reproducible.
    """

    def __init__(self, seconds: float = 0, null_rate: float = 0, seed: int = 0) -> None:
        """Raise InvalidInput for values out of range."""
        if not 0 <= null_rate < 1:
            raise InvalidInput(f"the share of null rounds is {null_rate}: expected at least 0 and less than 1")
        self.null_rate = null_rate
        self._random = random.Random(seed)  # noqa: S311  # seeded for reproducible runs; not used for secrets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self.seconds = self._check(seconds)

    def set(self, seconds: float) -> None:
        """Change the interval. Thread-safe. Raises InvalidInput."""
        self.seconds = self._check(seconds)
        if self._loop is not None and self._changed is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self, mine: Callable[[int], Awaitable[Any]]) -> None:
        """Call `mine` at the end of each epoch that has a block.

        Its argument is the number of null rounds since the last block.
        """
        loop = self._loop = asyncio.get_running_loop()
        changed = self._changed = asyncio.Event()
        due, null_rounds = loop.time() + self.seconds, 0
        while True:
            try:
                await asyncio.wait_for(changed.wait(), max(0.0, due - loop.time()) if self.seconds else None)
                changed.clear()
                due = loop.time() + self.seconds
                continue
            except TimeoutError:
                due = max(due + self.seconds, loop.time())
            if self._random.random() < self.null_rate:
                null_rounds += 1
                continue
            try:
                await mine(null_rounds)
                null_rounds = 0
            except StoreError as error:  # such as a full disk
                _LOG.error("no block was made: %s", from_exception(error).message)
            except Exception:  # noqa: BLE001  # the next block may succeed
                _LOG.exception("no block was made")

    @staticmethod
    def _check(seconds: float) -> float:
        if not 0 <= seconds <= _MAX_SECONDS:
            raise InvalidInput(f"the block time is {seconds} seconds: expected 0 (no timed blocks) to {_MAX_SECONDS}")
        return seconds


T = TypeVar("T")


FORK_QUERY_TIME: Final = 60.0
"""Time limit of a query in seconds on a fork of an Ethereum network, which may read hundreds of slots of its node."""


def new_instance() -> str:
    """Return a new ID of a node's chain."""
    return secrets.token_hex(32)


_MAX_MEMORY: Final = 1 << 30


def default_query_memory() -> int:
    """Return the default memory in bytes that all queries share: a quarter of the machine's, at most 1 GiB."""
    return min(_MAX_MEMORY, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Limits of a request or a client. Sizes in bytes, spans in blocks, times in seconds.

    - `query`, `trace`: execution time of a query, and of a trace. `memory`: size of the memory that they share.
    - `wait`: time that a request may wait for a block (`Filecoin.StateWaitMsg`).
    - `clients`: connections at a time; fewer if the process may not open that many files.
    - `silence`: maximum time between two bytes of a request, and during which a client reads none of a response. A
      request must be complete within twice this time.
    - `head`: size of a request's line and headers.
    - `held`: total size of requests being received or processed, and separately of responses not yet read, over all
      clients.
    - WebSockets: `connections` at a time; `unsent` bytes buffered for a slow reader; `requests_per_client` concurrent
      requests of a client; a client that does not respond to a `ping` within that time is disconnected.
    """

    body: int = 5 << 20
    head: int = 64 << 10
    held: int = 256 << 20
    batch: int = 1_000
    response: int = 64 << 20
    log_span: int = 2_880
    logs: int = 10_000
    mined: int = 100_000
    clients: int = 4_000
    silence: float = 30.0
    connections: int = 500
    subscriptions: int = 10_000
    subscriptions_per_client: int = 1_000
    unsent: int = 16 << 20
    requests_per_client: int = 1_000
    ping: float = 20.0
    wait: float = 120.0
    query: float = 5.0
    trace: float = 30.0
    memory: int = field(default_factory=default_query_memory)

    def of(self, kind: QueryKind) -> float:
        """Return the time limit of a query in seconds."""
        return self.trace if kind is QueryKind.TRACE else self.query


class NodeConsole(Protocol):
    """A console, as the node's methods use it on any thread; it must not raise.

    `enabled` says whether it prints anything; long work it does in the `background`. Times in seconds.
    """

    enabled: bool
    background: Background

    def estimate_failed(self, head: Tipset, request: CallRequest, run: float) -> None:
        """Handle a failed gas estimate at `head` after `run` seconds: the transaction is never made."""

    def call_completed(
        self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides, run: float
    ) -> None:
        """Handle a completed call or estimate that took `run` seconds: its contracts may write to the console.

        It ran at `head`, or, if that is None, on a separate machine that is not used any more.
        """


class NodeReader:
    """A network that a query may read, on any thread (`localnet.rpc.server.executors`)."""

    network: NetworkReader
    limits: NodeLimits
    console: NodeConsole | None
    pending: PendingBlocks
    addresses: AddressIndex | None
    """Address index of the node, if enabled."""

    def machine_at(self, ref: BlockRef) -> Hypervisor:
        """Return a machine at the state after the referenced block, which may be the pending one. Raises RpcError."""
        if ref.tag == PENDING and has_pending(self.network):
            return self.pending_block().machine
        return self.network.chain.machine_at(state_tipset(self.network, ref))

    def pending_block(self) -> PendingBlock:
        """Return the pending block, if the rules have one. Raises Fatal."""
        return self.pending.block(self.pending_plan())

    def pending_plan(self) -> PendingPlan:
        """Return the plan of the pending block."""
        raise NotImplementedError

    def next_timestamp(self) -> int:
        """Return the timestamp that a block mined now on the head would have."""
        raise NotImplementedError

    def require_small_read(self, messages: int, *, whole: bool = False) -> None:
        """Raise NotInline on the event loop's thread if a query reads too many messages, or blocks, for it.

        `whole` is True if the query prints or executes the messages: then any message is too many, since their number
        does not limit the work.
        """

    def require_few_logs(self, tipsets: Iterable[Tipset]) -> None:
        """Raise NotInline on the event loop's thread if the tipsets used so much gas that they may have many logs."""

    def execute(self, machine: Hypervisor, overrides: Overrides, call: Callable[[], T]) -> T:
        """Return the result of a call or an estimate, which a reader may limit. Raises its errors."""
        return call()

    def run_call(self, machine: Hypervisor, request: CallRequest, overrides: Overrides, call: Callable[[], T]) -> T:
        """Return the result of a call or an estimate, and report it to the console. Raises its errors."""
        started = time.monotonic()
        try:
            return self.execute(machine, overrides, call)
        finally:
            self._report(machine, request, overrides, started)

    def run_estimate(self, request: CallRequest, estimate: Callable[[], Gas]) -> Gas:
        """Return the result of an estimate at the head, and report it to the console. Raises its errors."""
        started = time.monotonic()
        try:
            gas = self.execute(self.network.machine, NONE, estimate)
        except CallFailed:
            head, run = self.network.head, time.monotonic() - started
            self.report(lambda console: console.estimate_failed(head, request, run))
            raise
        self._report(self.network.machine, request, NONE, started)
        return gas

    def report(self, write: Callable[[NodeConsole], None]) -> None:
        """Notify the console, if there is one."""
        if self.console is not None:
            write(self.console)

    def _report(self, machine: Hypervisor, request: CallRequest, overrides: Overrides, started: float) -> None:
        if self.console is not None:
            head = self.network.head if machine is self.network.machine else None
            run = time.monotonic() - started
            self.report(lambda console: console.call_completed(machine, head, request, overrides, run))


@dataclass(slots=True)
class Node(NodeReader):
    """A network with the settings of its JSON-RPC clients."""

    network: Network
    limits: NodeLimits = field(default_factory=NodeLimits)
    impersonated: set[EthAddress] = field(default_factory=set)
    impersonates_all: bool = False
    signs: bool = True
    """True if the node signs with its accounts' keys for every client."""
    throws_on_failure: bool = False
    """True if sending a transaction whose execution fails is an error, as in Hardhat's own network."""
    console: NodeConsole | None = None
    interval: BlockTimer = field(default_factory=BlockTimer)
    keep_states: int | None = None
    """Number of blocks whose states a folder keeps; older ones are collected (None: all are kept)."""
    addresses: AddressIndex | None = None
    tokens: Tokens | None = None
    """Tokens of clients; without them, all clients have all rights."""
    instance: str = field(default_factory=new_instance)
    initial_mining: tuple[bool, float] = field(init=False)
    """Automine, and the seconds between timed blocks, at the node's start."""
    filters: Filters = field(init=False)
    subscriptions: Subscriptions = field(init=False)
    pending: PendingBlocks = field(init=False)
    plans: PendingPlans = field(init=False)
    pushed: dict[UUID, bytes] = field(init=False, default_factory=dict)
    """Hashes of messages that clients named by a UUID, so that a repeated request sends none, oldest first."""
    published: ChainPoint | None = field(init=False, default=None)
    """Chain state last published by the chain's thread, for other threads (`localnet.rpc.server.executors`)."""
    _folder_collector: FolderCollector | None = field(init=False, default=None)
    _side_states: SideStates | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        limits = self.limits
        self.initial_mining = self.network.automine, self.interval.seconds
        self.filters = Filters(self.network)
        self.pending = PendingBlocks(self.network.chain)
        self.plans = PendingPlans(self.network)
        self.subscriptions = Subscriptions(self.network, limits.subscriptions, limits.subscriptions_per_client)

    def close(self) -> None:
        """Remove the state of clients: the network has a new owner."""
        self.filters.clear()

    @property
    def point(self) -> ChainPoint:
        """Return the last published chain, for `inline` methods: the machine may be executing a block."""
        return self.published or self.network.chain.point()

    @property
    def folder_collector(self) -> FolderCollector:
        """Garbage collector of the folder. Raises InvalidInput for a network without a folder."""
        if self._folder_collector is None:
            from localnet.chain.retention import FolderCollector

            self._folder_collector = FolderCollector(self.network, self.keep_states)
        return self._folder_collector

    @property
    def side_states(self) -> SideStates:
        """Side states, which are not part of the chain."""
        if self._side_states is None:
            from localnet.calls.side_states import SideStates

            self._side_states = SideStates(self.network.chain)
        return self._side_states

    def pending_plan(self) -> PendingPlan:
        """Return the current plan of the pending block. For the chain's own thread."""
        return self.plans.plan()

    def next_timestamp(self) -> int:
        """Return the timestamp that a block mined now would have."""
        return self.network.next_timestamp

    @property
    def unlocked(self) -> tuple[EthAddress, ...]:
        """The Ethereum addresses that the node signs for."""
        return tuple(account.address for account in self.network.accounts) if self.signs else ()

    @property
    def client_version(self) -> str:
        """Name and version of this program."""
        try:
            return f"hypervisor/{version('fvm-hypervisor')}"
        except PackageNotFoundError:
            return "hypervisor/unknown"


_MOVES: Final = 100
"""Maximum number of restarts of a query at a newer head, before it has executed anything."""


class ReorganisedDuringQuery(Exception):
    """Raised if the chain changed data that the query may have read."""


class NeedsPlan(Exception):
    """Raised by a query about the pending block: only the chain's thread knows its messages."""


class NotInline(Exception):
    """Raised if the event loop's thread cannot execute a short query, and a query thread has to."""


class _Moved(Exception):
    """Raised if the pending messages have changed since the query's point."""


class NodeView(NodeReader):
    """A node at the most recently published point of its chain. It belongs to one thread."""

    network: NetworkView

    def __init__(self, node: Node) -> None:
        chain = node.network.chain
        self._node, self._chain = node, chain
        self._point = node.point
        self.network = NetworkView(chain.view(self._point), MempoolView(node.network.mempool, self._check_newest))
        self.limits, self.addresses = node.limits, node.addresses
        self.pending = PendingBlocks(self.network.chain)
        self._plan: PendingPlan | None = None
        self._reports: list[Callable[[NodeConsole], None]] = []

    def report(self, write: Callable[[NodeConsole], None]) -> None:
        """Notify the console after the query is answered, since a query may be repeated."""
        self._reports.append(write)

    def pending_plan(self) -> PendingPlan:
        """Return the plan of the pending block at the query's point. Raises NeedsPlan."""
        if self._plan is None:
            raise NeedsPlan
        return self._plan

    def next_timestamp(self) -> int:
        """Return the timestamp that a block mined now on the query's head would have."""
        return self._node.network.timestamp_after(self.network.head)

    def run(self, query: Callable[[NodeReader], T], plan: PendingPlan | None = None) -> T:
        """Return the result of a query at the newest point, or at the plan's. Raises its errors.

        Raises NeedsPlan if the query needs a plan and has none, or reads the mempool and blocks follow the plan's head.
        Raises ReorganisedDuringQuery if the chain was reorganised or collected states during the query, so that it may
        have read replaced blocks or deleted states.
        """
        self.console, self._plan = self._node.console, plan
        for _ in range(_MOVES if plan is None else 1):
            self._reports.clear()
            retained = self.network.chain.index.retained if plan is None else plan.retained
            point = self._point = self._node.point if plan is None else plan.point
            try:
                self.network.chain.go_to(point)
                answer = query(self)
            except _Moved:
                continue
            except (NeedsPlan, NotInline, LongExecution):
                raise
            except Exception as error:
                collected = retained != self.network.chain.index.retained
                if collected or self._chain.rewritten != point.rewritten:
                    raise ReorganisedDuringQuery from error
                self._write_reports()
                raise
            if self._chain.rewritten != point.rewritten:
                raise ReorganisedDuringQuery
            if self._reports:
                self._write_reports()
            return answer
        raise ReorganisedDuringQuery if plan is None else NeedsPlan

    def _check_newest(self) -> None:
        if self._node.point is not self._point:
            raise _Moved

    def _write_reports(self) -> None:
        for write in self._reports:
            NodeReader.report(self, write)
        if self._reports:
            self.pending.forget()  # the console may execute again on its machine
            self._reports.clear()
