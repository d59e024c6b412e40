"""Timed block production: one block of the pending messages per interval, with optional null rounds."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from hypervisor.errors import InvalidInput
from localnet.rpc.errors import from_exception
from store.blockstore import StoreError

_LOG = logging.getLogger(__name__)
_MAX_SECONDS: Final = 1 << 31


class BlockTimer:
    """Timer of block production: the interval between epochs in seconds (0: off) and the share of null rounds.

    `null_rate` is the share of epochs without a block. `seed` makes their choice reproducible.
    """

    def __init__(self, seconds: float = 0, null_rate: float = 0, seed: int = 0) -> None:
        """Raise InvalidInput for values out of range."""
        if not 0 <= null_rate < 1:
            raise InvalidInput(f"the share of null rounds is {null_rate}: expected at least 0 and less than 1")
        self.null_rate = null_rate
        self._random = random.Random(seed)  # noqa: S311  # seeded for reproducible runs; not used for secrets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self.seconds = self._check(seconds)

    def set(self, seconds: float) -> None:
        """Change the interval. Thread-safe. Raises InvalidInput."""
        self.seconds = self._check(seconds)
        if self._loop is not None and self._changed is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self, mine: Callable[[int], Awaitable[Any]]) -> None:
        """Call `mine` at the end of each epoch that has a block.

        Its argument is the number of null rounds since the last block.
        """
        loop = self._loop = asyncio.get_running_loop()
        changed = self._changed = asyncio.Event()
        due, null_rounds = loop.time() + self.seconds, 0
        while True:
            try:
                await asyncio.wait_for(changed.wait(), max(0.0, due - loop.time()) if self.seconds else None)
                changed.clear()
                due = loop.time() + self.seconds
                continue
            except TimeoutError:
                due = max(due + self.seconds, loop.time())
            if self._random.random() < self.null_rate:
                null_rounds += 1
                continue
            try:
                await mine(null_rounds)
                null_rounds = 0
            except StoreError as error:  # such as a full disk
                _LOG.error("no block was made: %s", from_exception(error).message)
            except Exception:  # noqa: BLE001  # the next block may succeed
                _LOG.exception("no block was made")

    @staticmethod
    def _check(seconds: float) -> float:
        if not 0 <= seconds <= _MAX_SECONDS:
            raise InvalidInput(f"the block time is {seconds} seconds: expected 0 (no timed blocks) to {_MAX_SECONDS}")
        return seconds
