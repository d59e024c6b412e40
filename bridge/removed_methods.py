"""Methods of built-in actors that are no longer there, and numbers that an actor accepts without a name.

Sources: the method numbers of the crates `fil_actor_*_state` (v10 to v19), and the fallbacks of builtin-actors.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from bridge.actors.interfaces import Interface
from bridge.actors.schemas import ActorMethod, actor_schema, methods_of
from fvm_hypervisor.builtin_actors.schemas import removed_text
from hypervisor.types import MethodNumber
from store.schema import Schema

REMOVED_NUMBERS: Final = {
    "storagemarket": "6 ActivateDeals, 8 ComputeDataCommitment",
    "storageminer": "6 PreCommitSector, 7 ProveCommitSector, 8 ExtendSectorExpiration, 17 ConfirmSectorProofsValid,"
    " 25 PreCommitSectorBatch, 26 ProveCommitAggregate, 27 ProveReplicaUpdates, 29 ProveReplicaUpdates2",
    "storagepower": "8 SubmitPoRepForBulkVerify",
}
"""Methods by number that actors had since version 10 and lost in a later one, in the format of FIXED_NUMBERS."""

_EXPORTED: Final = 1 << 24
FALLBACKS: Final = {"evm": 1024, "account": _EXPORTED, "ethaccount": _EXPORTED, "multisig": _EXPORTED}
"""First number of the open range of each actor: without a method of that number, it accepts any parameters."""


@cache
def removed_interface(actor: str) -> Interface:
    """Return the interface of an actor's removed methods; its schema has the types of the current ones too."""
    removed = Schema.parse(removed_text())
    known = actor_schema(actor)
    schema = Schema({**removed.types, **known.types}, tuple(dict.fromkeys((*removed.advanced, *known.advanced))))
    numbers = REMOVED_NUMBERS.get(actor, "")
    found = methods_of(removed.types, numbers) if numbers else {}
    own = [row.split() for row in numbers.split(", ") if row]
    methods: dict[str, tuple[MethodNumber, ActorMethod]] = {
        name: (MethodNumber(int(number)), found[MethodNumber(int(number))]) for number, name in own
    }
    return Interface(schema, methods)


def has_fallback(actor: str, number: int) -> bool:
    """Return True if an actor accepts a method number without a name, with any parameters."""
    return actor in FALLBACKS and number >= FALLBACKS[actor]
