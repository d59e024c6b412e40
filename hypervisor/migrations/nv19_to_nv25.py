"""State migrations at network versions 19 to 25, for actors v10 to v16.

- Version 19, from actors v10 to v11: the type of window PoSt proofs becomes V1P1, in the info of each miner and in its
  claim of the power actor (FIP-0061).
- Version 21, from v11 to v12: new fields of sectors. In a sector's info, the epoch from which its power counts replaces
  the age of the replaced sector, and flags replace a boolean. A miner's sectors and the snapshot of each deadline
  contain infos.
- Version 22, from v12 to v13: a deal's state gets its sector's number and loses the ID of its claim. The market's state
  gets a map from provider and sector to deals (FIP-0076). The sectors come from the states of miners.
- Version 23: the mining reserve, f090, becomes an account without a key if it is a multisig; its balance and nonce are
  unchanged (FIP-0085).
- Version 24, from v14 to v15: the power actor gets the ramp of the pledge. From the upgrade's epoch on, the initial
  pledge moves to a new formula within a number of epochs (FIP-0081).
- Version 25, from v15 to v16: a deadline gets the power of its live sectors and a daily fee of zero (FIP-0100). The
  first entry of a miner's vesting funds moves into its state; the block has the others. A contract's state gets a field
  for transient storage (FIP-0097), which is empty.

Source: forest `state_migration/nv19` to `nv25`, and its network parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from hypervisor.bundles.genesis import RESERVE_ACTOR
from hypervisor.messages.address import Address
from hypervisor.migrations.context import MigrationContext, tuple_of
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, decode_bigint, encode_bigint, encode_uleb128
from store.cid import Cid
from store.codec import link, unlink
from store.trees.amt import Amt
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


_MARKET_FIELDS: Final = 12
_PROPOSALS, _STATES = 0, 1
_PROPOSAL_FIELDS: Final = 11
_STATE_FIELDS: Final = 4
_END_EPOCH: Final = 7
_DEALS, _EXPIRATION = 3, 5
_STATES_BIT_WIDTH: Final = 6
_NOT_SLASHED: Final = -1


def migrate_to_nv22(context: MigrationContext) -> None:
    """Collect the deals of all unexpired sectors, and rewrite the market's state."""
    store = context.tree.store
    sector_of_deal: dict[int, int] = {}
    provider_sectors = Hamt(store)

    def collect(actor: ActorID, head: Cid) -> Cid:
        state, deals_of_sector = context.fields(head, "the state", MINER_FIELDS), Hamt(store)
        found = False
        for number, info in Amt(store, unlink(state[SECTORS]), SECTORS_BIT_WIDTH).items():
            info = tuple_of(info, f"sectors/{number}", SECTOR_FIELDS)
            if info[_DEALS] and info[_EXPIRATION] >= context.epoch:
                found = True
                sector_of_deal.update(dict.fromkeys(info[_DEALS], number))
                deals_of_sector.set(encode_uleb128(number), info[_DEALS])
        if found:
            provider_sectors.set(encode_uleb128(actor), link(deals_of_sector.flush()))
        return head

    def market(_: ActorID, head: Cid) -> Cid:
        state = context.fields(head, "the state", _MARKET_FIELDS)
        proposals = Amt(store, unlink(state[_PROPOSALS]))

        def deal_state(number: int, fields: Any) -> list[Any]:
            start, updated, slashed, _ = tuple_of(fields, f"states/{number}", _STATE_FIELDS)
            proposal = tuple_of(proposals.get(number), f"proposals/{number}", _PROPOSAL_FIELDS)
            is_live = slashed == _NOT_SLASHED and proposal[_END_EPOCH] >= context.epoch
            return [sector_of_deal.get(number, 0) if is_live else 0, start, updated, slashed]

        state[_STATES] = link(Amt(store, unlink(state[_STATES]), _STATES_BIT_WIDTH).rewrite(deal_state))
        return context.put([*state, link(provider_sectors.flush())])

    context.rewrite("storageminer", collect)
    context.rewrite("storagemarket", market)


def migrate_to_nv23(context: MigrationContext) -> None:
    """Replace the code and the state of f090."""
    reserve = context.tree.get_actor(RESERVE_ACTOR)
    if reserve is not None and reserve.code == context.manifest.code("multisig"):
        head = context.put([Address.id(RESERVE_ACTOR).to_bytes()])
        code = context.manifest.code("account")
        context.tree.set_actor(RESERVE_ACTOR, ActorState(code, head, reserve.nonce, reserve.balance))


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
