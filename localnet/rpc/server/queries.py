"""A thread pool for read-only requests, with a time limit per request and cancellation on disconnect.

A query runs on an idle thread or a new one, up to `MAX_THREADS`, so that a long query does not delay others. A query
that exceeds its time limit, or whose client disconnects, is abandoned: the client gets its response at once, and the
thread is interrupted and not used again. Threads share only what `localnet.chain.view` publishes. Traces yield to new
queries (`localnet.calls.pace`). Threads are used because another process could not read a network in memory.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from traceback import clear_frames
from typing import Any, Final

from hypervisor.errors import MemoryExhausted
from hypervisor.threads import SharedMemory, compile_seconds
from localnet.calls.pace import SHORT_EXECUTION, Pace, Turns
from localnet.chain.block_production import PendingPlan
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import Node, NodeReader, NodeView
from localnet.rpc.server.clients import REQUESTING_CLIENT
from localnet.rpc.server.metrics import Durations
from localnet.rpc.server.worker import RequestThread

_GONE: Final = "the client is gone"

Query = Callable[[NodeReader], Any]
"""A read-only query over the node's state."""


@dataclass(slots=True)
class ReaderQuery:
    """A query and its plan of the pending block. `spent` is its execution time so far in seconds."""

    read: Query
    kind: QueryKind
    plan: PendingPlan | None = None
    spent: float = 0.0


MAX_QUERIES: Final = 16
"""Maximum number of concurrent queries and traces, including cancelled ones that have not stopped yet."""
MAX_THREADS: Final = MAX_QUERIES + 2
"""Maximum number of threads: the remaining ones prepare transactions."""
MAX_TRACES: Final = 10
"""Maximum number of concurrent traces; the remaining threads stay available for other queries."""


MIN_IDLE: Final = 2
"""Number of idle threads that are kept with their caches; others end after `IDLE_TIME` seconds."""
IDLE_TIME: Final = 5.0
OWN_MEMORY: Final = 8 << 20
"""Bytes of memory of each query that do not count, so that large queries do not end the others."""


class QueryThread:
    """A query thread with its own view."""

    def __init__(self, node: Node, turns: Turns, memory: SharedMemory) -> None:
        self._node, self._memory = node, memory
        self._view: NodeView | None = None
        self._pace = Pace(turns)
        self._thread = RequestThread("queries")
        self._response: asyncio.Future[Any] | None = None
        self._kind = QueryKind.QUERY
        self._seconds = 0.0
        self._number = 0
        """Number of the thread, once it runs."""
        self._compiled = 0.0
        """Seconds of `compile_seconds` at the start of the current query."""
        self.since: float | None = None
        """Start time of the current query."""
        self.due = inf
        """Deadline of the current query. The time to compile modules delays it."""
        self.idle_since = inf

    @property
    def is_busy(self) -> bool:
        """True if the thread executes a query, even if its client already has a response."""
        return self._thread.is_busy

    def start(self, query: ReaderQuery) -> asyncio.Future[Any]:
        """Start a query and return the future of its result. For the event loop's thread."""
        self._kind = query.kind
        self._seconds = self._node.limits.of(self._kind) - query.spent
        self.since, self._compiled = time.monotonic(), compile_seconds(self._number)
        self.due = self.since + self._seconds
        self._response = self._thread.start(partial(self._execute, query))
        return self._response

    def refuse(self, reason: str) -> None:
        """Fail the query with RpcError -32000 unless it is completed. Called on the event loop's thread."""
        if self._response is not None and not self._response.done():
            self._response.set_exception(RpcError(SERVER_ERROR, reason))

    def end_overdue(self, now: float) -> None:
        """Refuse the query if its deadline has passed. For the event loop's thread."""
        if self.due <= now and self.since is not None:
            self.due = now + self._seconds - self.elapsed(now)
        if self.due <= now:
            self.due = inf
            self.refuse(_limit_text(self._node.limits.of(self._kind), self._kind))

    def elapsed(self, now: float) -> float:
        """Return the duration of the current query in seconds, without the time to compile modules."""
        assert self.since is not None, "a query is running"
        return now - self.since - (compile_seconds(self._number) - self._compiled)

    def release(self) -> None:
        """Mark the query as completed."""
        self._response, self.since, self.due, self.idle_since = None, None, inf, time.monotonic()

    def _execute(self, query: ReaderQuery) -> Any:
        """Execute a query on this thread. Raises its errors, and those of `NodeView.run`."""
        pace = self._pace
        if not self._number:
            self._number = threading.get_ident()
            self._compiled = compile_seconds(self._number)
        if self._view is None:
            pace.keep()
            self._view = NodeView(self._node)
        pace.began = time.monotonic()
        try:
            with self._memory.request():
                return self._run(self._view, query)
        except MemoryExhausted as error:
            remedy = "repeat it later, or give the node more by --query-memory MIB"
            raise RpcError(SERVER_ERROR, f"execution aborted: {error}; {remedy}") from None
        finally:
            if pace.has_turn:
                pace.pass_on()

    @staticmethod
    def _run(view: NodeView, query: ReaderQuery) -> Any:
        """Run a query. Free the frames of a failed one, whose actors would occupy memory until the error is sent."""
        try:
            return view.run(query.read, query.plan)
        except BaseException as error:
            failure: BaseException | None = error
            while failure is not None:
                clear_frames(failure.__traceback__)
                failure = failure.__context__
            raise

    def interrupt(self) -> None:
        """Abort running queries, and accept no more."""
        self._pace.end()
        self._thread.interrupt()

    def give_up(self, then: Callable[[], None]) -> None:
        """Abort the running query and end the thread, which finally calls `then`."""
        self._pace.end()

        def leave() -> None:
            self._pace.pass_on()  # the interrupt may have arrived during cleanup
            self._memory.release(self._number)
            self._view = None
            then()

        self._thread.give_up(leave)

    def stop(self) -> None:
        """Wait for the running query, and end the thread."""
        self._thread.stop()


