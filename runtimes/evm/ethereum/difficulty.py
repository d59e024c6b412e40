"""The difficulty of a block under proof of work.

Sources: the execution specifications' `calculate_block_difficulty` of Frontier, Homestead and Byzantium; EIP-2,
EIP-100, and the delays of the difficulty bomb (EIP-649, 1234, 2384, 3554, 4345, 5133).
"""

from typing import Final

from runtimes.evm.ethereum.forks import DifficultyRule, Fork

_MINIMUM: Final = 131_072
_BOUND_DIVISOR: Final = 2048
_LOWEST_FACTOR: Final = -99
_BOMB_PERIOD: Final = 100_000
_MAX_PERIODS: Final = 300
"""Limit of the bomb's periods; with more, the difficulty does not fit in the 256 bits of a header field."""


def block_difficulty(fork: Fork, parent: int, number: int, elapsed: int, parent_has_ommers: bool) -> int:
    """Return the difficulty of block `number`.

    `parent` is the difficulty of its parent, `elapsed` the time since its parent in seconds.
    """
    match fork.difficulty_rule:
        case DifficultyRule.STEPS:
            factor = 1 if elapsed < 13 else -1
        case DifficultyRule.PROPORTIONAL:
            factor = max(1 - elapsed // 10, _LOWEST_FACTOR)
        case _:
            factor = max((2 if parent_has_ommers else 1) - elapsed // 9, _LOWEST_FACTOR)
    plain = max(parent + parent // _BOUND_DIVISOR * factor, _MINIMUM)
    periods = min(max(number - fork.bomb_delay, 0) // _BOMB_PERIOD, _MAX_PERIODS)
    return plain + (1 << (periods - 2) if periods > 1 else 0)
