"""Ethereum's forks: the rules of each, and the checks that blocks and the pool need before execution.

Packages above the runtimes import the names below, and none of the modules. `runtimes.evm.revm` executes transactions
under these rules, `runtimes.evm.blocks` whole blocks.

Read `forks`, `validation` and `fork_eips` first.
"""

from runtimes.evm.forks.fork_eips import (
    changes_of_creation,
    changes_of_end,
    changes_of_opcode,
    changes_of_precompile,
    changes_of_transaction,
    fork_changes,
)
from runtimes.evm.forks.forks import (
    ALIASES,
    FORKS,
    LATEST_FORK,
    Fork,
    ForkBlobs,
    find_fork,
    fork_named,
    fork_with,
    list_forks,
    with_case,
)
from runtimes.evm.forks.validation import (
    InvalidBlock,
    InvalidTransaction,
    call_gas,
    floor_gas,
    gas_price,
    intrinsic_gas,
)

__all__ = [
    "ALIASES",
    "FORKS",
    "LATEST_FORK",
    "Fork",
    "ForkBlobs",
    "InvalidBlock",
    "InvalidTransaction",
    "call_gas",
    "changes_of_creation",
    "changes_of_end",
    "changes_of_opcode",
    "changes_of_precompile",
    "changes_of_transaction",
    "find_fork",
    "floor_gas",
    "fork_changes",
    "fork_named",
    "fork_with",
    "gas_price",
    "intrinsic_gas",
    "list_forks",
    "with_case",
]
