"""Delays between the calls of an invariant test's sequence: `max_time_delay` and `max_block_delay`.

Rules: forge's. Time and blocks pass before a call, also before one that reverts. If a call is removed from a failing
sequence, its delay is added to that of the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypervisor.types import ChainEpoch

if TYPE_CHECKING:
    from hypervisor.machine.machine import Hypervisor

_MAX: Final = (1 << 64) - 1
"""Maximum delay in a file, and maximum timestamp and block number that delays lead to."""
_HEX: Final = re.compile("0x[0-9a-fA-F]{1,16}")


class BlockDelay(NamedTuple):
    """Seconds and blocks that pass before a call."""

    seconds: int = 0
    blocks: int = 0

    def plus(self, others: Sequence[BlockDelay]) -> BlockDelay:
        """Return the sum of this delay and others, with each part at most 2^64 - 1, the maximum in a file."""
        return BlockDelay(*(min(sum(parts), _MAX) for parts in zip(self, *others, strict=True)))

    def forge_json(self) -> dict[str, str | None]:
        """Return the delay in forge's format; parts that are 0 are null."""
        return {name: hex(value) if value else None for name, value in zip(_NAMES, self, strict=True)}

    def text(self) -> str:
        """Return ` warp=5 roll=2`, without parts that are 0."""
        return "".join(f" {name}={value}" for name, value in zip(_NAMES, self, strict=True) if value)


_NAMES: Final = ("warp", "roll")
NO_DELAY: Final = BlockDelay()


def random_delay(rng: Random, max_seconds: int, max_blocks: int) -> BlockDelay:
    """Return a random delay, with each part less than its maximum; 0 for a maximum of 0."""
    if not max_seconds and not max_blocks:
        return NO_DELAY
    return BlockDelay(*(rng.randrange(top) if top else 0 for top in (max_seconds, max_blocks)))


def read_delay(row: Mapping[str, Any]) -> BlockDelay | None:
    """Return the delay of a call in forge's format, or None if it is not valid."""
    found = []
    for name in _NAMES:
        text = row.get(name)
        if text is None:
            text = "0x0"
        if not isinstance(text, str) or not _HEX.fullmatch(text):
            return None
        found.append(int(text, 16))
    return BlockDelay(*found)


def apply_delay(machine: Hypervisor, delay: BlockDelay) -> None:
    """Increase the block's timestamp and number by a delay, which does not lead beyond 2^64 - 1."""
    if delay != NO_DELAY:
        now = machine.context
        machine.advance(
            timestamp=_delayed(now.timestamp, delay.seconds), epoch=ChainEpoch(_delayed(now.epoch, delay.blocks))
        )


def _delayed(value: int, delay: int) -> int:
    return max(value, min(value + delay, _MAX))
