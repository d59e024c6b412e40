"""Transactions under Ethereum's rules: revm in a WASM guest, and the session, which holds a machine's state there.

The machine loads `EthereumExecutor` by its name in `hypervisor.machine.rules`. Packages above the runtimes import the
names below, and none of the modules. The guest is `runtimes/evm/guests/revm`; docs/engines.md describes the design.

Read `session`, `requests` and `held` first.
"""

from runtimes.evm.revm.accounts import Accounts, ContractCache, delegated_address, ethereum_address
from runtimes.evm.revm.campaign import Campaign, CampaignPlan, CampaignStep, CampaignTarget
from runtimes.evm.revm.exchanges import NO_WARMTH, split_warmth
from runtimes.evm.revm.executor import EthereumExecutor
from runtimes.evm.revm.guest import Guest, data_message, list_message
from runtimes.evm.revm.held import Snapshot
from runtimes.evm.revm.interception import (
    CheatContext,
    Decision,
    EmittedLog,
    Executed,
    FailureReason,
    Interception,
    MockAnswer,
    Prank,
    Replacement,
)
from runtimes.evm.revm.kernel_calls import contract_outcome
from runtimes.evm.revm.observation import (
    ALL_DEPTHS,
    Access,
    CannotObserve,
    InterceptedCall,
    ObservedEnd,
)
from runtimes.evm.revm.observed import NO_CHECK, ObservedCall, observe
from runtimes.evm.revm.protocol import (
    CHEATCODES,
    COUNT,
    LEAST_GAS,
    AccessKind,
    ChainTime,
    CheatResult,
    Failure,
    Interest,
    Mode,
    ValueType,
)
from runtimes.evm.revm.results import MESSAGES
from runtimes.evm.revm.session import StateSession, session_of
from runtimes.evm.revm.transactions import TransactionResult, block_of

__all__ = [
    "ALL_DEPTHS",
    "CHEATCODES",
    "COUNT",
    "LEAST_GAS",
    "MESSAGES",
    "NO_CHECK",
    "NO_WARMTH",
    "Access",
    "AccessKind",
    "Accounts",
    "Campaign",
    "CampaignPlan",
    "CampaignStep",
    "CampaignTarget",
    "CannotObserve",
    "ChainTime",
    "CheatContext",
    "CheatResult",
    "ContractCache",
    "Decision",
    "EmittedLog",
    "EthereumExecutor",
    "Executed",
    "Failure",
    "FailureReason",
    "Guest",
    "InterceptedCall",
    "Interception",
    "Interest",
    "MockAnswer",
    "Mode",
    "ObservedCall",
    "ObservedEnd",
    "Prank",
    "Replacement",
    "Snapshot",
    "StateSession",
    "TransactionResult",
    "ValueType",
    "block_of",
    "contract_outcome",
    "data_message",
    "delegated_address",
    "ethereum_address",
    "list_message",
    "observe",
    "session_of",
    "split_warmth",
]
