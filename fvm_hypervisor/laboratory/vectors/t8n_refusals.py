"""Error texts of rejected transactions in the transition tool's output, as in go-ethereum.

Test generators compare these texts. If a transaction breaks several rules, the text is that of the rule which
go-ethereum checks first. Sources: go-ethereum v1.17.10, core/state_transition.go, core/error.go and core/types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.ethereum.transactions import GAS_PER_BLOB, SignedTransaction, Transaction
from hypervisor.state.undo_map import Journal
from runtimes.evm.ethereum import Accounts, BlockRun, InvalidTransaction, floor_gas, intrinsic_gas


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected transaction with its block and the account of its sender."""

    run: BlockRun
    transaction: Transaction
    sender: EthAddress
    nonce: int
    balance: int
    code_size: int

    @property
    def address(self) -> str:
        """The sender's address in checksum form."""
        return checksummed(self.sender)

    @property
    def cost(self) -> int:
        sent = self.transaction
        return sent.gas_limit * sent.max_fee + sent.value + sent.blob_gas * sent.max_fee_per_blob_gas


def _nonce(text: str) -> Callable[[Rejection], str]:
    return lambda at: f"{text}: address {at.address}, tx: {at.transaction.nonce} state: {at.nonce}"


def _blobs(at: Rejection) -> str:
    used = at.run.blob_gas_used + at.transaction.blob_gas
    return f"blob gas ({used}) would exceed maximum allowance {GAS_PER_BLOB * at.run.fork.blobs.maximum}"


def _bad_hash(at: Rejection) -> str:
    bad = next(index for index, each in enumerate(at.transaction.blob_hashes) if each[:1] != b"\1")
    return f"blob {bad} has invalid hash version"


_NO_TYPE: Final = "transaction type not supported"
_TEXTS: Final[Mapping[str, Callable[[Rejection], str]]] = MappingProxyType({
    **{f"TYPE_{kind}_TX_PRE_FORK": lambda _: _NO_TYPE for kind in range(1, 5)},
    "INVALID_CHAINID": lambda at: (
        f"invalid chain id for signer: have {at.transaction.chain_id} want {at.run.machine.context.chain_id}"
    ),
    "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED": _blobs,
    "NONCE_MISMATCH_TOO_HIGH": _nonce("nonce too high"),
    "NONCE_MISMATCH_TOO_LOW": _nonce("nonce too low"),
    "NONCE_IS_MAX": lambda at: f"nonce has max value: address {at.address}, nonce: {at.nonce}",
    "GAS_LIMIT_EXCEEDS_MAXIMUM": lambda at: (
        f"transaction gas limit too high (cap: {at.run.fork.transaction_gas_cap}, tx: {at.transaction.gas_limit})"
    ),
    "SENDER_NOT_EOA": lambda at: f"sender not an eoa: address {at.address}, len(code): {at.code_size}",
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": lambda at: (
        f"max priority fee per gas higher than max fee per gas: address {at.address}, "
        f"maxPriorityFeePerGas: {at.transaction.max_priority_fee}, maxFeePerGas: {at.transaction.max_fee}"
    ),
    "INSUFFICIENT_MAX_FEE_PER_GAS": lambda at: (
        f"max fee per gas less than block base fee: address {at.address}, "
        f"maxFeePerGas: {at.transaction.max_fee}, baseFee: {at.run.machine.context.base_fee:d}"
    ),
    "TYPE_3_TX_CONTRACT_CREATION": lambda _: "blob transaction of type create",
    "TYPE_3_TX_ZERO_BLOBS": lambda _: "blob transaction missing blob hashes",
    "TYPE_3_TX_BLOB_COUNT_EXCEEDED": lambda _: "blob transaction has too many blobs",
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": _bad_hash,
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": lambda at: (
        f"max fee per blob gas less than block blob gas fee: address {at.address} "
        f"blobGasFeeCap: {at.transaction.max_fee_per_blob_gas}, blobBaseFee: {at.run.blob_base_fee}"
    ),
    "TYPE_4_TX_CONTRACT_CREATION": lambda at: (
        f"EIP-7702 transaction cannot be used to create contract (sender {at.address})"
    ),
    "TYPE_4_EMPTY_AUTHORIZATION_LIST": lambda at: f"EIP-7702 transaction with empty auth list (sender {at.address})",
    "INITCODE_SIZE_EXCEEDED": lambda at: (
        f"max initcode size exceeded: code size {len(at.transaction.data)} limit {at.run.fork.init_code_limit}"
    ),
    "GAS_ALLOWANCE_EXCEEDED": lambda _: "gas limit reached",
    "INSUFFICIENT_ACCOUNT_FUNDS": lambda at: (
        f"insufficient funds for gas * price + value: address {at.address} have {at.balance} want {at.cost}"
        if at.cost >> 256 == 0
        else f"insufficient funds for gas * price + value: address {at.address} required balance exceeds 256 bits"
    ),
    "INTRINSIC_GAS_TOO_LOW": lambda at: (
        f"intrinsic gas too low: have {at.transaction.gas_limit}, "
        f"want {intrinsic_gas(at.transaction, at.run.fork, at.sender)}"
    ),
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": lambda at: (
        f"insufficient gas for floor data gas cost: have {at.transaction.gas_limit}, "
        f"want {floor_gas(at.transaction, at.run.fork, at.sender)}"
    ),
    "EXECUTION_GAS_CAP_EXCEEDED": lambda at: (
        "insufficient gas for floor data gas cost: "
        f"intrinsic cost {intrinsic_gas(at.transaction, at.run.fork, at.sender)}, "
        f"floor: {floor_gas(at.transaction, at.run.fork, at.sender)}"
    ),
})  # fmt: skip
"""Texts by exception name, in the order of go-ethereum's checks."""


def rejection_text(run: BlockRun, signed: SignedTransaction, error: InvalidTransaction) -> str:
    """Return go-ethereum's text for a transaction that the block cannot contain."""
    if error.refusal.name not in _TEXTS:
        return str(error)
    names = {error.refusal.name, *run.refusals(signed)}
    sender = signed.sender()
    accounts = Accounts(run.machine, Journal(), filecoin_addresses=False)
    actor = accounts.find(sender)
    at = Rejection(
        run,
        signed.transaction,
        sender,
        0 if actor is None else accounts.nonce(actor),
        accounts.balance(actor),
        len(accounts.code(actor)),
    )
    return next(text(at) for name, text in _TEXTS.items() if name in names)
