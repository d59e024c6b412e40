"""Validity checks and intrinsic gas of transactions under Ethereum's rules.

Amounts are in attoFIL instead of wei, fees per gas. Rules: the execution specifications' transactions; EIP-2930,
1559, 4844, 7623, 7702. The names of `RejectionReason` are those of Ethereum's test fixtures.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum, auto
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.blobs import VERSIONED_HASH
from bridge.ethereum.execution import HeldAccount, RefusedTransaction
from bridge.ethereum.transactions import ACCESS_LIST, BLOB, DYNAMIC_FEE, LEGACY, SET_CODE, Transaction, is_delegation
from hypervisor.errors import InvalidInput
from hypervisor.types import MAX_BALANCE
from runtimes.evm.contracts import gas_table
from runtimes.evm.forks.forks import Fork

MAX_NONCE: Final = (1 << 64) - 1
MAX_GAS: Final = (1 << 64) - 1
_FEE_BITS: Final = 128
"""Bits of the maximum price of a transaction's gas, and of its fee per blob gas, as in revm."""
_ADDRESS_BYTES: Final = 20
_SLOT_BYTES: Final = 32


class RejectionReason(Enum):
    """Reason why a block may not contain a transaction."""

    RLP_INVALID_VALUE = auto()
    INVALID_SIGNATURE_VRS = auto()
    GASLIMIT_OVERFLOW = auto()
    INTRINSIC_GAS_TOO_LOW = auto()
    INTRINSIC_GAS_BELOW_FLOOR_GAS_COST = auto()
    EXECUTION_GAS_CAP_EXCEEDED = auto()
    """Intrinsic gas or floor above the cap of EIP-8037; fixtures have no name for it."""
    NONCE_IS_MAX = auto()
    INITCODE_SIZE_EXCEEDED = auto()
    GAS_LIMIT_EXCEEDS_MAXIMUM = auto()
    GAS_ALLOWANCE_EXCEEDED = auto()
    INVALID_CHAINID = auto()
    PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS = auto()
    INSUFFICIENT_MAX_FEE_PER_GAS = auto()
    TYPE_1_TX_PRE_FORK = auto()
    TYPE_2_TX_PRE_FORK = auto()
    TYPE_3_TX_PRE_FORK = auto()
    TYPE_3_TX_ZERO_BLOBS = auto()
    TYPE_3_TX_BLOB_COUNT_EXCEEDED = auto()
    TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED = auto()
    TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH = auto()
    TYPE_3_TX_CONTRACT_CREATION = auto()
    INSUFFICIENT_MAX_FEE_PER_BLOB_GAS = auto()
    TYPE_4_TX_PRE_FORK = auto()
    TYPE_4_TX_CONTRACT_CREATION = auto()
    TYPE_4_EMPTY_AUTHORIZATION_LIST = auto()
    NONCE_MISMATCH_TOO_LOW = auto()
    NONCE_MISMATCH_TOO_HIGH = auto()
    INSUFFICIENT_ACCOUNT_FUNDS = auto()
    GASLIMIT_PRICE_PRODUCT_OVERFLOW = auto()
    SENDER_NOT_EOA = auto()


class InvalidTransaction(RefusedTransaction):
    """Raised for a transaction that no block may contain; nothing has changed."""

    def __init__(self, refusal: RejectionReason, message: str) -> None:
        super().__init__(refusal.name, message)
        self.refusal = refusal


def with_supported_type(fork: Fork, transaction: Transaction) -> Transaction:
    """Return a transaction of type 2 as one of type 1 or 0 if the fork does not have its type."""
    if transaction.type != DYNAMIC_FEE or transaction.type in fork.transaction_types:
        return transaction
    kind = ACCESS_LIST if transaction.access_list and ACCESS_LIST in fork.transaction_types else LEGACY
    return replace(transaction, type=kind, max_priority_fee=transaction.max_fee)


