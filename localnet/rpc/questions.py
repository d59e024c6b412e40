"""The threads that answer questions: each as long as it may, and for as long as its client is there.

An idle thread answers, else a new one does, up to `MOST`; so a question that takes long holds up no other. One that has
had its time, or whose client has gone, is given up: the client has its answer at once, the thread is interrupted and
used no more, with all that was its own. What a question touches is its thread's, or is shared as `localnet.chain.view`
says, so nothing else has to know. A trace gives way to whatever has only just begun (`localnet.calls.pace`).

Why threads and not processes: a network in memory is in no other process, and a trace that gives way is one that no
other request waits for: a process would answer no sooner.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from localnet.calls.pace import JUST_BEGUN, Pace, Turns
from localnet.rpc.asking_client import ASKING_CLIENT
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.methods import QuestionKind
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.node_view import NodeView
from localnet.rpc.worker import RequestThread

Question = Callable[[NodeReader], Any]

MOST: Final = 16
"""Questions that are answered at a time; what was given up and has not ended yet is one of them."""
MOST_TRACES: Final = 10
"""Traces among them, so that no number of traces holds up anything else."""


class QuestionThread:
    """A thread with a view of its own. `since`: when it began to answer what it is answering."""

    def __init__(self, node: Node, turns: Turns) -> None:
        self._node = node
        self._view: NodeView | None = None
        self._pace = Pace(turns)
        self.thread = RequestThread("questions")
        self.since: float | None = None

    def answer(self, question: Question) -> Any:
        """What a question answers, on this thread. Raises what it raises, and WentBack."""
        pace = self._pace
        if self._view is None:
            pace.keep()
            self._view = NodeView(self._node)
        pace.began = time.monotonic()
        try:
            return self._view.answer(question)
        finally:
            if pace.has_turn:
                pace.pass_on()

    def interrupt(self) -> None:
        """End soon what is being answered, and take nothing any more."""
        self._pace.end()
        self.thread.interrupt()

    def give_up(self, then: Callable[[], None]) -> None:
        """End soon what is being answered, and the thread with it; `then` is called there at last."""
        self._pace.end()

        def leave() -> None:
            self._pace.pass_on()  # it may have been interrupted where it did so
            then()

        self.thread.give_up(leave)

    def stop(self) -> None:
        """Wait for what is being answered, and end the thread."""
        self.thread.stop()


class QuestionThreads:
    """The threads. `busy` says whether the chain's own has something to do."""

    def __init__(self, node: Node, busy: Callable[[], bool]) -> None:
        self._node, self._busy = node, busy
        self._turns = Turns(self._others_wait)
        self._lock = threading.Lock()
        self.threads: set[QuestionThread] = set()
        self._idle: list[QuestionThread] = []
        self._traces = 0
        self._waiting: dict[QuestionKind, deque[Future[QuestionThread]]] = {kind: deque() for kind in QuestionKind}

    async def ask(self, question: Question, kind: QuestionKind) -> Any:
        """What a question answers. Raises what it raises, WentBack, and RpcError -32000 where it was given up."""
        with self._lock:
            thread = None if self._waiting[kind] else self._take(kind)
        if thread is None:
            thread = await self._next_thread(kind)
        asker = ASKING_CLIENT.get()
        if asker is not None and asker.gone:
            self._release(thread, kind)
            raise RpcError(SERVER_ERROR, "the client is gone")
        limits = self._node.limits
        seconds = limits.trace if kind is QuestionKind.TRACE else limits.question
        try:
            async with asyncio.timeout(seconds) as end:
                if asker is not None:
                    asker.give_up = partial(_end_now, end)
                thread.since = time.monotonic()
                return await thread.thread.run(partial(thread.answer, question))
        except TimeoutError:
            if not end.expired():
                raise
            raise RpcError(SERVER_ERROR, _words(seconds, kind)) from None
        finally:
            if asker is not None:
                asker.give_up = None
            if thread.thread.is_asked:
                thread.give_up(lambda: self._forget(thread, kind))
            else:
                self._release(thread, kind)

    def interrupt(self) -> None:
        """End soon what is being answered, and take nothing any more."""
        with ExitStack() as each:  # whatever one of them raises, the others are interrupted
            for thread in tuple(self.threads):
                each.callback(thread.interrupt)

    def stop(self) -> None:
        """Finish what was begun."""
        for thread in tuple(self.threads):
            thread.stop()

    def _others_wait(self) -> bool:
        """Whether something waits that is soon answered, for what has been executing for some time."""
        if self._busy():
            return True
        began = time.monotonic() - JUST_BEGUN
        return any(thread.since is not None and thread.since > began for thread in tuple(self.threads))

    # --- who answers ------------------------------------------------------------------------------------------

    def _take(self, kind: QuestionKind) -> QuestionThread | None:
        """A thread that is not used, if there may be one more. The lock is held."""
        if kind is QuestionKind.TRACE and self._traces >= MOST_TRACES:
            return None
        if self._idle:
            thread = self._idle.pop()  # the one that was used last: its caches are warm
        elif len(self.threads) < MOST:
            thread = QuestionThread(self._node, self._turns)
            self.threads.add(thread)
        else:
            return None
        self._traces += kind is QuestionKind.TRACE
        return thread

    async def _next_thread(self, kind: QuestionKind) -> QuestionThread:
        turn: Future[QuestionThread] = Future()
        with self._lock:
            self._waiting[kind].append(turn)
        self._hand_out()
        try:
            return await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            if not turn.cancel():
                self._release(turn.result(), kind)
            raise

    def _hand_out(self) -> None:
        """Give threads that are free to what waits for one, calls before traces."""
        with self._lock:
            for kind, waiting in self._waiting.items():
                while waiting and (thread := self._take(kind)) is not None:
                    turn = waiting.popleft()
                    if turn.set_running_or_notify_cancel():
                        turn.set_result(thread)
                    else:
                        self._put_back(thread, kind)

    def _release(self, thread: QuestionThread, kind: QuestionKind) -> None:
        thread.since = None
        with self._lock:
            self._put_back(thread, kind)
        if any(self._waiting.values()):
            self._hand_out()

    def _put_back(self, thread: QuestionThread, kind: QuestionKind) -> None:
        self._idle.append(thread)
        self._traces -= kind is QuestionKind.TRACE

    def _forget(self, thread: QuestionThread, kind: QuestionKind) -> None:
        with self._lock:
            self.threads.discard(thread)
            self._traces -= kind is QuestionKind.TRACE
        self._hand_out()


def _end_now(end: asyncio.Timeout) -> None:
    if not end.expired():  # else it ends already, and may not be ended once more
        end.reschedule(0)


def _words(seconds: float, kind: QuestionKind) -> str:
    """geth's words, by which clients know it, and what to do."""
    option = "--trace-time" if kind is QuestionKind.TRACE else "--question-time"
    return (
        f"execution aborted (timeout = {seconds:g}s): {kind.value} may take no longer; give the node more by "
        f"{option} SECONDS"
    )
