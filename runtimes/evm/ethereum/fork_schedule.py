"""The forks of a chain by block number, timestamp or total difficulty.

Networks are named as in Ethereum's test fixtures: a fork, or a transition between two forks at block 5
(`BerlinToLondonAt5`), at a timestamp (`ShanghaiToCancunAtTime15k`), or at a total difficulty
(`ArrowGlacierToParisAtDiffC0000`).
"""

import re
from dataclasses import dataclass
from typing import Final

from hypervisor.errors import InvalidInput
from runtimes.evm.ethereum.forks import Fork, find_fork, list_forks

_TRANSITION: Final = re.compile(r"(?P<before>\w+?)To(?P<after>\w+?)At(?P<kind>Time|Diff|)(?P<place>[0-9A-Fa-f]+k?)")
_DAO: Final = "Dao"


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """The forks of a chain: `first`, and optionally `later`.

    `later` applies from a block number, a timestamp, or a total difficulty of the parent. `dao_block` is the number of
    the block that moves the DAO's balances, or None.
    """

    first: Fork
    later: Fork | None = None
    at_block: int | None = None
    at_time: int | None = None
    at_difficulty: int | None = None
    dao_block: int | None = None

    def fork_at(self, number: int, timestamp: int, total_difficulty: int) -> Fork:
        """Return the fork of a block. `total_difficulty` is that of its parent."""
        if self.later is None:
            return self.first
        is_later = (
            (self.at_block is not None and number >= self.at_block)
            or (self.at_time is not None and timestamp >= self.at_time)
            or (self.at_difficulty is not None and total_difficulty >= self.at_difficulty)
        )
        return self.later if is_later else self.first


def schedule_of(network: str) -> ForkSchedule:
    """Return the schedule of a network by its name in fixtures. Raises InvalidInput for an unknown name."""
    fork = find_fork(network)
    if fork is not None:
        return ForkSchedule(fork)
    match = _TRANSITION.fullmatch(network)
    before = None if match is None else find_fork(match["before"])
    if match is None or before is None:
        raise _unknown_network(network)
    kind, place = match["kind"], match["place"]
    is_dao = match["after"] == _DAO and not kind
    after = find_fork(match["after"])
    if after is None and not is_dao:
        raise _unknown_network(network)
    try:
        if is_dao:
            return ForkSchedule(before, dao_block=int(place))
        if kind == "Diff":
            return ForkSchedule(before, after, at_difficulty=int(place, 16))
        number = int(place.removesuffix("k")) * (1000 if place.endswith("k") else 1)
    except ValueError:
        raise _unknown_network(network) from None
    return ForkSchedule(before, after, at_time=number) if kind else ForkSchedule(before, after, at_block=number)


def _unknown_network(network: str) -> InvalidInput:
    return InvalidInput(
        f"network '{network}' is not known: choose a transition such as BerlinToLondonAt5, ShanghaiToCancunAtTime15k or"
        f" HomesteadToDaoAt5, or one of {list_forks()}"
    )
