"""The interface between a local network and an executor of Ethereum's rules.

The machine finds the executor by the name of its rules (`hypervisor.rules`); the executor of a machine with Ethereum's
rules also implements `EthereumExecution`. Gas is Ethereum gas, amounts are in attoFIL (in place of wei).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bridge.addresses import EthAddress
from bridge.transactions import AccessList, Authorization, SignedTransaction, Transaction
from hypervisor.errors import MessageError
from hypervisor.types import TokenAmount

if TYPE_CHECKING:
    from hypervisor.executor import ApplyResult
    from hypervisor.message import Message


class RefusedTransaction(MessageError):
    """Raised for a transaction that is invalid in any block; nothing has changed.

    `name` is the reason in Ethereum's test fixtures.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.details = message


@dataclass(frozen=True, slots=True)
class Question:
    """A simulated call: any sender and nonce, and no fees unless specified.

    `to` is None for a contract creation.
    """

    sender: EthAddress
    to: EthAddress | None
    gas_limit: int
    value: TokenAmount = TokenAmount(0)
    data: bytes = b""
    max_fee: int = 0
    max_priority_fee: int = 0
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_hashes: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ForkFacts:
    """Properties of a fork: precompiles, blob schedule (counts; the fraction in gas), system contracts.

    `transaction_gas_cap` is the maximum gas of a transaction (EIP-7825); None: limited by the block only.
    """

    precompiles: frozenset[EthAddress]
    blob_target: int
    blob_maximum: int
    blob_update_fraction: int
    keeps_block_hashes: bool
    has_delegations: bool
    transaction_gas_cap: int | None


class BlobRules(Protocol):
    """A fork's rules of blobs. Counts of blobs; gas is blob gas, fees are in attoFIL for one of it."""

    @property
    def maximum(self) -> int:
        """Maximum number of blobs of a block."""

    @property
    def maximum_per_transaction(self) -> int:
        """Maximum number of blobs of a transaction."""

    @property
    def has_cell_proofs(self) -> bool:
        """True if a blob comes with proofs of its cells (EIP-7594), not with one of its own."""

    def base_fee(self, excess: int) -> int:
        """Return the blob base fee of a block with this excess of blob gas."""

    def next_excess(self, excess: int, blob_gas_used: int, base_fee: int) -> int:
        """Return a block's excess of blob gas from its parent's figures."""


@runtime_checkable
class ForkTable(Protocol):
    """The fork table of a factory of executors for Ethereum's rules (`hypervisor.rules.RuleSet.machine`)."""

    def fork_names(self) -> tuple[str, ...]:
        """Return the names of the supported forks, oldest first."""

    def transaction_types(self, fork: str) -> tuple[int, ...]:
        """Return the transaction types of a fork."""

    def blob_rules(self, fork: str) -> BlobRules:
        """Return a fork's rules of blobs."""


@runtime_checkable
class EthereumExecution(Protocol):
    """An executor of Ethereum's rules. If it raises RefusedTransaction, nothing has changed."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply a Filecoin message as the transaction that it carries (`hypervisor.rules.MessageExecutor`)."""

    def apply_signed(self, signed: SignedTransaction, sender: EthAddress) -> ApplyResult:
        """Apply a transaction of any type, signed by `sender`. Raises RefusedTransaction."""

    def ask(self, question: Question) -> ApplyResult:
        """Execute a simulated call; the caller rolls it back. Raises RefusedTransaction."""

    def apply_unpaid(self, message: Message, transaction: Transaction | None = None) -> ApplyResult:
        """Apply a message from any sender, with any nonce and without fees. Raises RefusedTransaction.

        `transaction` is the one that it carries, if the message alone does not contain all of it.
        """

    def check(self, asked: Message | Transaction, base_fee: TokenAmount) -> None:
        """Check a message or transaction for inclusion in a block with this base fee.

        Nonce and funds of the sender are not checked. Raises RefusedTransaction.
        """

    def may_send(self, code: bytes) -> bool:
        """Return True if an account with this code may send transactions (EIP-3607, EIP-7702)."""

    def fork_facts(self) -> ForkFacts:
        """Return the properties of the fork in the machine's context."""

    def begin_block(self, parent_hash: bytes) -> None:
        """Run the system operations before a block's transactions: store the parent's hash (EIP-2935)."""
