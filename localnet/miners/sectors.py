"""Sectors of a miner, read from its state: deadlines, partitions, and information on chain.

Layouts: the IPLD schema of the miner actor. Sets of sectors are those of builtin-actors `partition_state.rs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bridge.actors.schemas import actor_schema
from hypervisor.errors import InvalidInput
from store.blockstore import Blockstore, get_object
from store.cid import Cid
from store.codec import unlink
from store.trees.amt import MAX_INDEX, Amt
from store.trees.bitfield import BitfieldError, decode_members

_MAX_PARTITION_SECTORS: Final = 10_000
"""Maximum number of sectors of a partition; more are not read. The network's largest has 2,349."""
_MAX_PARTITIONS: Final = 1 << 16
"""Maximum number of partitions of a deadline in a bitfield; more are not read."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The sectors of a partition by state, and its place: index of the deadline, and index in it."""

    deadline: int
    index: int
    expirations: Cid
    """Root of the queue of sectors by the epoch of their expiration."""
    all: frozenset[int]
    terminated: frozenset[int]
    faulty: frozenset[int]
    recovering: frozenset[int]
    unproven: frozenset[int]

    @property
    def live(self) -> frozenset[int]:
        """Sectors that are not terminated."""
        return self.all - self.terminated

    @property
    def active(self) -> frozenset[int]:
        """Sectors that are live, proven and not faulty."""
        return self.live - self.faulty - self.unproven


def deadlines(store: Blockstore, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields of a miner's deadlines, by the names of the schema; `state` has the miner's fields."""
    schema = actor_schema("storageminer")
    for due in schema.read("Deadlines", get_object(store, unlink(state["deadlines"])))["due"]:
        yield schema.read("Deadline", get_object(store, unlink(due)))


def partitions(store: Blockstore, state: dict[str, Any], only: int | None = None) -> Iterator[Partition]:
    """Yield a miner's partitions, or those of one deadline. Raises InvalidInput for sets that cannot be read."""
    for number, deadline in enumerate(deadlines(store, state)):
        if only is None or number == only:
            yield from _partitions_of(store, deadline, number)


def _partitions_of(store: Blockstore, deadline: dict[str, Any], number: int) -> Iterator[Partition]:
    schema = actor_schema("storageminer")
    for index, raw in Amt(store, unlink(deadline["partitions"])).items():
        fields = schema.read("Partition", raw)
        names = ("sectors", "terminated", "faults", "recoveries", "unproven")
        sets = [_members(fields[name], _MAX_PARTITION_SECTORS) for name in names]
        yield Partition(number, index, unlink(fields["expirations_epochs"]), *sets)


def sector_expiration(store: Blockstore, state: dict[str, Any], number: int) -> tuple[int | None, int | None]:
    """Return a sector's on-time and early expiration epochs from its partition's expiration queue.

    Both are None for a sector that is in no queue, because it was terminated or never existed. Raises InvalidInput.
    """
    for partition in partitions(store, state):
        if number in partition.all:
            queue = list(Amt(store, partition.expirations).items())
            on_time, early = (
                next((epoch for epoch, sets in queue if number in _members(sets[kind], _MAX_PARTITION_SECTORS)), None)
                for kind in (0, 1)
            )
            return on_time, early
    return None, None


def active_sectors(store: Blockstore, state: dict[str, Any]) -> list[int]:
    """Return the numbers of a miner's active sectors; `state` has its fields. Raises InvalidInput."""
    return sorted(number for partition in partitions(store, state) for number in partition.active)


def posted_partitions(deadline: dict[str, Any]) -> frozenset[int]:
    """Return the partitions of a deadline that were proven in its current window. Raises InvalidInput."""
    return _members(deadline["partitions_posted"], _MAX_PARTITIONS)


def _members(data: bytes, limit: int) -> frozenset[int]:
    try:
        return frozenset(decode_members(data, limit))
    except BitfieldError as error:
        raise InvalidInput(f"a set in the miner's state cannot be read: {error}") from None


def sector_info(store: Blockstore, state: dict[str, Any], number: int) -> dict[str, Any] | None:
    """Return a sector's information on chain by the names of the schema; None if there is none."""
    return next(sector_infos(store, state, (number,)), None)


def sector_infos(
    store: Blockstore, state: dict[str, Any], numbers: Iterable[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the information of the sectors with these numbers, by default of all in ascending order."""
    schema, table = actor_schema("storageminer"), Amt(store, unlink(state["sectors"]))
    if numbers is None:
        found = (value for _, value in table.items())
    else:
        found = (table.get(number) for number in numbers if number <= MAX_INDEX)
    yield from (schema.read("SectorOnChainInfo", value) for value in found if value is not None)
