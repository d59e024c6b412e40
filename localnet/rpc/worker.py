"""The one thread that a served network belongs to; the event loop waits for it without standing still.

What nobody waits for (`later`) is done there once there is no request left to answer.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from localnet.rpc.errors import SERVER_ERROR, RpcError

MOST_LATER: Final = 100
"""Pieces of work that nobody waits for; where there are more, the oldest is not done."""

_LAST_WORK: Final = 1.0
"""Seconds that such work may take when the node ends, but for its last piece."""


class Worker:
    """Runs functions on a thread of its own, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._working: int | None = None
        self._ending = False
        self._waiting = 0
        """Requests that are not answered yet."""
        self._counting = threading.Lock()
        self._later: deque[Callable[[], None]] = deque(maxlen=MOST_LATER)

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises. Raises RpcError -32000 where it was ended."""
        self._count(1)
        try:
            answer = self._thread.submit(self._do, work)
        except BaseException:
            self._count(-1)
            raise
        answer.add_done_callback(lambda _: self._count(-1))  # also where nobody waits any more
        try:
            return await asyncio.wrap_future(answer)
        except KeyboardInterrupt:
            raise RpcError(SERVER_ERROR, "the node is stopping") from None

    def interrupt(self) -> None:
        """End soon what is being done, and take nothing any more: a message that runs leaves no trace."""
        self._ending = True
        if self._working is not None:
            # As Ctrl-C on the main thread: the machine takes the gas away, and raises once the actor has ended.
            raised = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._working), raised)

    def later(self, work: Callable[[], None]) -> None:
        """Do what nobody waits for, and what does not raise, when no request waits; called on the network's thread."""
        if not self._later and not self._ending:
            self._thread.submit(self._do_later)
        self._later.append(work)

    def stop(self) -> None:
        """Finish what was begun, and forget what was not; of what nobody waits for, do what takes a moment."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        end = time.monotonic() + _LAST_WORK
        while self._later and not self._ending and time.monotonic() < end:
            self._later.popleft()()
        self._later.clear()

    def _do_later(self) -> None:
        if not self._waiting and self._later and not self._ending:
            try:
                self._do(self._later[0])
            except KeyboardInterrupt:
                return
            self._later.popleft()
        if self._later and not self._ending:
            self._thread.submit(self._do_later)

    def _count(self, requests: int) -> None:
        with self._counting:
            self._waiting += requests

    def _do(self, work: Callable[[], Any]) -> Any:
        if self._ending:
            raise KeyboardInterrupt
        self._working = threading.get_ident()
        try:
            return work()
        finally:
            self._working = None
