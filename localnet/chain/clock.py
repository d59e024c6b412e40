"""The chain's time: a clock that can be set ahead, and a time for the next block.

Time travel moves timestamps and leaves epochs alone. All times in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypervisor.argument_checks import whole_number
from hypervisor.errors import InvalidInput

Clock = Callable[[], float]

LARGEST_INTERVAL: Final = 1 << 32
"""Seconds between two blocks, at most."""

LATEST_TIME: Final = 253_402_300_799
"""The end of the year 9999: as far as time travel goes."""


class ChainClock:
    """What time it is on the chain; `offset` is how far it runs ahead of the clock that it was given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: int | None = None
        self.interval: int | None = None
        """Seconds between two blocks, where they do not take the clock's time."""
        self.offset = 0

    def increase(self, seconds: int) -> int:
        """Run ahead by so much more; the whole offset. Raises InvalidInput."""
        if whole_number(seconds, "a span of time", None, unit="seconds") < 0:
            raise InvalidInput(f"time does not run backwards: {seconds} seconds")
        _check(self._now() + seconds)
        self.offset += seconds
        return self.offset

    def set_next(self, timestamp: int, head: int) -> None:
        """The time of the block after one of time `head`; the clock goes on from there. Raises InvalidInput."""
        if whole_number(timestamp, "a time", None) <= head:
            raise InvalidInput(f"timestamp {timestamp} is not after the head's, {head}")
        _check(timestamp)
        self._next = timestamp

    def set_interval(self, seconds: int | None) -> None:
        """Put N seconds between blocks; with None they take the clock's time. Raises InvalidInput."""
        if seconds is not None:
            whole_number(seconds, "the time between two blocks", 1, LARGEST_INTERVAL, unit="seconds")
        self.interval = seconds

    def set(self, timestamp: int) -> int:
        """Let it be this time now; by how much it went ahead, 0 where it went back. Raises InvalidInput."""
        _check(whole_number(timestamp, "a time"))
        ahead = timestamp - self._now()
        self.offset += ahead
        return max(0, ahead)

    def after(self, head: int) -> int:
        """The time of the block after one of time `head`: what was set, or the clock's, but later than `head`."""
        if self._next is not None:
            return self._next
        return max(head + 1, self._now()) if self.interval is None else head + self.interval

    def block_made(self, timestamp: int) -> None:
        """A block has this time: the clock goes on from one that was set, and is never behind the head.

        Blocks that follow each other within a second run ahead of it otherwise, and `increase` would fall short.
        """
        ahead = timestamp - self._now()
        if self._next is not None or (self.interval is None and ahead > 0):
            self.offset += ahead
        self._next = None

    def go_back(self, offset: int) -> None:
        """To an earlier offset, with no time set."""
        self.offset, self._next = offset, None

    def _now(self) -> int:
        return int(self._clock()) + self.offset


def _check(timestamp: int) -> None:
    if timestamp > LATEST_TIME:
        raise InvalidInput(f"timestamp {timestamp} lies behind the year 9999")
