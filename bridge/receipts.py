"""What Ethereum's tools want to know of an executed message, from its receipt: logs' bloom, prices, failures in words.

Also the form in which a message that was no transaction is shown as one. Rules: lotus node/impl/eth, and the yellow
paper for the bloom.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.addresses import EthAddress
from bridge.apply_and_call import APPLY_AND_CALL, decode_answer
from bridge.cbor import ParamsError, read_byte_string
from bridge.events import Log
from bridge.filecoin_call import NO_CODEC, encode_method_calldata
from bridge.method_numbers import INVOKE_EVM
from bridge.params import CREATE_EXTERNAL_METHOD, CreateReturn, unwrap_return
from bridge.reverts import revert_reason
from hypervisor.address import Address
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.message import Message, Receipt
from hypervisor.types import EAM_ACTOR, TokenAmount
from store.cid import CBOR
from store.keccak import keccak

BLOOM_BYTES: Final = 256
EMPTY_BLOOM: Final = bytes(BLOOM_BYTES)
_BLOOM_BITS = BLOOM_BYTES * 8


@dataclass(frozen=True, slots=True)
class EmittedLog:
    """A log and the address of who emitted it."""

    address: EthAddress
    log: Log


def bloom(logs: Iterable[EmittedLog]) -> bytes:
    """The 256 bytes in which each log's address and topics set three bits."""
    bits = 0
    for emitted in logs:
        bits |= bloom_bits(emitted.address)
        for topic in emitted.log.topics:
            bits |= bloom_bits(topic)
    return bits.to_bytes(BLOOM_BYTES, "big")


def bloom_bits(value: bytes) -> int:
    """The three bits of one address or topic, in a number of 2,048 bits."""
    digest = keccak(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BLOOM_BITS)
    return bits


def effective_gas_price(paid: TokenAmount, gas_used: int) -> TokenAmount:
    """attoFIL per gas: all that the sender paid for gas, over-estimation included, by what was used."""
    return TokenAmount(paid // gas_used if gas_used else 0)


def created_contract(message: Message, receipt: Receipt) -> EthAddress | None:
    """The address of the contract that the message created, None if it created none."""
    if receipt.exit_code or message.method != CREATE_EXTERNAL_METHOD or message.to != Address.id(EAM_ACTOR):
        return None
    try:
        return CreateReturn.decode(receipt.return_data).eth_address
    except ParamsError:
        return None


def return_bytes(message: Message, receipt: Receipt) -> bytes:
    """What an Ethereum caller sees returned: a contract's bytes, or revert data; nothing of a contract's creation."""
    if not receipt.exit_code and message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR):
        return b""
    if message.method == APPLY_AND_CALL and message.to == message.from_:
        return applied_answer(receipt)[1]
    return unwrap_return(receipt.return_data)


def applied_answer(receipt: Receipt) -> tuple[int, bytes]:
    """What an Ethereum caller sees of a message to ApplyAndCall: the exit code, and what was returned.

    The message exits with 0 where its call has failed, so that its authorizations stay (FIP-0111).
    """
    if receipt.exit_code:
        return receipt.exit_code, unwrap_return(receipt.return_data)
    try:
        succeeded, output = decode_answer(receipt.return_data)
    except ParamsError:
        return receipt.exit_code, unwrap_return(receipt.return_data)
    return ExitCode.OK if succeeded else ExitCode.EVM_CONTRACT_REVERTED, output


def failure_text(exit_code: int, data: bytes, words: str, reason: str | None = None) -> str:
    """One line about a failed execution, as the network's nodes write it; `words` are the machine's own.

    `reason` is the revert decoded by the contract's interface, in place of its bytes.
    """
    name = exit_name(exit_code)
    exit_words = f"{exit_code}" if name == str(exit_code) else f"{name}({exit_code})"
    if exit_code != ExitCode.EVM_CONTRACT_REVERTED:
        reason = "none"
    elif reason is None:
        reason = revert_reason(data)
    return f"message execution failed (exit=[{exit_words}], revert reason=[{reason}], vm error=[{words or 'none'}])"


def shown_input(message: Message) -> bytes:
    """The calldata under which a message is shown that was sent as no transaction."""
    if message.method in (INVOKE_EVM, CREATE_EXTERNAL_METHOD):
        try:
            return read_byte_string(message.params) if message.params else b""
        except ParamsError:
            pass  # not calldata: shown like any other method's parameters
    codec = CBOR if message.params else NO_CODEC
    return encode_method_calldata(message.method, codec, message.params)