def intrinsic_gas(transaction: Transaction, fork: Fork, sender: EthAddress) -> int:
    """Return the gas charged before execution."""
    data = transaction.data
    zeros = data.count(0)
    gas = _base_gas(transaction, fork, sender) if fork.resource_gas else fork.transaction_base
    gas += gas_table.CALLDATA_ZERO * zeros + fork.calldata_nonzero * (len(data) - zeros)
    if transaction.to is None:
        gas += fork.gas.init_code_word * gas_table.words(len(data)) + (0 if fork.resource_gas else fork.create_access)
    for _, slots in transaction.access_list:
        gas += fork.access_list_address + fork.access_list_slot * len(slots)
        gas += fork.access_list_byte * (_ADDRESS_BYTES + _SLOT_BYTES * len(slots))
    return gas + fork.authorization * len(transaction.authorizations)


def _base_gas(transaction: Transaction, fork: Fork, sender: EthAddress) -> int:
    """Return the price of the sender, the receiver and the value, which is also part of the floor (EIP-2780)."""
    if transaction.to is None:
        return fork.transaction_base + fork.create_access
    if transaction.to == sender:
        return fork.transaction_base
    return fork.transaction_base + fork.receiver_access + (fork.value_transfer if transaction.value else 0)


def floor_gas(transaction: Transaction, fork: Fork, sender: EthAddress) -> int:
    """Return the minimum gas charged for the transaction, which depends on its data and access list."""
    if not fork.calldata_floor:
        return 0
    data = transaction.data
    zeros = data.count(0)
    gas = _base_gas(transaction, fork, sender) if fork.resource_gas else fork.transaction_base
    gas += fork.floor_zero * zeros + fork.floor_nonzero * (len(data) - zeros)
    if fork.access_list_byte:
        gas += fork.access_list_byte * sum(
            _ADDRESS_BYTES + _SLOT_BYTES * len(slots) for _, slots in transaction.access_list
        )
    return gas


RequiredGas = tuple[int, int]
"""Intrinsic gas of a transaction, and the minimum charged for it."""


def call_gas(data: bytes, fork: Fork) -> RequiredGas:
    """Return `required_gas` of a call of another account with neither value nor lists."""
    zeros, base = data.count(0), fork.transaction_base + fork.receiver_access
    others = len(data) - zeros
    floor = base + fork.floor_zero * zeros + fork.floor_nonzero * others if fork.calldata_floor else 0
    return base + gas_table.CALLDATA_ZERO * zeros + fork.calldata_nonzero * others, floor


def required_gas(transaction: Transaction, fork: Fork, sender: EthAddress) -> RequiredGas:
    """Return the gas that the gas limit of a transaction must cover."""
    return intrinsic_gas(transaction, fork, sender), floor_gas(transaction, fork, sender)


def gas_price(transaction: Transaction, base_fee: int) -> int:
    """Return the sender's price per gas in a block."""
    return min(transaction.max_fee, base_fee + transaction.max_priority_fee)


class BlockLimits(NamedTuple):
    """A block's limits for a transaction: remaining execution gas, remaining blob gas, and base fees."""

    gas: int
    blob_gas: int
    base_fee: int
    blob_base_fee: int
    chain_id: int
    state_gas: int | None = None
    """Remaining gas for new state (EIP-8037), or None if only the gas limit applies."""


def check(
    transaction: Transaction, fork: Fork, block: BlockLimits, required: RequiredGas, *, is_capped: bool = True
) -> None:
    """Run the checks that need no account, in the specification's order. Raises InvalidTransaction.

    The fork's gas caps are checked only if `is_capped`.
    """
    if transaction.type not in fork.transaction_types:
        _check_type(transaction, fork)
    check_size(transaction, fork, required, is_capped=is_capped)
    _check_block_limits(transaction, fork, block)
    check_fees(transaction, block)
    if transaction.type == BLOB:
        check_blobs(transaction, fork, block)
    elif transaction.type == SET_CODE:
        _check_authorizations(transaction)


