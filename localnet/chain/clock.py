"""The chain's time: a clock that can be set ahead, and a fixed time for the next block.

Time travel changes timestamps only; epochs stay consecutive. All times are in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.types import whole_number

Clock = Callable[[], float]

MAX_INTERVAL: Final = 1 << 32
"""Seconds between two blocks, at most."""

LATEST_TIME: Final = 253_402_300_799
"""Latest time that can be set: the end of the year 9999."""


@dataclass(frozen=True, slots=True)
class TimeTravel:
    """Time offset of a chain, restored with a snapshot."""

    offset: int = 0
    """Seconds that the chain's time runs ahead of the clock."""
    earliest: int = 0
    """The earliest time of the next block, in Unix seconds."""


NO_TIME_TRAVEL: Final = TimeTravel()


class ChainClock:
    """The chain's time: a clock plus an offset, and an optional fixed time of the next block."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: int | None = None
        self.interval: int | None = None
        """Seconds between two blocks; None to use the clock's time."""
        self.travel = NO_TIME_TRAVEL
        self._stopped: int | None = None

    def stop(self, timestamp: int) -> None:
        """Hold the chain's time at `timestamp` until `start`; blocks and time travel still advance it."""
        self._stopped = timestamp - self.travel.offset

    def start(self) -> None:
        """Follow the clock again."""
        self._stopped = None

    @property
    def is_stopped(self) -> bool:
        """True between `stop` and `start`."""
        return self._stopped is not None

    def increase(self, seconds: int, head: int) -> int:
        """Increase the offset, and return it; the next block is as much later than the head, whose time is `head`.

        The head may be ahead of the clock: blocks within one second are a second apart. Raises InvalidInput.
        """
        if whole_number(seconds, "a span of time", None, unit="seconds") < 0:
            raise InvalidInput(f"time does not run backwards: {seconds} seconds")
        earliest = max(head, self.travel.earliest) + seconds
        check_time(max(self.now() + seconds, earliest))
        self.travel = TimeTravel(self.travel.offset + seconds, earliest)
        return self.travel.offset

    def set_next(self, timestamp: int, head: int) -> None:
        """Set the time of the block after one of time `head`; the clock continues from there. Raises InvalidInput."""
        if whole_number(timestamp, "a time", None) <= head:
            raise InvalidInput(f"timestamp {timestamp} is not after the head's, {head}")
        check_time(timestamp)
        self._next = timestamp

    def set_interval(self, seconds: int | None) -> None:
        """Set a fixed interval between blocks in seconds; None uses the clock. Raises InvalidInput."""
        if seconds is not None:
            whole_number(seconds, "the time between two blocks", 1, MAX_INTERVAL, unit="seconds")
        self.interval = seconds

    def set(self, timestamp: int, head: int) -> int:
        """Set the current time; return the seconds by which the chain's time moved forward, 0 if it moved back.

        It was at least `head`, the head's time. Raises InvalidInput.
        """
        check_time(whole_number(timestamp, "a time"))
        now = self.now()
        self.travel = TimeTravel(self.travel.offset + timestamp - now)
        return max(0, timestamp - max(now, head))

    def after(self, head: int) -> int:
        """Return the time of the block after one of time `head`: what was set, or the chain's, but later than `head`.

        Raises InvalidInput for a time after the year 9999, or if the clock returns no time.
        """
        fixed, interval = self._next, self.interval  # read once: other threads call this too
        if fixed is not None:
            return fixed
        if interval is not None:
            return check_time(head + interval)
        timestamp = max(head + 1, self.travel.earliest, self.now())
        return timestamp if timestamp <= LATEST_TIME else check_time(timestamp)

    def record_block(self, timestamp: int) -> None:
        """Record the time of a new block: after a fixed time, the chain's time continues from it.

        If a block is ahead of the clock for another reason (several blocks in one second, a clock that stepped back),
        the offset is unchanged, and blocks use the clock's time again after it has caught up.
        """
        offset = self.travel.offset
        if self._next is not None:
            offset += timestamp - self.now()
            self._next = None
        if offset != self.travel.offset or self.travel.earliest:
            self.travel = TimeTravel(offset)

    def go_back(self, travel: TimeTravel) -> None:
        """Restore an earlier offset, and remove a fixed time."""
        self.travel, self._next = travel, None

    def now(self) -> int:
        """Return the chain's time, in Unix seconds. Raises InvalidInput if the clock returns none."""
        value = self._clock() if self._stopped is None else self._stopped
        if not 0 <= value <= LATEST_TIME:  # NaN is neither
            raise InvalidInput(
                f"the clock gives {value}: expected Unix seconds from 0 to {LATEST_TIME} (the year 9999)"
            )
        return int(value) + self.travel.offset


def check_time(timestamp: int) -> int:
    """Return a block's time in Unix seconds. Raises InvalidInput if it is after the year 9999."""
    if timestamp > LATEST_TIME:
        raise InvalidInput(f"timestamp {timestamp} is after the year 9999, which ends at {LATEST_TIME}")
    return timestamp
