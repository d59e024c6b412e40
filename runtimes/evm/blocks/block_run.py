"""A block under Ethereum's rules: system calls, transactions, receipts, withdrawals, requests.

It does the work of a transition tool: from accounts, a block's environment and transactions to receipts, rejections
and the accounts afterwards. Rules: the execution specifications' `apply_body`; EIP-4788 (beacon roots), 2935 (block
hashes), 4895 (withdrawals), 6110, 7002, 7251, 7685 and 8282 (requests), 7918 (the blob base fee's bound), 7928 (access
lists).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, create_address
from bridge.ethereum.block import BLOCK_HASHES, BlockAccessList, Withdrawal
from bridge.ethereum.transactions import LEGACY, SignedTransaction, recover
from bridge.filecoin.receipts import EmittedLog, Log, encode_receipt, log_fields
from hypervisor.machine.machine_state import MachineState
from runtimes.evm.blocks.alloc import StateRoots
from runtimes.evm.forks.forks import Fork
from runtimes.evm.forks.validation import BlockLimits, InvalidBlock, InvalidTransaction, RejectionReason
from runtimes.evm.revm.executor import AccessRecorder, EthereumExecutor
from runtimes.evm.revm.transactions import TransactionResult, block_limits, block_of, fork_of
from store.keccak import keccak

BEACON_ROOTS: Final = EthAddress(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02"))
WITHDRAWAL_REQUESTS: Final = EthAddress(bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002"))
CONSOLIDATION_REQUESTS: Final = EthAddress(bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251"))
BUILDERS: Final = (
    EthAddress(bytes.fromhex("0000bff46984e3725691fa540a8c7589300d8282")),
    EthAddress(bytes.fromhex("000064d678505ad48f8ccb093bc65613800e8282")),
)
"""Contracts with the requests of builders: deposits and exits (EIP-8282)."""
DEPOSIT_CONTRACT: Final = EthAddress(bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa"))
DEPOSIT_EVENT: Final = bytes.fromhex("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")

_BAD_DEPOSIT: Final = "INVALID_DEPOSIT_EVENT_LAYOUT"
_GWEI: Final = 10**9
_DEPOSIT_LENGTH: Final = 576
_DEPOSIT_PARTS: Final = ((160, 48), (256, 32), (320, 8), (384, 96), (512, 8))
"""Offsets of the length fields of a deposit's five byte strings in its log, and the lengths."""


@dataclass(frozen=True, slots=True)
class AppliedTransaction:
    """A transaction of the block with its result. `cumulative_gas` includes the transactions before it.

    `state_root` is the root after the transaction in forks whose receipts contain it instead of a status.
    """

    signed: SignedTransaction
    sender: EthAddress
    result: TransactionResult
    cumulative_gas: int
    state_root: bytes | None = None

    @property
    def creates(self) -> EthAddress | None:
        """The address of the contract that the transaction creates, even if it fails."""
        transaction = self.signed.transaction
        return None if transaction.to is not None else create_address(self.sender, transaction.nonce)

    def logs(self) -> list[EmittedLog]:
        return [EmittedLog(address, log) for address, log in self.result.logs]

    def receipt(self) -> bytes:
        """Return the receipt's encoding in the receipts trie."""
        status = rlp.number(int(self.result.success)) if self.state_root is None else self.state_root
        return encode_receipt(self.signed.transaction.type, status, self.cumulative_gas, self.logs())