class QueryPool:
    """The pool of query threads. `busy` returns True if the chain's thread has work."""

    def __init__(self, node: Node, busy: Callable[[], bool]) -> None:
        self._node, self._busy = node, busy
        self._turns = Turns(self._others_wait)
        self.memory = SharedMemory(node.limits.memory, "contracts and actors in all queries", OWN_MEMORY)
        self._lock = threading.Lock()
        self.threads: set[QueryThread] = set()
        self._idle: list[QueryThread] = []
        self.running = dict.fromkeys(QueryKind, 0)
        """Number of running queries, including cancelled ones that have not stopped yet."""
        self.runs, self.waits = ({kind: Durations() for kind in QueryKind} for _ in range(2))
        self._timer: asyncio.TimerHandle | None = None
        self._retiring: asyncio.TimerHandle | None = None
        self._ended = 0
        """Number of threads that have ended, and whose memory may be in use."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Handle of the timer."""
        self._waiting: dict[QueryKind, deque[Future[QueryThread]]] = {kind: deque() for kind in QueryKind}

    async def run(self, query: ReaderQuery) -> Any:
        """Return the result of a query.

        Raises the errors of the query and of `NodeView.run`, and RpcError -32000 if the query was cancelled.
        """
        kind, asked = query.kind, time.monotonic()
        with self._lock:
            thread = None if self._waiting[kind] else self._take(kind)
        if thread is None:
            thread = await self._next_thread(kind)
        client = REQUESTING_CLIENT.get()
        if client is not None and client.gone:
            self._release(thread, kind)
            raise RpcError(SERVER_ERROR, _GONE)
        try:
            response = thread.start(query)
            self.waits[kind].observe(time.monotonic() - asked)
            if client is not None:
                client.give_up = partial(thread.refuse, _GONE)
            if self._timer is None or thread.due < self._timer.when() or self._loop is not asyncio.get_running_loop():
                self._schedule_check(thread.due)
            return await response
        finally:
            if client is not None:
                client.give_up = None
            if thread.since is not None:
                self.runs[kind].observe(time.monotonic() - thread.since)
                query.spent += thread.elapsed(time.monotonic())
            if thread.is_busy:
                thread.give_up(lambda: self._forget(thread, kind))
                self._ended += 1
                self._schedule_retirement()
            else:
                self._release(thread, kind)

    @property
    def waiting(self) -> dict[QueryKind, int]:
        """Number of queries that wait for a thread."""
        return {kind: len(waiting) for kind, waiting in self._waiting.items()}

    async def wait(self, query: ReaderQuery, planned: asyncio.Future[Any]) -> Any:
        """Wait for the chain's thread on behalf of a query, within its time limit and while its client is connected.

        Raises the errors of the work, and RpcError -32000 if the query is abandoned.
        """
        seconds, client, begun = self._node.limits.of(query.kind), REQUESTING_CLIENT.get(), time.monotonic()
        if client is not None:
            client.give_up = partial(_cancel, planned)
        try:
            await asyncio.wait([planned], timeout=seconds - query.spent)
        finally:
            if client is not None:
                client.give_up = None
            query.spent += time.monotonic() - begun
        if client is not None and client.gone:
            raise RpcError(SERVER_ERROR, _GONE)
        if not planned.done():
            planned.cancel()
            raise RpcError(SERVER_ERROR, _limit_text(seconds, query.kind))
        return planned.result()

    def _schedule_check(self, due: float) -> None:
        """Schedule the check of time limits; one timer serves all queries."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(due, self._end_overdue)

    def _end_overdue(self) -> None:
        self._timer, now = None, time.monotonic()
        for thread in tuple(self.threads):
            thread.end_overdue(now)
        due = min((thread.due for thread in tuple(self.threads)), default=inf)
        if due < inf:
            self._schedule_check(due)

    def interrupt(self) -> None:
        """Abort running queries, and accept no more."""
        with ExitStack() as each:  # interrupt the others even if one raises
            for thread in tuple(self.threads):
                each.callback(thread.interrupt)

    def stop(self) -> None:
        """Finish running queries."""
        for thread in tuple(self.threads):
            thread.stop()

    def _others_wait(self) -> bool:
        """Return True if a short query waits for one that has been running for some time."""
        if self._busy():
            return True
        began = time.monotonic() - SHORT_EXECUTION
        return any(thread.since is not None and thread.since > began for thread in tuple(self.threads))

    # --- assignment of threads -------------------------------------------------------------------------------------

    def _take(self, kind: QueryKind) -> QueryThread | None:
        """Return an idle thread, or a new one below the limit. The lock is held."""
        if kind is QueryKind.TRACE and self.running[kind] >= MAX_TRACES:
            return None
        if kind is not QueryKind.PREPARATION and sum(self.running.values()) >= MAX_QUERIES:
            return None
        if self._idle:
            thread = self._idle.pop()  # the most recently used thread, whose caches are warm
        elif len(self.threads) < MAX_THREADS:
            thread = QueryThread(self._node, self._turns, self.memory)
            self.threads.add(thread)
        else:
            return None
        self.running[kind] += 1
        return thread

    async def _next_thread(self, kind: QueryKind) -> QueryThread:
        turn: Future[QueryThread] = Future()
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
        """Assign free threads to waiting queries, by the order of their kinds."""
        with self._lock:
            for kind, waiting in self._waiting.items():
                while waiting and (thread := self._take(kind)) is not None:
                    turn = waiting.popleft()
                    if turn.set_running_or_notify_cancel():
                        turn.set_result(thread)
                    else:
                        self._put_back(thread, kind)

    def _release(self, thread: QueryThread, kind: QueryKind) -> None:
        thread.release()
        with self._lock:
            self._put_back(thread, kind)
        if any(self._waiting.values()):
            self._hand_out()
        elif len(self._idle) > MIN_IDLE:
            self._schedule_retirement()

    def _schedule_retirement(self) -> None:
        if self._retiring is None:
            self._retiring = asyncio.get_running_loop().call_later(IDLE_TIME, self._retire)

    def _retire(self) -> None:
        """End threads that are idle for some time, and free the caches and engines of all that have ended."""
        self._retiring, end = None, time.monotonic() - IDLE_TIME
        with self._lock:
            ended = [thread for thread in self._idle[:-MIN_IDLE] if thread.idle_since <= end]
            self._idle = [thread for thread in self._idle if thread not in ended]
            self.threads.difference_update(ended)
        for thread in ended:
            thread.give_up(_do_nothing)
        self._ended += len(ended)
        # freeing takes up to a tenth of a second, during which nothing else runs
        if self._ended >= (MAX_THREADS if any(self.running.values()) else 1):
            self._ended = 0
            asyncio.get_running_loop().run_in_executor(None, _free_memory)
        if self._ended or len(self._idle) > MIN_IDLE:
            self._schedule_retirement()

    def _put_back(self, thread: QueryThread, kind: QueryKind) -> None:
        self._idle.append(thread)
        self.running[kind] -= 1

    def _forget(self, thread: QueryThread, kind: QueryKind) -> None:
        with self._lock:
            self.threads.discard(thread)
            self.running[kind] -= 1
        self._hand_out()


def _free_memory() -> None:
    """Free views that have ended, which have reference cycles, and return free memory to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # of glibc only


def _do_nothing() -> None:
    """Do nothing, as the last work of a thread."""


def _cancel(planned: asyncio.Future[Any]) -> None:
    planned.cancel()


def _limit_text(seconds: float, kind: QueryKind) -> str:
    """Return geth's error text, which clients recognise, and the remedy."""
    option = "--trace-time" if kind is QueryKind.TRACE else "--query-time"
    return (
        f"execution aborted (timeout = {seconds:g}s): {kind.value} may take no longer; give the node more by "
        f"{option} SECONDS"
    )
