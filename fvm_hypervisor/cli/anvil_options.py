"""Options of anvil that `hypervisor node` does not have: each is refused with the reason, or what to use instead."""

from __future__ import annotations

from typing import ClassVar, Final

from fvm_hypervisor.cli.foreign_options import ForeignOptions

_ONE_CHAIN = "every block and transaction of a chain is kept"
_STATES = "--keep-states N bounds the states that are kept (default: 4100, as anvil's 500 and 3600; with --state all)"
NOT_HERE: Final = {
    "--cache-path": "compiled modules are kept in the user's cache folder (XDG_CACHE_HOME)",
    "--celo": "the network is Filecoin's, or has Ethereum's rules (--rules)",
    "--code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can move that",
    "--disable-code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can move that",
    "--disable-console-log": "--silent prints nothing, anvil_setLoggingEnabled switches the printing off and on",
    "--disable-default-create2-deployer": "--bare leaves out the CREATE2 deployer, and Multicall3 with it",
    "--disable-min-priority-fee": "no least premium is asked for, so there is nothing to disable",
    "--disable-pool-balance-checks": "a transaction that its sender cannot pay is refused, as on the network",
    "--enable-tx-gas-limit": "the limit of a transaction is always that of the fork (--hardfork)",
    "--gas-price": "the price follows from the base fee: --block-base-fee-per-gas sets the first block's",
    "--init": "genesis has actors, not Ethereum's accounts: --load-state begins with a dumped state",
    "--ipc": "the node listens at a port only: --port 0 takes a free one and --ready-file says which",
    "--max-persisted-states": _STATES,
    "--max-transactions": _ONE_CHAIN,
    "--memory-limit": "memory is bounded by the gas of a message, and a call has at most 50,000,000",
    "--mixed-mining": "blocks come with transactions (the default) or with the clock (--block-time), not both",
    "--mnemonic-random": "`hypervisor wallet new` makes new keys; --mnemonic takes your own words",
    "--mnemonic-seed-unsafe": "--mnemonic takes your own words",
    "--no-request-size-limit": "a request has at most 5 MiB, so that no client can exhaust the node",
    "--number": "a chain begins at epoch 0: hypervisor_mineAfterNullRounds lets epochs pass",
    "--preserve-historical-states": "--keep-states N keeps more states than 4100; with --state every one is kept",
    "--print-traces": "`hypervisor trace` shows the calls of a transaction; those of one that fails are printed anyway",
    "--prune-history": _STATES,
    "--slots-in-an-epoch": "the blocks `safe` and `finalized` follow Filecoin's rules of finality",
    "--state-interval": "with --state, each block is written before its receipt is answered",
    "--steps-tracing": "debug_traceTransaction traces every transaction without being switched on",
    "--threads": "transactions are executed one after the other, whatever the number of threads",
    "--transaction-block-keeper": _ONE_CHAIN,
}


_SHORT: Final = {"-s": "--state-interval", "-j": "--threads"}
_OUTPUT: Final = {
    "-v": "`hypervisor trace` shows the calls of a transaction, and those of one that fails are printed anyway",
    "--json": "the node prints text alone; --config-out writes the accounts as JSON",
    "--color": "the environment variable NO_COLOR switches colours off",
}


class NodeCommand(ForeignOptions):
    """`hypervisor node`, which knows anvil's options by name."""

    origin = "anvil"
    here = "this node"
    reasons: ClassVar = {**NOT_HERE, **{short: NOT_HERE[name] for short, name in _SHORT.items()}, **_OUTPUT}
