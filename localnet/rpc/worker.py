"""The one thread that a served network belongs to; the event loop waits for it without standing still."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localnet.rpc.errors import SERVER_ERROR, RpcError


class Worker:
    """Runs functions on a thread of its own, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._working: int | None = None
        self._ending = False

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises. Raises RpcError -32000 where it was ended."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)
        except KeyboardInterrupt:
            raise RpcError(SERVER_ERROR, "the node is stopping") from None

    def interrupt(self) -> None:
        """End soon what is being done, and take nothing any more: a message that runs leaves no trace."""
        self._ending = True
        if self._working is not None:
            # As Ctrl-C on the main thread: the machine takes the gas away, and raises once the actor has ended.
            raised = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._working), raised)

    def stop(self) -> None:
        """Finish what was begun, and forget what was not."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _do(self, work: Callable[[], Any]) -> Any:
        if self._ending:
            raise KeyboardInterrupt
        self._working = threading.get_ident()
        try:
            return work()
        finally:
            self._working = None
