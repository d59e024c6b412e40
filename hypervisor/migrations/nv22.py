"""State migration from actors v12 to v13 at network version 22: the market's state gets the sector of each deal.

A deal's state gets its sector's number and loses the ID of its claim. The market's state gets a map from provider and
sector to deals (FIP-0076). The sectors come from the states of miners. Source: forest `state_migration/nv22`.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.integers import encode_uleb128
from hypervisor.migrations.context import MigrationContext, tuple_of
from hypervisor.migrations.nv19 import MINER_FIELDS
from hypervisor.migrations.nv19_to_nv25 import SECTOR_FIELDS, SECTORS, SECTORS_BIT_WIDTH
from hypervisor.types import ActorID
from store.cid import Cid
from store.codec import link, unlink
from store.trees.amt import Amt
from store.trees.hamt import Hamt

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
