"""Transactions: the one that a Filecoin message stands for, its block, and its result.

InvokeEVM of an f410 address and CreateExternal of the Ethereum address manager are how the network represents
transactions (`bridge.filecoin.messages`), and are converted back. Any other message is executed as it is, with its
parameters charged like calldata.
"""

from dataclasses import dataclass
from typing import Final

from bridge.ethereum.addresses import EthAddress, ethereum_text, masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import (
    DYNAMIC_FEE,
    GAS_PER_BLOB,
    Transaction,
)
from bridge.filecoin.cbor import ParamsError, byte_string, read_byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from bridge.filecoin.receipts import Log
from hypervisor.context import ExternError
from hypervisor.gas import GasOutputs
from hypervisor.kernel.blocks import Block
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.types import (
    EAM_ACTOR,
    METHOD_SEND,
    ChainEpoch,
    MethodNumber,
)
from runtimes.evm.contracts.engine import TxContext
from runtimes.evm.forks.forks import Fork, ForkBlobs, fork_with
from runtimes.evm.forks.validation import BlockLimits, InvalidTransaction, RejectionReason
from runtimes.evm.revm.accounts import ethereum_address
from runtimes.evm.revm.calls import TransactionEnvironment
from store.cid import CBOR, RAW, split_cid


@dataclass(frozen=True, slots=True)
class Entry:
    """The first call of a message that is not an Ethereum transaction."""

    to: Address
    method: MethodNumber
    params: Block | None


def transaction_of(machine: MachineState, message: Message) -> tuple[EthAddress, Transaction, Entry | None]:
    """Return the sender of a message, its transaction, and its first call if Ethereum has no equivalent.

    Raises InvalidTransaction for a sender that does not exist.
    """
    sender = _address(machine, message.from_)
    if sender is None:
        raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, f"{ethereum_text(message.from_)} does not exist")
    calldata, to, entry = _calldata(message), ethereum_address(message.to), None
    creates = message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR)
    if calldata is None or not (creates or (message.method == INVOKE_EVM and to is not None)):
        codec = RAW if message.method == METHOD_SEND else CBOR
        params = Block(codec, message.params) if message.params else None
        to, entry = sender, Entry(message.to, message.method, params)
    transaction = Transaction(
        type=DYNAMIC_FEE,
        chain_id=None,
        nonce=message.nonce,
        to=to,
        value=message.value,
        data=message.params if entry is not None or calldata is None else calldata,
        gas_limit=message.gas_limit,
        max_fee=message.gas_fee_cap,
        max_priority_fee=message.gas_premium,
    )
    return sender, transaction, entry


def _address(machine: MachineState, address: Address) -> EthAddress | None:
    known = ethereum_address(address)
    if known is not None:
        return known
    actor = machine.state_tree.lookup_id(address)
    state = None if actor is None else machine.state_tree.get_actor(actor)
    if actor is None or state is None:
        return None
    delegated = None if state.delegated_address is None else ethereum_address(state.delegated_address)
    return delegated or masked_id(actor)


def _calldata(message: Message) -> bytes | None:
    try:
        return read_byte_string(message.params) if message.params else b""
    except ParamsError:
        return None  # not a byte string: parameters of another method


SYSTEM_CALL_GAS: Final = 30_000_000
"""Execution gas of a system call."""


@dataclass(slots=True, unsafe_hash=True)
class TransactionResult:
    """Result of a transaction, in Ethereum's gas; `output` is the return value or the revert data, as CBOR."""

    success: Final[bool]
    gas_used: Final[int]
    output: Final[bytes]
    logs: Final[tuple[tuple[EthAddress, Log], ...]]
    created: Final[EthAddress | None]
    events: Final[tuple[StampedEvent, ...]]
    exit_code: Final[int]
    message: Final[str]
    reason: Final[str]
    gas: Final[GasOutputs]
    execution_gas: Final[int] = 0
    """Gas that counts for the block: before refunds under EIP-7778, without state gas under EIP-8037."""
    state_gas: Final[int] = 0
    """Gas for new state that counts for the block (EIP-8037)."""
    max_gas_used: Final[int] = 0
    """Gas used before refunds."""


def transaction_environment(
    machine: MachineState, transaction: Transaction, sender: EthAddress, gas_price: int, blob_base_fee: int
) -> TransactionEnvironment:
    """Return the constants of a transaction in the machine's block; `gas_price` is what it pays."""
    context, block = machine.context, block_of(machine)
    return TransactionEnvironment(
        fork=fork_of(machine, block),
        block=block,
        context=TxContext(
            gas_price=gas_price,
            coinbase=block.coinbase,
            number=context.epoch,
            timestamp=context.timestamp,
            gas_limit=block.gas_limit,
            chain_id=context.chain_id,
            base_fee=context.base_fee,
        ),
        origin=sender,
        blob_hashes=transaction.blob_hashes,
        blob_base_fee=blob_base_fee,
    )


def in_cbor(block: Block | None) -> bytes:
    """Return a result as CBOR for the receipt: precompiles return raw bytes."""
    if block is None:
        return b""
    return byte_string(block.data) if block.codec == RAW else block.data


def block_of(machine: MachineState) -> EthereumBlock:
    """Return the block in the machine's context; defaults if there is none."""
    block = machine.context.block
    return block if isinstance(block, EthereumBlock) else EthereumBlock()


def fork_of(machine: MachineState, block: EthereumBlock | None = None) -> Fork:
    """Return the fork of a block, by default of the machine's current one, with users' precompiles."""
    block = block_of(machine) if block is None else block
    fork = fork_with(block.fork, machine.context.precompiles)
    if not block.removed_precompiles:
        return fork
    return fork._replace(
        precompiles={at: name for at, name in fork.precompiles.items() if at not in block.removed_precompiles}
    )


def block_limits(machine: MachineState, block: EthereumBlock, fork: Fork, base_fee: int | None = None) -> BlockLimits:
    """Return the limits for the first transaction of the machine's block, optionally at another base fee."""
    blob_base_fee = block.blob_base_fee
    return BlockLimits(
        gas=block.gas_limit,
        blob_gas=GAS_PER_BLOB * fork.blobs.maximum,
        base_fee=machine.context.base_fee if base_fee is None else base_fee,
        blob_base_fee=ForkBlobs(fork).base_fee(block.excess_blob_gas) if blob_base_fee is None else blob_base_fee,
        chain_id=machine.context.chain_id,
        state_gas=block.gas_limit if fork.state_gas else None,
    )


_BLOCK_HASHES: Final = 256


def block_hash(machine: MachineState, number: int) -> bytes:
    """Return the hash of one of the last 256 blocks, zeros for any other number."""
    if not max(machine.context.epoch - _BLOCK_HASHES, 0) <= number < machine.context.epoch:
        return bytes(32)
    try:
        return split_cid(machine.externs.tipset_cid(ChainEpoch(number))).digest[:32].rjust(32, b"\0")
    except ExternError:
        return bytes(32)


def block_randomness(machine: MachineState, block: EthereumBlock) -> bytes:
    """Return the block's own randomness if it is set, else the beacon's. Raises ExternError."""
    return machine.externs.beacon_randomness(machine.context.epoch) if block.randomness is None else block.randomness
