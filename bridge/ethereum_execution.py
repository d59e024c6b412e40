"""What Ethereum's rules offer a chain beyond Filecoin's messages: the seam between a local network and their executor.

The machine finds the executor by the name of its rules (`hypervisor.rules`); a machine under these rules has one that
is an `EthereumExecution` too. Gas is Ethereum's, money in attoFIL, the place of wei.
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
    """A transaction that no block may hold; nothing has changed. `name` is the reason's in Ethereum's test fixtures."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.details = message


@dataclass(frozen=True, slots=True)
class Question:
    """A call from outside, of which nothing is kept: from anybody, at any nonce, without fees unless it names them.

    `to` is None where a contract would be created.
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
    """What a fork offers: its precompiles, its blob schedule (counts; the fraction in gas), its system contracts.

    `transaction_gas_cap` is what one transaction may use at most (EIP-7825); None: all of its block.
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
    """What makes executors of Ethereum's rules (`hypervisor.rules.RuleSet.machine`) has the table of its forks."""

    def fork_names(self) -> tuple[str, ...]:
        """The forks whose rules are there, oldest first."""

    def transaction_types(self, fork: str) -> tuple[int, ...]:
        """The types of transactions that a fork has."""

    def blob_rules(self, fork: str) -> BlobRules:
        """A fork's rules of blobs."""


@runtime_checkable
class EthereumExecution(Protocol):
    """An executor of Ethereum's rules. What raises RefusedTransaction has changed nothing."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply a Filecoin message as the transaction that it is (`hypervisor.rules.MessageExecutor`)."""

    def apply_signed(self, signed: SignedTransaction, sender: EthAddress) -> ApplyResult:
        """Apply a transaction that this sender signed, of any type. Raises RefusedTransaction."""

    def ask(self, question: Question) -> ApplyResult:
        """What a call does; taking it back is the caller's. Raises RefusedTransaction."""

    def apply_unpaid(self, message: Message) -> ApplyResult:
        """Apply a message in anybody's name, at any nonce and without fees. Raises RefusedTransaction."""

    def check(self, asked: Message | Transaction, base_fee: TokenAmount) -> None:
        """Whether a block with this base fee may hold a message or transaction, whatever its sender.

        Nonce and funds are not looked at. Raises RefusedTransaction.
        """

    def may_send(self, code: bytes) -> bool:
        """Whether an account with this code may send transactions (EIP-3607, EIP-7702)."""

    def fork_facts(self) -> ForkFacts:
        """What the fork of the machine's context offers."""

    def begin_block(self, parent_hash: bytes) -> None:
        """Do what the system does before a block's transactions: keep the parent's hash (EIP-2935)."""
