"""State migration from actors v11 to v12 at network version 21: new fields of sectors.

In a sector's info, the epoch from which its power counts replaces the age of the replaced sector, and flags replace a
boolean. A miner's sectors and the snapshot of each deadline contain infos. Source: forest `state_migration/nv21`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from hypervisor.migrations.context import MigrationContext, tuple_of
from hypervisor.migrations.nv19 import MINER_FIELDS
from hypervisor.types import ActorID
from store.cid import Cid
from store.codec import link, unlink
from store.trees.amt import Amt

SECTORS: Final = 9
"""Index of the sectors in a miner's state."""
DEADLINES: Final = 12
"""Index of the deadlines in a miner's state."""
_DEADLINE_FIELDS: Final = 11
SECTOR_FIELDS: Final = 15
SECTORS_BIT_WIDTH: Final = 5
_CACHED: Final = 4096
"""Number of rewritten arrays to remember: most miners have equal, empty deadlines."""
_SNAPSHOT: Final = 8
_ACTIVATION, _REPLACED_AGE, _KEY, _SIMPLE_QA_POWER = 4, 11, 13, 14


def migrate_to_nv21(context: MigrationContext) -> None:
    """Rewrite the sectors of all miners."""
    store = context.tree.store

    @lru_cache(_CACHED)
    def sectors(root: Cid, part: str) -> Cid:
        return Amt(store, root, SECTORS_BIT_WIDTH).rewrite(lambda number, info: _sector(f"{part}/{number}", info))

    def deadline(fields: list[Any]) -> list[Any]:
        fields[_SNAPSHOT] = link(sectors(unlink(fields[_SNAPSHOT]), "deadlines/due/sectors_snapshot"))
        return fields

    deadlines = deadlines_rewriter(context, deadline)

    def miner(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", MINER_FIELDS)
        state[SECTORS] = link(sectors(unlink(state[SECTORS]), "sectors"))
        state[DEADLINES] = deadlines(state[DEADLINES])
        return context.put(state)

    context.rewrite("storageminer", miner)


def deadlines_rewriter(context: MigrationContext, change: Callable[[list[Any]], list[Any]]) -> Callable[[Any], Any]:
    """Return a function that copies a miner's deadlines with `change` applied to each, and returns the new link."""

    @lru_cache(_CACHED)
    def deadline(cid: Cid) -> Cid:
        return context.put(change(context.fields(cid, "deadlines/due", _DEADLINE_FIELDS)))

    def deadlines(root: Any) -> Any:
        (due,) = context.fields(unlink(root), "deadlines", 1)
        return link(context.put([[link(deadline(unlink(item))) for item in due]]))

    return deadlines


def _sector(field: str, info: Any) -> list[Any]:
    new = tuple_of(info, field, SECTOR_FIELDS).copy()
    activation, replaced_age = info[_ACTIVATION], info[_REPLACED_AGE]
    new[_REPLACED_AGE] = activation  # the field now holds the epoch from which the sector's power counts
    if info[_KEY] is not None:
        new[_ACTIVATION] = activation - replaced_age
    new[_SIMPLE_QA_POWER] = int(info[_SIMPLE_QA_POWER])
    return new
