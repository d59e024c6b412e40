"""State of a node that methods use: a network, the clients' filters, and request limits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from uuid import UUID

from bridge.ethereum.addresses import EthAddress
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import Gas
from localnet.calls.overrides import NONE, Overrides
from localnet.chain.pending import PendingBlock, PendingBlocks, PendingPlan, PendingPlans, has_pending
from localnet.chain.reading import NetworkReader
from localnet.chain.view import ChainPoint
from localnet.chain.watching import Background
from localnet.errors import CallFailed
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.blocks_and_null_rounds import PENDING, BlockRef, state_tipset
from localnet.rpc.filters import Filters
from localnet.rpc.interval import BlockTimer
from localnet.rpc.methods import QueryKind
from localnet.rpc.subscriptions import Subscriptions
from localnet.rules.call_request import CallRequest

if TYPE_CHECKING:
    from localnet.calls.side_states import SideStates
    from localnet.chain.retention import FolderCollector
    from localnet.ledger.address_index import AddressIndex

T = TypeVar("T")


FORK_QUERY_TIME: Final = 60.0
"""Time limit of a query in seconds on a fork of an Ethereum network, which may read hundreds of slots of its node."""


def new_instance() -> str:
    """Return a new ID of a node's chain."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Limits of a request or a client. Sizes in bytes, spans in blocks, times in seconds.

    - `query`, `trace`: execution time of a query, and of a trace. `wait`: time that a request may wait for a block
      (`Filecoin.StateWaitMsg`).
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

    def run_call(self, machine: Hypervisor, request: CallRequest, overrides: Overrides, call: Callable[[], T]) -> T:
        """Return the result of a call or an estimate, and report it to the console. Raises its errors."""
        started = time.monotonic()
        try:
            return call()
        finally:
            self._report(machine, request, overrides, started)

    def run_estimate(self, request: CallRequest, estimate: Callable[[], Gas]) -> Gas:
        """Return the result of an estimate at the head, and report it to the console. Raises its errors."""
        started = time.monotonic()
        try:
            gas = estimate()
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
    console: NodeConsole | None = None
    interval: BlockTimer = field(default_factory=BlockTimer)
    keep_states: int | None = None
    """Number of blocks whose states a folder keeps; older ones are collected (None: all are kept)."""
    addresses: AddressIndex | None = None
    instance: str = field(default_factory=new_instance)
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
