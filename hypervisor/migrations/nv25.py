"""State migration from actors v15 to v16 at network version 25: miners' deadlines and vesting funds, contracts' states.

- A deadline gets the power of its live sectors and a daily fee of zero (FIP-0100).
- The first entry of a miner's vesting funds moves into its state; the block has the others.
- A contract's state gets a field for transient storage (FIP-0097), which is empty.

Source: forest `state_migration/nv25`.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.integers import decode_bigint, encode_bigint
from hypervisor.migrations.context import MigrationContext, tuple_of
from hypervisor.migrations.nv19 import MINER_FIELDS
from hypervisor.migrations.nv19_to_nv25 import DEADLINES, deadlines_rewriter
from hypervisor.types import ActorID
from store.cid import Cid
from store.codec import link, unlink
from store.trees.amt import Amt

_VESTING_FUNDS: Final = 3
_PARTITIONS: Final = 0
_PARTITION_FIELDS: Final = 11
_LIVE_POWER: Final = 7
_CONTRACT_FIELDS: Final = 5
_TRANSIENT: Final = 3
"""Index of the new field of contracts."""


def migrate_to_nv25(context: MigrationContext) -> None:
    """Rewrite the states of miners and contracts."""

    def deadline(fields: list[Any]) -> list[Any]:
        power = _live_power(Amt(context.tree.store, unlink(fields[_PARTITIONS])))
        return [*fields, power, encode_bigint(0)]

    deadlines = deadlines_rewriter(context, deadline)

    def miner(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", MINER_FIELDS)
        (funds,) = context.fields(unlink(state[_VESTING_FUNDS]), "vesting_funds", 1)
        state[_VESTING_FUNDS] = [funds[0], link(context.put(funds[1:]))] if funds else None
        state[DEADLINES] = deadlines(state[DEADLINES])
        return context.put(state)

    def contract(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", _CONTRACT_FIELDS)
        return context.put([*state[:_TRANSIENT], None, *state[_TRANSIENT:]])

    context.rewrite("storageminer", miner)
    context.rewrite("evm", contract)


def _live_power(partitions: Amt) -> list[bytes]:
    """Return the raw and quality-adjusted power of the live sectors in all partitions."""
    raw = quality_adjusted = 0
    for number, fields in partitions.items():
        part = f"deadlines/due/partitions/{number}"
        live = tuple_of(tuple_of(fields, part, _PARTITION_FIELDS)[_LIVE_POWER], f"{part}/live_power", 2)
        raw += decode_bigint(live[0])
        quality_adjusted += decode_bigint(live[1])
    return [encode_bigint(raw), encode_bigint(quality_adjusted)]