def check_simulated(
    transaction: Transaction, fork: Fork, block: BlockLimits, required: RequiredGas, *, is_paid: bool, is_capped: bool
) -> None:
    """Run the checks of a simulated call that need no account; the fork's gas caps are checked only if `is_capped`.

    Base fee and block limits are not checked. Raises InvalidTransaction.
    """
    _check_type(transaction, fork)
    check_size(transaction, fork, required, is_capped=is_capped)
    if is_paid and transaction.max_fee < transaction.max_priority_fee:
        raise priority_fee_error(transaction)
    if transaction.type == BLOB:
        check_blobs(transaction, fork, block, may_be_free=True)
    elif transaction.type == SET_CODE:
        _check_authorizations(transaction)


def may_send(code: bytes, fork: Fork) -> bool:
    """Return True if an account with this code may send transactions. Source: EIP-3607, EIP-7702."""
    return not code or (fork.delegations and is_delegation(code))


def check_sender(transaction: Transaction, sender: HeldAccount, fork: Fork) -> None:
    """Run the checks that need the sender's account, in the specification's order. Raises InvalidTransaction."""
    _check_nonce(transaction, sender.nonce)
    check_funds(transaction, sender.balance)
    _check_code(sender.code, fork)


def _check_nonce(transaction: Transaction, nonce: int) -> None:
    given = transaction.nonce
    if given != nonce:
        low = given < nonce
        refusal = RejectionReason.NONCE_MISMATCH_TOO_LOW if low else RejectionReason.NONCE_MISMATCH_TOO_HIGH
        raise InvalidTransaction(refusal, f"nonce {given}, the sender's next nonce is {nonce}")


def check_funds(transaction: Transaction, balance: int, *, is_paid: bool = True) -> None:
    """Check that a balance covers the maximum cost, which without `is_paid` is the value; check the size of its fees.

    Raises InvalidTransaction.
    """
    price, blob_price = transaction.gas_limit * transaction.max_fee, transaction.max_fee_per_blob_gas
    cost = transaction.value
    if is_paid:
        cost += price + (transaction.blob_gas * blob_price if transaction.blob_hashes else 0)
    if balance < cost:
        raise InvalidTransaction(
            RejectionReason.INSUFFICIENT_ACCOUNT_FUNDS, f"the sender has {balance}, the maximum cost is {cost}"
        )
    if (price | blob_price) >> _FEE_BITS:
        of_blobs = f", maxFeePerBlobGas {blob_price}" if blob_price else ""
        words = f"gas limit {transaction.gas_limit}, fee cap {transaction.max_fee}{of_blobs}"
        raise InvalidTransaction(
            RejectionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW,
            f"the maximum price of the gas does not fit in {_FEE_BITS} bits: {words}",
        )


def _check_code(code: bytes, fork: Fork) -> None:
    if not may_send(code, fork):
        raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, "the sender is a contract")


def refusals(
    transaction: Transaction, fork: Fork, block: BlockLimits, required: RequiredGas, sender: HeldAccount
) -> list[str]:
    """Return the names of all rules that a transaction breaks, in the order of the checks."""
    found = _names_of_failures(
        (
            lambda: _check_type(transaction, fork),
            lambda: check_size(transaction, fork, required),
            lambda: _check_block_limits(transaction, fork, block),
            lambda: check_fees(transaction, block),
            lambda: check_blobs(transaction, fork, block) if transaction.type == BLOB else None,
            lambda: _check_authorizations(transaction) if transaction.type == SET_CODE else None,
        )
    )
    if transaction.blob_gas > block.blob_gas:  # not reported above if the number of blobs is too high as well
        found.append(RejectionReason.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED.name)
    return found + _names_of_failures(
        (
            lambda: _check_nonce(transaction, sender.nonce),
            lambda: check_funds(transaction, sender.balance),
            lambda: _check_code(sender.code, fork),
        )
    )


