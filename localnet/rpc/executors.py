"""The threads on which requests are executed: the chain's own, and some for questions.

What changes the chain runs on the first. Questions (calls, estimates, traces, logs, reads of states) run on the others,
on a view of the chain as it was when they began. So none of them holds up a block, and one that takes long holds up no
other question, until as many take long as there are threads. What a question touches is its own or immutable, but for
the store and the runtimes, which bear several threads, and single look-ups in the mempool. The views follow the chain
before a request that changed it is answered: a client sees what it has done.

On the chain's thread stay, and hold up a block for as long as they take: questions about the block to come, which is
made of what waits there; the estimate of a transaction that the node is to send, fill in or sign; what clients have set
(filters, side states); and what reads a bounded part of the chain, single blocks and actors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, TypeVar

from localnet.chain.mempool import MempoolView
from localnet.chain.reading import NetworkView
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset
from localnet.rpc.dispatch import Dispatcher
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.node import Node, NodeConsole, NodeReader
from localnet.rpc.worker import RequestThread

T = TypeVar("T")

QUESTION_THREADS: Final = 3
_ATTEMPTS: Final = 3
"""How often a question is asked during which the chain changed what the question may have read."""
_MOVES: Final = 100
"""How often a question begins anew at a newer head, before it has executed anything."""


class _WentBack(Exception):
    """The chain changed what the question may have read."""


class _Moved(Exception):
    """What waits is no longer what waited at the question's point."""


class NodeView(NodeReader):
    """A node as it was at a point of its chain, the one that was published last. It belongs to one thread."""

    network: NetworkView

    def __init__(self, node: Node) -> None:
        chain = node.network.chain
        self._node, self._chain = node, chain
        self._point = chain.point()
        self.network = NetworkView(chain, MempoolView(node.network.mempool, self._check_newest))
        self.limits = node.limits
        self._reports: list[Callable[[NodeConsole], None]] = []

    def report(self, write: Callable[[NodeConsole], None]) -> None:
        """Let the console know once the question is answered: it may be asked again."""
        self._reports.append(write)

    def answer(self, question: Callable[[NodeReader], T]) -> T:
        """What a question answers at the newest point. Raises what it raises.

        Raises _WentBack where the chain went back meanwhile, or forgot states: its blocks may have been others' by
        then, and its states collected.
        """
        self.console = self._node.console
        for _ in range(_MOVES):
            self._reports.clear()
            point = self._point = self._node.point
            retained = self.network.chain.index.retained
            try:
                self.network.chain.go_to(point)
                answer = question(self)
            except _Moved:
                continue
            except Exception as error:
                collected = retained != self.network.chain.index.retained
                if collected or self._chain.rewritten != point.rewritten:
                    raise _WentBack from error
                self._write_reports()
                raise
            if self._chain.rewritten != point.rewritten:
                raise _WentBack
            if self._reports:
                self._write_reports()
            return answer
        raise _WentBack

    def _check_newest(self) -> None:
        if self._node.point is not self._point:
            raise _Moved

    def _write_reports(self) -> None:
        for write in self._reports:
            NodeReader.report(self, write)
        self._reports.clear()


class QuestionThread:
    """A thread with the view that it answers on. `asked`: what it was given and has not answered."""

    def __init__(self, node: Node) -> None:
        self.view = NodeView(node)
        self.thread = RequestThread("questions")
        self.asked = 0


class Executors:
    """The threads of a node: `chain` executes changes, `questions` what views answer."""

    def __init__(self, node: Node) -> None:
        self._node, self._chain = node, node.network.chain
        self._publish()
        self._chain.watchers.append(self)
        self.questions = tuple(QuestionThread(node) for _ in range(QUESTION_THREADS))
        self.chain = RequestThread("network", self._publish)
        self.dispatcher = Dispatcher(node, self.chain.run, self.ask)

    def _publish(self) -> None:
        """Let questions that begin from now on see the chain as it is. For the chain's thread."""
        self._node.published = self._chain.point()

    def applied(self, tipset: Tipset) -> None:
        """Publish a block as soon as it is there: others may follow it in the same request."""
        self._publish()

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """The head moves after this call: it is published with the request that moves it."""

    def waits(self, candidate: Candidate) -> None:
        """Nothing is kept of transactions that wait."""

    async def ask(self, question: Callable[[NodeReader], Any]) -> Any:
        """What a question answers. Raises what it raises, RpcError -32000 where it was ended, or not left in peace."""
        for _ in range(_ATTEMPTS):
            chosen = self.questions[0]  # its caches are warm
            if chosen.asked:
                chosen = min(self.questions, key=_asked)
            chosen.asked += 1
            try:
                return await chosen.thread.run(partial(chosen.view.answer, question))
            except _WentBack:
                await self.chain.run(_wait)
            finally:
                chosen.asked -= 1
        raise RpcError(SERVER_ERROR, "the chain went back while this was answered: ask again")

    def interrupt(self) -> None:
        """End soon what is being done, and take nothing any more."""
        with ExitStack() as each:  # whatever one of them raises, the others are interrupted
            each.callback(self.chain.interrupt)
            for question in self.questions:
                each.callback(question.thread.interrupt)

    def stop(self) -> None:
        """Finish what was begun, and forget requests that were not."""
        for question in self.questions:
            question.thread.stop()
        self.chain.stop()
        self._node.published = None
        if self in self._chain.watchers:
            self._chain.watchers.remove(self)


def _asked(thread: QuestionThread) -> int:
    return thread.asked


def _wait() -> None:
    """What the chain's thread was doing is done, and published, when it comes to this."""
