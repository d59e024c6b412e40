"""The threads on which requests are executed: the chain's own, and those for questions.

What changes the chain runs on the first. Questions (calls, estimates, traces, logs, reads of states) run on the others
(`localnet.rpc.questions`), on a view of the chain as it was when they began. So none of them holds up a block. What a
question touches is its own or immutable, but for the store and the runtimes, which bear several threads, and single
look-ups in the mempool. The views follow the chain before a request that changed it is answered: a client sees what it
has done.

A question about the block to come needs to know what waits, which the chain's thread tells; it executes that itself.
A transaction that the node sends, fills in or signs has its gas estimated as a question (`Method.preparation`).

On the chain's thread stay, and hold up a block for as long as they take: what clients have set (filters, side states);
several Filecoin messages that are completed in order; and what reads a bounded part of the chain, single blocks, the
one to come among them, and actors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from localnet.chain.pending import PendingPlan
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.rpc.dispatch import Dispatcher
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.methods import QuestionKind
from localnet.rpc.node import Node
from localnet.rpc.node_view import NeedsPlan, WentBack
from localnet.rpc.questions import Answer, QuestionThreads, ReaderQuestion
from localnet.rpc.worker import RequestThread

Ask = Callable[[Answer, QuestionKind], Awaitable[Any]]
"""Answers a question beside the chain."""

_ATTEMPTS: Final = 3
"""Maximum number of attempts of a query during which the chain was rewritten."""


class Executors:
    """The threads of a node: `chain` executes changes, `questions` what views answer."""

    def __init__(self, node: Node) -> None:
        self._node, self._chain = node, node.network.chain
        self._publish()
        self._chain.watchers.append(self)
        self.chain = RequestThread("network", self._publish)
        self.questions = QuestionThreads(node, self.chain.should_yield)
        self.dispatcher = Dispatcher(node, self.chain.start, self.ask)

    def _publish(self) -> None:
        """Let questions that begin from now on see the chain as it is. For the chain's thread."""
        self._node.published = self._chain.point()

    def applied(self, tipset: Tipset) -> None:
        """Publish a block as soon as it is there: others may follow it in the same request."""
        self._publish()

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Handle a reorg: it is published with the request that causes it."""

    def waits(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    async def ask(self, answer: Answer, kind: QuestionKind = QuestionKind.QUESTION) -> Any:
        """Return the result of a query.

        Raises the query's errors, and RpcError -32000 if it was cancelled or the chain kept changing.
        """
        question, left = ReaderQuestion(answer, kind), _ATTEMPTS
        work: Callable[[], PendingPlan | None]
        while left:
            try:
                return await self.questions.ask(question)
            except NeedsPlan:
                work = self._node.pending_plan
            except WentBack:
                left -= 1
                work = _no_plan if question.plan is None else self._node.pending_plan
            question.plan = await self.questions.wait(question, self.chain.start(work))
        raise RpcError(SERVER_ERROR, "the chain went back, or let states go, while this was answered: ask again")

    def interrupt(self) -> None:
        """End soon what is being done, and take nothing any more."""
        try:
            self.chain.interrupt()
        finally:  # whatever that raises
            self.questions.interrupt()

    def stop(self) -> None:
        """Finish what was begun, and forget requests that were not."""
        self.questions.stop()
        self.chain.stop()
        self._node.published = None
        if self in self._chain.watchers:
            self._chain.watchers.remove(self)


def _no_plan() -> None:
    """Do nothing: reaching this call means that earlier work on the chain's thread is published."""
