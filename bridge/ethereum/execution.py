"""The interface between a local network and an executor of Ethereum's rules.

The machine finds the executor by the name of its rules (`hypervisor.machine.rules`); the executor of a machine with
Ethereum's rules also implements `EthereumExecution`. Gas is Ethereum gas, amounts are in attoFIL (in place of wei).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import AccessList, Authorization, SignedTransaction, Transaction
from hypervisor.errors import MessageError
from hypervisor.types import ActorID, TokenAmount

if TYPE_CHECKING:
    from hypervisor.machine.executor import ApplyResult
    from hypervisor.messages.address import Address
    from hypervisor.messages.message import Message


class RefusedTransaction(MessageError):
    """Raised for a transaction that the current block cannot include; the state is unchanged.

    `name` is the exception name in Ethereum's test fixtures.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.details = message


class CallMessage(NamedTuple):
    """A call to simulate (`eth_call`): sender and nonce are not checked, and fees are zero by default.

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
    is_capped: bool = False
    """True if the fork's gas caps for transactions apply, as for an estimate."""


class ForkFacts(NamedTuple):
    """Properties of a fork. Blob target and maximum are numbers of blobs; the update fraction is in blob gas.

    `transaction_gas_cap` is the maximum gas limit of a transaction (EIP-7825), or None if only the block limits it.
    `draft` is the specification's date if the fork may still change, else empty.
    """

    precompiles: frozenset[EthAddress]
    blob_target: int
    blob_maximum: int
    blob_update_fraction: int
    keeps_block_hashes: bool
    has_delegations: bool
    transaction_gas_cap: int | None
    draft: str


class HeldAccount(NamedTuple):
    """An account in attoFIL. `code` is its code, or at least as much of it as a delegation has."""

    balance: int
    nonce: int
    code: bytes


class BlobRules(Protocol):
    """The blob rules of a fork. Limits are numbers of blobs; fees are in attoFIL per blob gas."""

    @property
    def maximum(self) -> int:
        """Maximum number of blobs of a block."""

    @property
    def maximum_per_transaction(self) -> int:
        """Maximum number of blobs of a transaction."""

    @property
    def has_cell_proofs(self) -> bool:
        """True if a blob has cell proofs (EIP-7594) instead of one blob proof."""

    def base_fee(self, excess: int) -> int:
        """Return the blob base fee for this excess blob gas."""

    def next_excess(self, excess: int, blob_gas_used: int, base_fee: int) -> int:
        """Return a block's excess blob gas, computed from its parent's excess, blob gas used and base fee."""


@runtime_checkable
class ForkTable(Protocol):
    """Lookup of Ethereum forks. The executor factory in `hypervisor.machine.rules.RuleSet.machine` implements it."""

    def fork_names(self) -> tuple[str, ...]:
        """Return the names of the supported forks, oldest first."""

    def fork_name(self, wanted: str) -> str:
        """Return the name of a fork, ignoring case; an empty name selects the default. Raises InvalidInput."""

    def header_fields(self, fork: str) -> frozenset[str]:
        """Return the names of the header fields added after Frontier (`runtimes.evm.blocks.headers`)."""

    def transaction_types(self, fork: str) -> tuple[int, ...]:
        """Return the transaction types of a fork."""

    def blob_rules(self, fork: str) -> BlobRules:
        """Return the blob rules of a fork."""


class EthereumExecution(Protocol):
    """An executor of Ethereum's rules. If it raises RefusedTransaction, nothing has changed."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply a Filecoin message as the transaction that it carries (`hypervisor.machine.rules.MessageExecutor`)."""

    def apply_signed(self, signed: SignedTransaction, sender: EthAddress) -> ApplyResult:
        """Apply a transaction of any type, signed by `sender`. Raises RefusedTransaction."""

    def simulate(self, call: CallMessage) -> ApplyResult:
        """Execute a simulated call; the caller rolls it back. Raises RefusedTransaction."""

    def apply_unpaid(self, message: Message, transaction: Transaction | None = None) -> ApplyResult:
        """Apply a message from any sender, with any nonce and without fees. Raises RefusedTransaction.

        Pass `transaction` if the message does not contain all fields of the Ethereum transaction.
        """

    def apply_simulated(
        self, message: Message, transaction: Transaction | None = None, *, is_paid: bool
    ) -> ApplyResult:
        """Apply a message of any sender at its next nonce, with its fees if `is_paid`. Raises RefusedTransaction.

        `transaction` is as in `apply_unpaid`.
        """

    def check(
        self, item: Message | Transaction, base_fee: TokenAmount, sender: EthAddress, *, is_capped: bool = True
    ) -> None:
        """Check that a block with this base fee may include a message or transaction.

        The gas of a transaction may depend on its sender. Nonce and funds of the sender are not checked, the fork's gas
        caps only if `is_capped`. Raises RefusedTransaction.
        """

    def pay(self, amounts: Iterable[tuple[EthAddress, int]]) -> None:
        """Credit addresses with withdrawals, in attoFIL."""

    def held_account(self, address: Address) -> HeldAccount | None:
        """Return an account that the executor holds, with zeros if there is none; None for one as in the tree."""

    def without_held(self) -> AbstractContextManager[None]:
        """Read the tree as it is written: only for accounts and addresses that the executor does not hold."""

    def address_of(self, actor: ActorID) -> EthAddress:
        """Return an actor's Ethereum address: its delegated address, or its masked ID."""

    def may_send(self, code: bytes) -> bool:
        """Return True if an account with this code may send transactions (EIP-3607, EIP-7702)."""

    def fork_facts(self) -> ForkFacts:
        """Return the properties of the fork in the machine's context."""

    def begin_block(self, parent_hash: bytes) -> None:
        """Store the parent's hash in the history contract (EIP-2935), before the block's transactions."""

    def take_access_list(self) -> bytes | None:
        """Return the encoded access list of the block since `begin_block` (EIP-7928), and end its recording.

        Returns None in a fork without access lists, and for a block that was not begun.
        """
