"""A node as seen by a query: at one point of its chain, on its own thread, unaffected by later blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from hypervisor.errors import LongExecution
from localnet.chain.mempool import MempoolView
from localnet.chain.pending import PendingBlocks, PendingPlan
from localnet.chain.reading import NetworkView
from localnet.rpc.node import Node, NodeConsole, NodeReader

T = TypeVar("T")

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

        Raises NeedsPlan if the query needs a plan and has none. Raises ReorganisedDuringQuery if the chain was
        reorganised or collected states during the query, so that it may have read replaced blocks or deleted states, or
        if the mempool has changed since the plan was made.
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
        raise ReorganisedDuringQuery

    def _check_newest(self) -> None:
        if self._node.point is not self._point:
            raise _Moved

    def _write_reports(self) -> None:
        for write in self._reports:
            NodeReader.report(self, write)
        if self._reports:
            self.pending.forget()  # the console may execute again on its machine
            self._reports.clear()