def _names_of_failures(checks: Iterable[Callable[[], None]]) -> list[str]:
    """Run checks that raise InvalidTransaction, and return the names of the broken rules."""
    names = []
    for check_rule in checks:
        try:
            check_rule()
        except InvalidTransaction as error:
            names.append(error.refusal.name)
    return names


def _check_type(transaction: Transaction, fork: Fork) -> None:
    if transaction.type not in fork.transaction_types:
        reason = RejectionReason[f"TYPE_{transaction.type}_TX_PRE_FORK"]
        raise InvalidTransaction(reason, f"transactions of type {transaction.type} do not exist in {fork.name}")


def _check_authorizations(transaction: Transaction) -> None:
    if transaction.to is None:
        raise InvalidTransaction(
            RejectionReason.TYPE_4_TX_CONTRACT_CREATION, "a type 4 transaction cannot create a contract"
        )
    if not transaction.authorizations:
        raise InvalidTransaction(
            RejectionReason.TYPE_4_EMPTY_AUTHORIZATION_LIST, "a type 4 transaction must have authorizations"
        )


def check_size(transaction: Transaction, fork: Fork, required: RequiredGas, *, is_capped: bool = True) -> None:
    """Check the limits of the transaction's fields; the fork's gas caps are checked only if `is_capped`.

    Raises InvalidTransaction.
    """
    if not 0 <= transaction.value <= MAX_BALANCE:
        raise InvalidTransaction(
            RejectionReason.RLP_INVALID_VALUE, f"value {transaction.value} does not fit in 256 bits"
        )
    limit, (intrinsic, floor) = transaction.gas_limit, required
    if limit > MAX_GAS:
        raise InvalidTransaction(RejectionReason.GASLIMIT_OVERFLOW, f"gas limit {limit} does not fit in 64 bits")
    if intrinsic > limit:
        raise InvalidTransaction(
            RejectionReason.INTRINSIC_GAS_TOO_LOW, f"gas limit {limit} is below the intrinsic gas {intrinsic}"
        )
    if floor > limit:
        raise InvalidTransaction(
            RejectionReason.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST, f"gas limit {limit} is below the floor {floor}"
        )
    if transaction.nonce >= MAX_NONCE:
        raise InvalidTransaction(RejectionReason.NONCE_IS_MAX, f"nonce {transaction.nonce} is the maximum")
    longest = fork.init_code_limit
    if transaction.to is None and longest is not None and len(transaction.data) > longest:
        raise InvalidTransaction(
            RejectionReason.INITCODE_SIZE_EXCEEDED,
            f"init code of {len(transaction.data):,} bytes, the limit is {longest:,}",
        )
    if is_capped and fork.execution_gas_cap is not None and max(required) > fork.execution_gas_cap:
        raise InvalidTransaction(
            RejectionReason.EXECUTION_GAS_CAP_EXCEEDED,
            f"intrinsic gas {intrinsic} or floor {floor} exceeds the execution gas cap {fork.execution_gas_cap}",
        )
    if is_capped and fork.transaction_gas_cap is not None and limit > fork.transaction_gas_cap:
        raise InvalidTransaction(
            RejectionReason.GAS_LIMIT_EXCEEDS_MAXIMUM, f"gas limit {limit} exceeds the cap {fork.transaction_gas_cap}"
        )


