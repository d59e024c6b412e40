"""The threads that execute requests: the chain's thread, a pool for queries, and the event loop's thread.

Requests that change the chain run on the chain's thread. Queries (calls, estimates, traces, logs, state reads) run on
the pool (`localnet.rpc.server.queries`), each on a view of the chain at its start. So no query delays a block. A query
uses its own or immutable objects, except for the store and the runtimes, which are thread-safe, and single lookups in
the mempool. The views are updated before a changing request is answered, so a client sees its own changes.

A query about the pending block gets the pending messages from the chain's thread and executes them itself. The gas of
a transaction that the node sends, fills or signs is estimated as a query (`Method.preparation`), and a module to
install is compiled as one.

Short queries (`Method.short`, `Method.short_alone`) run on the event loop's thread, on a view of its own: passing them
to another thread would take longer than the query. A call that turns out to be long is stopped, and runs again on the
pool. For the same reason this thread admits transactions to the mempool, while no block is to be made.

The following run on the chain's thread and delay a block:

- state set by clients: filters and side states;
- several Filecoin messages that are completed in order;
- bounded reads of the chain: receipts and headers of single blocks, and actors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

from hypervisor.errors import LongExecution
from hypervisor.machine.machine import Hypervisor
from hypervisor.threads import ShortExecutions
from localnet.calls.overrides import Overrides
from localnet.chain.block_production import PendingPlan
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import NeedsPlan, Node, NodeView, NotInline, ReorganisedDuringQuery
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.server.queries import Query, QueryPool, ReaderQuery
from localnet.rpc.server.worker import RequestThread

T = TypeVar("T")

MAX_INLINE: Final = 20
"""Maximum number of messages that a query reads on the event loop's thread."""
_FILECOIN_LOG_GAS: Final = 100_000_000
_ETHEREUM_LOG_GAS: Final = 300_000
"""Maximum gas used by the tipsets of a log query: 1 % of the default block gas limit, enough for a few hundred logs."""


class InlineView(NodeView):
    """A view for short queries. Raises NotInline for others, and LongExecution for calls that exceed a limit."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._short = ShortExecutions()
        is_filecoin = node.network.rules.features.has_filecoin_blocks
        self._log_gas = _FILECOIN_LOG_GAS if is_filecoin else _ETHEREUM_LOG_GAS
        self._needs_stack = is_filecoin
        """True if calls need a large stack. The event loop's thread of a `Server` has one."""

    def require_small_read(self, messages: int, *, whole: bool = False) -> None:
        """Raise NotInline for more than `MAX_INLINE` messages, or for any message that is printed or executed."""
        if messages > (0 if whole else MAX_INLINE):
            raise NotInline

    def require_few_logs(self, tipsets: Iterable[Tipset]) -> None:
        """Raise NotInline if the tipsets used so much gas that they may have many logs."""
        if sum(tipset.gas_used for tipset in tipsets) > self._log_gas:
            raise NotInline

    def execute(self, machine: Hypervisor, overrides: Overrides, call: Callable[[], T]) -> T:
        """Execute within the limit. Raises NotInline for overrides, and for another machine's state."""
        if not overrides.is_empty or machine is not self.network.machine:
            raise NotInline
        run = partial(self._short.run, machine, call)
        return machine.stacks.on_one_thread(run) if self._needs_stack else run()


RunQuery = Callable[[Query, QueryKind], Awaitable[Any]]
"""Runs a query on a query thread and returns its result."""

_ATTEMPTS: Final = 3
"""Maximum number of attempts of a query during which the chain was rewritten."""
_PLANS: Final = 100
"""Maximum number of plans of the pending block for a query; blocks may follow the plan's head before it is used."""


class Executors:
    """The threads of a node. `chain` executes changes, `queries` is the pool for queries."""

    def __init__(self, node: Node) -> None:
        self._node, self._chain = node, node.network.chain
        self._publish()
        self._chain.watchers.append(self)
        self.chain = RequestThread("network", self._publish)
        self.queries = QueryPool(node, self.chain.should_yield)
        self._view: InlineView | None = None
        self.dispatcher = Dispatcher(
            node, self.chain.start, self.query, self.query_inline, self.chain.call, self.admit_inline
        )

    def _publish(self) -> None:
        """Publish the chain's current state to new queries. Runs on the chain's thread."""
        self._node.published = self._chain.point()

    def applied(self, tipset: Tipset) -> None:
        """Publish a block immediately: others may follow it in the same request."""
        self._node.published = self._chain.point()

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Handle a reorg: it is published with the request that causes it."""

    def accepted(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    async def query(self, read: Query, kind: QueryKind = QueryKind.QUERY) -> Any:
        """Return the result of a query.

        Raises the query's errors, and RpcError -32000 if it was cancelled or the chain kept changing.
        """
        query, left, plans = ReaderQuery(read, kind), _ATTEMPTS, _PLANS
        work: Callable[[], PendingPlan | None]
        while left and plans:
            try:
                return await self.queries.run(query)
            except NeedsPlan:
                work, plans = self._node.pending_plan, plans - 1
            except ReorganisedDuringQuery:
                left -= 1
                work = _no_plan if query.plan is None else self._node.pending_plan
            query.plan = await self.queries.wait(query, self.chain.start(work))
        raise RpcError(
            SERVER_ERROR,
            "the chain was reorganized, or the requested state was pruned, during this request: send it again",
        )

    def query_inline(self, read: Query) -> Any:
        """Return the result of a short query on the event loop's thread.

        Raises the query's errors, and NotInline if a query thread has to execute it.
        """
        if self._node.point.origin is not None:
            raise NotInline  # another node may have to be queried
        if self._view is None:
            self._view = InlineView(self._node)
        try:
            return self._view.run(read)
        except (NeedsPlan, ReorganisedDuringQuery, LongExecution):
            raise NotInline from None

    def admit_inline(self, admit: Callable[[], bytes]) -> bytes:
        """Return the response to a transaction that makes no block, executed on the event loop's thread.

        Raises NotInline if the chain's thread has to execute it: for the first pending transaction, which may load the
        engine; on a fork, which may query another node; and if a change runs or waits.
        """
        if self._node.network.mempool.is_empty() or self._node.point.origin is not None:
            raise NotInline
        return self.chain.run_here(admit)

    def interrupt(self) -> None:
        """Abort running requests, and accept no more."""
        try:
            self.chain.interrupt()
        finally:  # for any exception
            self.queries.interrupt()

    def stop(self) -> None:
        """Finish running requests, and drop queued ones."""
        self.queries.stop()
        self.chain.stop()
        self._node.published = None
        if self in self._chain.watchers:
            self._chain.watchers.remove(self)


def _no_plan() -> None:
    """Do nothing: reaching this call means that earlier work on the chain's thread is published."""