@dataclass(slots=True)
class BlockRun:
    """The execution of a block: `start`, then transactions, then `finish`."""

    machine: MachineState
    applied: list[AppliedTransaction] = field(default_factory=list)
    cumulative_gas: int = 0
    """Gas that the senders paid, after refunds."""
    execution_gas: int = 0
    state_gas: int = 0
    blob_gas_used: int = 0
    requests: list[bytes] | None = None
    roots: StateRoots = field(default_factory=StateRoots)
    executor: EthereumExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = EthereumExecutor(self.machine)
        if self.fork.access_lists:
            self.executor.recorder = AccessRecorder()

    @property
    def access_list(self) -> BlockAccessList | None:
        """The accesses so far, or None in a fork without access lists."""
        recorder = self.executor.recorder
        return None if recorder is None else recorder.accesses

    @property
    def gas_used(self) -> int:
        """The gas that counts for the block's limit and base fee: the larger one of execution and new state."""
        return max(self.execution_gas, self.state_gas)

    @property
    def fork(self) -> Fork:
        """The rules of the block."""
        return fork_of(self.machine)

    def start(self, beacon_root: bytes | None, parent_hash: bytes | None) -> None:
        """Call the system contracts for the beacon root and the parent hash; each is skipped if it is None."""
        executor = self.executor
        if beacon_root is not None and self.fork.beacon_root:
            executor.system_call(BEACON_ROOTS, beacon_root)
        if parent_hash is not None and self.fork.block_hash_contract:
            executor.system_call(BLOCK_HASHES, parent_hash)

    def apply(self, signed: SignedTransaction) -> AppliedTransaction:
        """Apply a transaction. Raises InvalidTransaction and TransactionError, without any change."""
        self._record_at(len(self.applied) + 1)
        sender = self._sender(signed)
        result = self.executor.apply_transaction(signed.transaction, sender, self._limits())
        self.cumulative_gas += result.gas_used
        self.execution_gas += result.execution_gas
        self.state_gas += result.state_gas
        self.blob_gas_used += signed.transaction.blob_gas
        root = None if self.fork.receipt_status else self.roots.root(self.machine)
        applied = AppliedTransaction(signed, sender, result, self.cumulative_gas, root)
        self.applied.append(applied)
        return applied

    def refusals(self, signed: SignedTransaction) -> list[str]:
        """Return the names of all rules that a transaction breaks, in the order of the checks."""
        return self.executor.refusals(signed.transaction, self._sender(signed), self._limits())

    def _record_at(self, index: int) -> None:
        recorder = self.executor.recorder
        if recorder is not None:
            recorder.index = index

    def _limits(self) -> BlockLimits:
        """Return the remaining limits of the block."""
        whole = block_limits(self.machine, block_of(self.machine), self.fork)
        return BlockLimits(
            gas=whole.gas - self.execution_gas,
            blob_gas=whole.blob_gas - self.blob_gas_used,
            base_fee=whole.base_fee,
            blob_base_fee=whole.blob_base_fee,
            chain_id=whole.chain_id,
            state_gas=whole.gas - self.state_gas,
        )

    def _sender(self, signed: SignedTransaction) -> EthAddress:
        fork, transaction = self.fork, signed.transaction
        if transaction.type == LEGACY and transaction.chain_id is not None and not fork.replay_protection:
            message = f"{fork.name} does not support signatures with a chain ID (EIP-155)"
            raise InvalidTransaction(RejectionReason.INVALID_SIGNATURE_VRS, message)
        if not fork.low_signatures:
            sender = recover(transaction.digest(), signed.y_parity, signed.r, signed.s)
            if sender is not None:
                return sender
        return signed.sender()

    @property
    def excess_blob_gas(self) -> int:
        """The block's excess blob gas."""
        return block_of(self.machine).excess_blob_gas

    @property
    def blob_base_fee(self) -> int:
        """The price of blob gas."""
        return block_limits(self.machine, block_of(self.machine), self.fork).blob_base_fee

    def pay_rewards(self, reward: int, ommers: Sequence[tuple[int, EthAddress]]) -> None:
        """Pay the proof-of-work reward, in wei. `ommers` are pairs of the distance in blocks and the coinbase.

        As in go-ethereum's transition tool, rewards are recorded in the access list unless they are 0.
        """
        self._record_at(len(self.applied) + 1)
        own = reward + len(ommers) * (reward // 32)
        paid = [(who, (8 - distance) * reward // 8) for distance, who in ommers]
        self.executor.pay([*paid, (block_of(self.machine).coinbase, own)], recorded=reward > 0)

    def finish(self, withdrawals: Sequence[Withdrawal] = ()) -> None:
        """Pay withdrawals and collect requests.

        Raises InvalidBlock for an invalid deposit, and if a request contract is missing or fails.
        """
        executor = self.executor
        self._record_at(len(self.applied) + 1)
        executor.pay((withdrawal.address, withdrawal.amount * _GWEI) for withdrawal in withdrawals)
        if self.fork.requests:
            called = (WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS, *(BUILDERS if self.fork.builder_requests else ()))
            found = b"".join(self._deposits()), *map(executor.required_system_call, called)
            self.requests = [bytes([kind]) + data for kind, data in enumerate(found) if data]

    def _deposits(self) -> list[bytes]:
        return [
            deposit(log.data)
            for applied in self.applied
            for address, log in applied.result.logs
            if address == DEPOSIT_CONTRACT and log.topics[:1] == (DEPOSIT_EVENT,)
        ]


def logs_hash(logs: Iterable[tuple[EthAddress, Log]]) -> bytes:
    """Return the hash that tests and the transition tool use for a list of logs."""
    return bytes(keccak(rlp.encode([log_fields(address, log) for address, log in logs])))


def deposit(data: bytes) -> bytes:
    """Return the request in a deposit's log: its five byte strings, concatenated. Raises InvalidBlock."""
    if len(data) != _DEPOSIT_LENGTH:
        raise InvalidBlock(f"a deposit's log must have {_DEPOSIT_LENGTH} bytes, not {len(data)}", _BAD_DEPOSIT)
    parts = []
    for index, (at, length) in enumerate(_DEPOSIT_PARTS):
        offset = int.from_bytes(data[32 * index : 32 * index + 32], "big")
        if offset != at or int.from_bytes(data[at : at + 32], "big") != length:
            message = f"part {index} of a deposit's log must have offset {at} and length {length}"
            raise InvalidBlock(message, _BAD_DEPOSIT)
        parts.append(data[at + 32 : at + 32 + length])
    return b"".join(parts)


def requests_hash(requests: Sequence[bytes]) -> bytes:
    """Return the hash of the requests in a block's header."""
    return sha256(b"".join(sha256(request).digest() for request in requests)).digest()
