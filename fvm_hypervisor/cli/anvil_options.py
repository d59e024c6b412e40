"""Unsupported options of anvil. Each is rejected with the reason or a replacement."""

from __future__ import annotations

from typing import ClassVar, Final

from fvm_hypervisor.cli.foreign_options import ForeignOptions

_ONE_CHAIN = "every block and transaction of a chain is stored"
_STATES = "--keep-states N limits the stored states (default: 4100, as anvil's 500 and 3600; with --state all)"
UNSUPPORTED: Final = {
    "--cache-path": "compiled modules are stored in the user's cache folder (XDG_CACHE_HOME)",
    "--celo": "the network is Filecoin's, or has Ethereum's rules (--rules)",
    "--code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can change it",
    "--disable-code-size-limit": "a contract has at most 24,576 bytes on the network; `hypervisor test` can change it",
    "--disable-console-log": "--silent prints nothing; anvil_setLoggingEnabled disables and enables the output",
    "--disable-default-create2-deployer": "--bare omits the CREATE2 deployer and Multicall3",
    "--disable-min-priority-fee": "there is no minimum priority fee",
    "--disable-pool-balance-checks": "transactions without sufficient funds are refused, as on the network",
    "--enable-tx-gas-limit": "the gas limit of a transaction always depends on the fork (--hardfork)",
    "--gas-price": "the price depends on the base fee: --block-base-fee-per-gas sets it for the next block",
    "--init": "the genesis consists of actors, not of Ethereum accounts: --load-state loads a dumped state",
    "--ipc": "the node only listens on a port: --port 0 selects a free one, and --ready-file contains it",
    "--max-persisted-states": _STATES,
    "--max-transactions": _ONE_CHAIN,
    "--memory-limit": "the gas of a message limits memory, and a call has at most 50,000,000 gas",
    "--mixed-mining": "blocks are mined for each transaction (the default) or at intervals (--block-time), not both",
    "--mnemonic-random": "`hypervisor wallet new` creates keys; --mnemonic takes your own words",
    "--mnemonic-seed-unsafe": "--mnemonic takes your own words",
    "--no-request-size-limit": "a request has at most 5 MiB, to protect the node from exhaustion",
    "--number": "a chain starts at epoch 0: hypervisor_mineAfterNullRounds skips epochs",
    "--preserve-historical-states": "--keep-states N stores more than 4100 states; with --state every state is stored",
    "--print-traces": "`hypervisor trace` shows the calls of a transaction; calls of failing ones are printed anyway",
    "--prune-history": _STATES,
    "--slots-in-an-epoch": "the blocks `safe` and `finalized` depend on Filecoin's rules of finality",
    "--state-interval": "with --state, each block is written before its receipts are returned",
    "--steps-tracing": "debug_traceTransaction works for every transaction without an option",
    "--threads": "--parallel sets the number of processes that execute a block's messages",
    "--transaction-block-keeper": _ONE_CHAIN,
}


_SHORT: Final = {"-s": "--state-interval", "-j": "--threads"}
_OUTPUT: Final = {
    "-v": "`hypervisor trace` shows the calls of a transaction; calls of failing ones are printed anyway",
    "--json": "the node only prints text; --config-out writes the accounts as JSON",
    "--color": "the environment variable NO_COLOR disables colours",
}


class NodeCommand(ForeignOptions):
    """The command `hypervisor node`, which recognises anvil's options."""

    origin = "anvil"
    here = "this node"
    reasons: ClassVar = {**UNSUPPORTED, **{short: UNSUPPORTED[name] for short, name in _SHORT.items()}, **_OUTPUT}
