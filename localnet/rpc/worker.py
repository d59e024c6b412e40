"""The one thread that a served network belongs to; the event loop waits for it without standing still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Worker:
    """Runs functions on a thread of its own, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def stop(self) -> None:
        """Finish what was begun, and forget what was not."""
        self._thread.shutdown(wait=True, cancel_futures=True)
