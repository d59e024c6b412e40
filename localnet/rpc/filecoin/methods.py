"""All of Filecoin's own methods, by topic."""

from __future__ import annotations

from typing import Final

from localnet.rpc.filecoin import auth, chain, deals, events, messages, miners, mpool, multisig, network, sectors, state

METHODS: Final = (
    *auth.METHODS,
    *chain.METHODS,
    *deals.METHODS,
    *state.METHODS,
    *messages.METHODS,
    *events.METHODS,
    *network.METHODS,
    *mpool.METHODS,
    *miners.METHODS,
    *multisig.METHODS,
    *sectors.METHODS,
)
