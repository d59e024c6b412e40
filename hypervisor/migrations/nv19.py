"""State migration from actors v10 to v11 at network version 19: the type of window PoSt proofs becomes V1P1.

The type is in the info of each miner and in its claim of the power actor (FIP-0061). Source: forest
`state_migration/nv19`.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.migrations.context import MigrationContext, tuple_of
from hypervisor.types import ActorID
from store.cid import Cid
from store.codec import link, unlink
from store.trees.hamt import Hamt

MINER_FIELDS: Final = 15
POWER_FIELDS: Final = 15
_INFO_FIELDS: Final = 14
_CLAIM_FIELDS: Final = 3
_PROOF_OF_INFO: Final = 6
_CLAIMS: Final = 13
_V1: Final = range(5, 10)
"""Window PoSt proofs V1 of 2 KiB, 8 MiB, 512 MiB, 32 GiB and 64 GiB sectors; V1P1 follow in the same order."""
_V1P1: Final = range(10, 15)


def migrate_to_nv19(context: MigrationContext) -> None:
    """Replace the proof types in the states of miners and the power actor."""
    store = context.tree.store

    def miner(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", MINER_FIELDS)
        info = context.fields(unlink(state[0]), "info", _INFO_FIELDS)
        info[_PROOF_OF_INFO] = _new_proof(info[_PROOF_OF_INFO], "info/window_post_proof_type")
        return context.put([link(context.put(info)), *state[1:]])

    def claim(key: bytes, fields: Any) -> list[Any]:
        part = f"claims/{key.hex()}"
        proof, raw, quality_adjusted = tuple_of(fields, part, _CLAIM_FIELDS)
        return [_new_proof(proof, f"{part}/window_post_proof_type"), raw, quality_adjusted]

    def power(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", POWER_FIELDS)
        state[_CLAIMS] = link(Hamt(store, unlink(state[_CLAIMS])).rewrite(claim))
        return context.put(state)

    context.rewrite("storageminer", miner)
    context.rewrite("storagepower", power)


def _new_proof(proof: Any, field: str) -> int:
    if proof in _V1:
        return _V1P1[_V1.index(proof)]
    if proof in _V1P1:
        return int(proof)
    raise ValueError(f"{field} is {proof!r:.40}, expected the number of a window PoSt proof, 5 to 14")
