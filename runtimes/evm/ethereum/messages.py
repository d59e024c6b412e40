"""Conversion of Filecoin messages to Ethereum transactions, for the executor under Ethereum's rules.

InvokeEVM of an f410 address and CreateExternal of the Ethereum address manager are how the network represents
transactions (`bridge.filecoin.messages`), and are converted back. Any other message is executed as it is, with its
parameters charged like calldata.
"""

from dataclasses import dataclass

from bridge.ethereum.addresses import EthAddress, masked_id
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.cbor import ParamsError, read_byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, INVOKE_EVM
from hypervisor.kernel.blocks import Block
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import EAM_ACTOR, METHOD_SEND, MethodNumber
from runtimes.evm.ethereum.accounts import ethereum_address
from runtimes.evm.ethereum.validation import InvalidTransaction, RejectionReason
from store.cid import CBOR, RAW


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
        raise InvalidTransaction(RejectionReason.SENDER_NOT_EOA, f"{message.from_} does not exist")
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
