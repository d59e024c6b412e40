"""All of Filecoin's own methods, by topic."""

from __future__ import annotations

from typing import Final

from localnet.rpc import (
    filecoin_chain,
    filecoin_deals,
    filecoin_events,
    filecoin_f3,
    filecoin_messages,
    filecoin_miners,
    filecoin_mining,
    filecoin_mpool,
    filecoin_mpool_checks,
    filecoin_multisig,
    filecoin_network,
    filecoin_node,
    filecoin_pledges,
    filecoin_sectors,
    filecoin_state,
)

METHODS: Final = (
    *filecoin_chain.METHODS,
    *filecoin_deals.METHODS,
    *filecoin_state.METHODS,
    *filecoin_messages.METHODS,
    *filecoin_events.METHODS,
    *filecoin_f3.METHODS,
    *filecoin_mpool.METHODS,
    *filecoin_mpool_checks.METHODS,
    *filecoin_miners.METHODS,
    *filecoin_mining.METHODS,
    *filecoin_multisig.METHODS,
    *filecoin_network.METHODS,
    *filecoin_pledges.METHODS,
    *filecoin_sectors.METHODS,
    *filecoin_node.METHODS,
)
