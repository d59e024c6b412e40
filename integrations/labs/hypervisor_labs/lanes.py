"""The lab `lanes`: each class of messages has a reserved share of a block's gas.

Terms, messages, gas and invariants: docs/labs/lanes.md. `LaneBuilding.lane_of` determines the class of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import Lab
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.threads import BoundedCache
from hypervisor.types import METHOD_SEND
from localnet.ledger.candidates import Candidate
from localnet.rules.parts import NetworkRules, Rank
from store.blockstore import get_object
from store.cid import Cid
from store.codec import unlink

LAB: Final = Lab(
    what="shares of a block's gas for system, storage providers and users",
    network=f"{__name__}:with_lanes",
    option="percentages of system, providers and users, such as 10/40/50",
)


@dataclass(frozen=True, slots=True)
class Lane:
    """A class of messages and its share of a block's gas, in per cent."""

    name: str
    share: int


LANES: Final = (Lane("system", 10), Lane("providers", 40), Lane("users", 50))
"""Default lanes and their shares; the last one is for messages of no other class."""

UPKEEP: Final = frozenset({"storagepower", "reward", "verifiedregistry"})
"""Built-in actors whose messages maintain the network."""
REPORT_CONSENSUS_FAULT: Final = 15
"""Method of a miner actor that every account may call, and on which the network depends."""

_SYSTEM, _PROVIDERS, _USERS = range(3)
_INFO, _OWNER, _WORKER, _CONTROLS = 0, 0, 1, 2
"""Fields of a miner's state, and of its info."""
_CACHED_INFOS: Final = 4_096


def with_lanes(rules: NetworkRules, option: str) -> NetworkRules:
    """Return rules whose blocks are filled by lanes. Raises InvalidInput for a share of 0, or a sum not 100."""
    return replace(rules, building=LaneBuilding(shares_of(option) if option else LANES))


def shares_of(option: str) -> tuple[Lane, ...]:
    """Return the lanes with the shares of an option such as `10/40/50`. Raises InvalidInput."""
    names = "/".join(lane.name for lane in LANES)
    parts = option.split("/")
    if len(parts) != len(LANES) or not all(word.isascii() and word.isdigit() and len(word) < 4 for word in parts):
        raise InvalidInput(f"lanes={option}: expected three whole per cents, {names}, such as lanes=10/40/50")
    shares = [int(word) for word in parts]
    for lane, share in zip(LANES, shares, strict=True):
        if share == 0:
            raise InvalidInput(
                f"lanes={option}: the lane '{lane.name}' has no gas: each lane needs at least 1 per cent"
            )
    if sum(shares) != 100:
        raise InvalidInput(f"lanes={option}: the shares add up to {sum(shares)} per cent: they must add up to 100")
    return tuple(Lane(lane.name, share) for lane, share in zip(LANES, shares, strict=True))


class LaneBuilding:
    """Rules of block building that reserve a share of the block's gas for each lane."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(lanes)
        self._infos = BoundedCache[Cid, frozenset[Address]](_CACHED_INFOS, "lanes")

    def pool_class(self, machine: Hypervisor, candidate: Candidate, default: int) -> tuple[int, int]:
        """Return the lane of a message and its pool limit: the default for users, a share of it for other lanes."""
        lane = self.lane_of(machine, candidate)
        return lane, default if lane == _USERS else default * self.lanes[lane].share // 100

    def choose(
        self, machine: Hypervisor, queues: Sequence[Sequence[Candidate]], rank: Rank, gas_limit: int
    ) -> list[Candidate]:
        """Fill each lane up to its share, then the remaining space; by rank, with each sender's nonces in order."""
        left = [gas_limit * lane.share // 100 for lane in self.lanes]
        positions = [0] * len(queues)
        chosen: list[Candidate] = []
        for by_lane in (True, False):
            heads = [
                (rank(queue[position]), at)
                for at, queue in enumerate(queues)
                if (position := positions[at]) < len(queue)
            ]
            heads.sort()
            while heads:
                _, at = heappop(heads)
                candidate = queues[at][positions[at]]
                limit = candidate.bare.gas_limit
                if by_lane:
                    lane = self.lane_of(machine, candidate)
                    if limit > left[lane]:
                        continue  # the sender's later messages wait, since this one may still fit the remaining gas
                    left[lane] -= limit
                elif limit > gas_limit:
                    continue
                gas_limit -= limit
                chosen.append(candidate)
                positions[at] += 1
                if positions[at] < len(queues[at]):
                    heappush(heads, (rank(queues[at][positions[at]]), at))
        return chosen

    def lane_of(self, machine: Hypervisor, candidate: Candidate) -> int:
        """Return the index in `lanes` of a message's class, at the state of the head.

        Storage providers: a method of a miner actor, sent by its owner, worker or a control address. System:
        a report of a consensus fault, or a method of an actor of `UPKEEP`.
        """
        message = candidate.bare
        actor = None if message.method == METHOD_SEND else machine.actor(message.to)
        kind = None if actor is None else machine.manifest.name_of(actor.code)
        if kind in UPKEEP:
            return _SYSTEM
        if kind != "storageminer" or actor is None:
            return _USERS
        if message.method == REPORT_CONSENSUS_FAULT:
            return _SYSTEM
        sender = machine.state_tree.lookup_id(message.from_)
        operates = sender is not None and Address.id(sender) in self._operators(machine, actor)
        return _PROVIDERS if operates else _USERS

    def _operators(self, machine: Hypervisor, miner: ActorState) -> frozenset[Address]:
        info = unlink(get_object(machine.store, miner.head)[_INFO])
        known = self._infos.get(info)
        if known is None:
            fields = get_object(machine.store, info)
            named = (fields[_OWNER], fields[_WORKER], *fields[_CONTROLS])
            known = frozenset(map(Address.from_bytes, named))
            self._infos.put(info, known, 1)
        return known
