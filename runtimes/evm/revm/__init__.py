"""Ethereum's rules over the machine's actors: its transactions, gas, refunds, access lists and forks.

The machine loads `EthereumExecutor` by its name in `hypervisor.machine.rules`. Packages above the runtimes import the
names below, and none of the modules. Names for whole blocks are loaded on first use: calls and tests need none of them.

Read `forks`, `session` and `native` first.
"""

from typing import TYPE_CHECKING, Final

from runtimes.evm.revm.accounts import Accounts, ContractCache, delegated_address, ethereum_address
from runtimes.evm.blocks.alloc import AllocAccount, StateRoots, install_alloc, read_alloc, state_root
from runtimes.evm.revm.exchanges import NO_WARMTH, split_warmth
from runtimes.evm.revm.executor import EthereumExecutor
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
from runtimes.evm.revm.guest import (
    ISOLATES,
    KEEP,
    PAID,
    PAUSES,
    RECORDS,
    RECORDS_ALL,
    SHOWS_BASE_FEE,
    SHOWS_PRICE,
)
from runtimes.evm.revm.kernel_calls import contract_outcome
from runtimes.evm.revm.observation import (
    ALL_DEPTHS,
    Access,
    AccessKind,
    CannotObserve,
    InterceptedCall,
    Interest,
    ObservedEnd,
    SessionCall,
)
from runtimes.evm.revm.observed import NO_CHECK, ObservedCall, observe
from runtimes.evm.revm.session import MESSAGES, StateSession, session_of
from runtimes.evm.revm.transactions import TransactionResult, block_of
from runtimes.evm.forks.validation import (
    InvalidBlock,
    InvalidTransaction,
    call_gas,
    floor_gas,
    gas_price,
    intrinsic_gas,
)

if TYPE_CHECKING:
    from bridge.ethereum.block import Withdrawal
    from runtimes.evm.blocks.alloc import move_dao_balances
    from runtimes.evm.blocks.block_run import AppliedTransaction, BlockRun, logs_hash, requests_hash
    from runtimes.evm.blocks.chain_import import ChainImport, ForkSchedule, ImportedBlock, schedule_of
    from runtimes.evm.forks.fork_eips import (
        changes_of_creation,
        changes_of_end,
        changes_of_opcode,
        changes_of_precompile,
        changes_of_transaction,
        fork_changes,
    )
    from runtimes.evm.blocks.headers import (
        EMPTY_OMMERS,
        FIRST_BASE_FEE,
        Header,
        block_difficulty,
        block_hash_cid,
        parse_block,
    )

_MODULES: Final = {
    "AppliedTransaction": "runtimes.evm.blocks.block_run",
    "BlockRun": "runtimes.evm.blocks.block_run",
    "ChainImport": "runtimes.evm.blocks.chain_import",
    "EMPTY_OMMERS": "runtimes.evm.blocks.headers",
    "FIRST_BASE_FEE": "runtimes.evm.blocks.headers",
    "ForkSchedule": "runtimes.evm.blocks.chain_import",
    "Header": "runtimes.evm.blocks.headers",
    "ImportedBlock": "runtimes.evm.blocks.chain_import",
    "Withdrawal": "bridge.ethereum.block",
    "block_difficulty": "runtimes.evm.blocks.headers",
    "block_hash_cid": "runtimes.evm.blocks.headers",
    "changes_of_creation": "runtimes.evm.forks.fork_eips",
    "changes_of_end": "runtimes.evm.forks.fork_eips",
    "changes_of_opcode": "runtimes.evm.forks.fork_eips",
    "changes_of_precompile": "runtimes.evm.forks.fork_eips",
    "changes_of_transaction": "runtimes.evm.forks.fork_eips",
    "fork_changes": "runtimes.evm.forks.fork_eips",
    "logs_hash": "runtimes.evm.blocks.block_run",
    "move_dao_balances": "runtimes.evm.blocks.alloc",
    "parse_block": "runtimes.evm.blocks.headers",
    "requests_hash": "runtimes.evm.blocks.block_run",
    "schedule_of": "runtimes.evm.blocks.chain_import",
}

__all__ = [
    "ALIASES",
    "ALL_DEPTHS",
    "EMPTY_OMMERS",
    "FIRST_BASE_FEE",
    "FORKS",
    "ISOLATES",
    "KEEP",
    "LATEST_FORK",
    "MESSAGES",
    "NO_CHECK",
    "NO_WARMTH",
    "PAID",
    "PAUSES",
    "RECORDS",
    "RECORDS_ALL",
    "SHOWS_BASE_FEE",
    "SHOWS_PRICE",
    "Access",
    "AccessKind",
    "Accounts",
    "AllocAccount",
    "AppliedTransaction",
    "BlockRun",
    "CannotObserve",
    "ChainImport",
    "ContractCache",
    "EthereumExecutor",
    "Fork",
    "ForkBlobs",
    "ForkSchedule",
    "Header",
    "ImportedBlock",
    "InterceptedCall",
    "Interest",
    "InvalidBlock",
    "InvalidTransaction",
    "ObservedCall",
    "ObservedEnd",
    "SessionCall",
    "StateRoots",
    "StateSession",
    "TransactionResult",
    "Withdrawal",
    "block_difficulty",
    "block_hash_cid",
    "block_of",
    "call_gas",
    "changes_of_creation",
    "changes_of_end",
    "changes_of_opcode",
    "changes_of_precompile",
    "changes_of_transaction",
    "contract_outcome",
    "delegated_address",
    "ethereum_address",
    "find_fork",
    "floor_gas",
    "fork_changes",
    "fork_named",
    "fork_with",
    "gas_price",
    "install_alloc",
    "intrinsic_gas",
    "list_forks",
    "logs_hash",
    "move_dao_balances",
    "observe",
    "parse_block",
    "read_alloc",
    "requests_hash",
    "schedule_of",
    "session_of",
    "split_warmth",
    "state_root",
    "with_case",
]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'runtimes.evm.revm' has no attribute '{name}'")
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Include the names that are not loaded yet, for `help` and completion."""
    return sorted({*globals(), *__all__})