def _check_block_limits(transaction: Transaction, fork: Fork, block: BlockLimits) -> None:
    limit, cap = transaction.gas_limit, fork.execution_gas_cap
    if (limit if cap is None else min(limit, cap)) > block.gas:
        raise InvalidTransaction(
            RejectionReason.GAS_ALLOWANCE_EXCEEDED, f"gas limit {limit}, the block has {block.gas} left"
        )
    if block.state_gas is not None and limit > block.state_gas:
        raise InvalidTransaction(
            RejectionReason.GAS_ALLOWANCE_EXCEEDED,
            f"gas limit {limit}, the block has {block.state_gas} left for new state",
        )
    count, blobs = len(transaction.blob_hashes), fork.blobs
    if blobs.per_transaction is None and count > blobs.maximum:  # the block's limit applies to each transaction
        raise InvalidTransaction(
            RejectionReason.TYPE_3_TX_BLOB_COUNT_EXCEEDED, f"have {count}, permitted {blobs.maximum}"
        )
    if transaction.blob_gas > block.blob_gas:
        raise InvalidTransaction(
            RejectionReason.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED,
            f"{count} blobs use {transaction.blob_gas} blob gas, the block has {block.blob_gas} left",
        )
    if transaction.chain_id is not None and transaction.chain_id != block.chain_id:
        raise InvalidTransaction(
            RejectionReason.INVALID_CHAINID,
            f"the transaction is for chain {transaction.chain_id}, not {block.chain_id}",
        )


def check_fees(transaction: Transaction, block: BlockLimits) -> None:
    """Check the fees. Raises InvalidTransaction."""
    if transaction.max_fee < transaction.max_priority_fee:
        raise priority_fee_error(transaction)
    if transaction.max_fee < block.base_fee:
        words = f"fee cap {transaction.max_fee} below the base fee {block.base_fee}"
        raise InvalidTransaction(RejectionReason.INSUFFICIENT_MAX_FEE_PER_GAS, words)


def priority_fee_error(transaction: Transaction) -> InvalidTransaction:
    """Return the error for a priority fee above the fee cap."""
    words = f"priority fee {transaction.max_priority_fee} above the fee cap {transaction.max_fee}"
    return InvalidTransaction(RejectionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS, words)


def check_blobs(transaction: Transaction, fork: Fork, block: BlockLimits, *, may_be_free: bool = False) -> None:
    """Check the blobs of a type 3 transaction; with `may_be_free`, a blob fee cap of 0 is not compared to the fee.

    Raises InvalidTransaction.
    """
    count, blobs = len(transaction.blob_hashes), fork.blobs
    limit = blobs.maximum if blobs.per_transaction is None else blobs.per_transaction
    if count == 0:
        raise InvalidTransaction(RejectionReason.TYPE_3_TX_ZERO_BLOBS, "a type 3 transaction must have blobs")
    if count > limit:
        raise InvalidTransaction(RejectionReason.TYPE_3_TX_BLOB_COUNT_EXCEEDED, f"have {count}, permitted {limit}")
    for blob_hash in transaction.blob_hashes:
        if blob_hash[:1] != bytes([VERSIONED_HASH]):
            raise InvalidTransaction(
                RejectionReason.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH,
                f"blob hash 0x{blob_hash.hex()} has an unknown version",
            )
    is_free = may_be_free and not transaction.max_fee_per_blob_gas
    if not is_free and transaction.max_fee_per_blob_gas < block.blob_base_fee:
        raise InvalidTransaction(
            RejectionReason.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS,
            f"maxFeePerBlobGas {transaction.max_fee_per_blob_gas}, blobBaseFee {block.blob_base_fee}",
        )
    if transaction.to is None:
        raise InvalidTransaction(
            RejectionReason.TYPE_3_TX_CONTRACT_CREATION, "a type 3 transaction cannot create a contract"
        )


class InvalidBlock(InvalidInput):
    """Raised for a block that breaks a rule of its fork.

    `names` are exception names of Ethereum's test fixtures, the most specific one first.
    """

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.message = message
        self.names = names

    @property
    def name(self) -> str:
        """The most specific exception name."""
        return self.names[0]


def mismatch(what: str, found: bytes, expected: bytes) -> str:
    """Return the error text for a hash or root in a block that is not the expected one."""
    return f"{what} 0x{found.hex()}, expected 0x{expected.hex()}"
