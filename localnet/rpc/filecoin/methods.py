"""All of Filecoin's own methods, by topic."""

from __future__ import annotations

from typing import Final

from localnet.rpc import filecoin_f3, filecoin_miners, filecoin_mpool_checks, filecoin_node, filecoin_pledges
from localnet.rpc.filecoin import chain, deals, events, messages, miners, mpool, multisig, network, sectors, state

METHODS: Final = (
    *chain.METHODS,
    *deals.METHODS,
    *state.METHODS,
    *messages.METHODS,
    *events.METHODS,
    *filecoin_f3.METHODS,
    *mpool.METHODS,
    *filecoin_mpool_checks.METHODS,
    *filecoin_miners.METHODS,
    *miners.METHODS,
    *multisig.METHODS,
    *network.METHODS,
    *filecoin_pledges.METHODS,
    *sectors.METHODS,
    *filecoin_node.METHODS,
)
