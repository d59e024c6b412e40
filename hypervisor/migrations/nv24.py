"""State migration from actors v14 to v15 at network version 24: the power actor gets the ramp of the pledge.

From the upgrade's epoch on, the initial pledge moves to a new formula within a number of epochs (FIP-0081). Source:
forest `state_migration/nv24` and its network parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hypervisor.migrations.context import MigrationContext
from hypervisor.migrations.nv19 import POWER_FIELDS
from hypervisor.types import ActorID
from store.cid import Cid

_RAMP: Final = 11
"""Index of the two new fields."""
_EPOCHS_IN_DAY: Final = 2_880
RAMP_EPOCHS: Final[Mapping[str, int]] = {
    "mainnet": 365 * _EPOCHS_IN_DAY,
    "calibrationnet": 3 * _EPOCHS_IN_DAY,
    "butterflynet": 365 * _EPOCHS_IN_DAY,
}
"""Length of the ramp by network name, in epochs."""
DEVELOPMENT_RAMP_EPOCHS: Final = 200


def migrate_to_nv24(context: MigrationContext) -> None:
    """Add the ramp's start and length to the power actor's state."""
    length = RAMP_EPOCHS.get(context.network_name, DEVELOPMENT_RAMP_EPOCHS)

    def power(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", POWER_FIELDS)
        return context.put([*state[:_RAMP], context.epoch, length, *state[_RAMP:]])

    context.rewrite("storagepower", power)
