"""Ethereum's logs and receipt data, converted from Filecoin's events and receipts.

A log is an event with entries t1 to t4 (topics) and d (data), flagged as indexed, with raw values. A native actor's
event is a log only if it has that shape. Conversion follows Lotus: unknown keys are ignored, and a malformed event is
not shown. Source: FIP-0049, FIP-0054.

Blooms, prices and failure texts are derived from a message and its receipt. A message that was not sent as a
transaction is converted to one for display. Source: lotus node/impl/eth, and the yellow paper for the bloom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.reverts import revert_reason
from bridge.ethereum.transactions import LEGACY
from bridge.filecoin.cbor import ParamsError, read_canonical_byte_string
from bridge.filecoin.messages import APPLY_AND_CALL, decode_outcome
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import (
    CREATE_EXTERNAL_METHOD,
    NO_CODEC,
    CreateReturn,
    encode_method_calldata,
    unwrap_return,
)
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.messages.message import Message, Receipt
from hypervisor.types import EAM_ACTOR, TokenAmount
from store.cid import CBOR, RAW
from store.keccak import keccak

INDEXED_FLAGS: Final = 3
"""Flags of an entry with indexed key and value."""

MAX_TOPICS: Final = 4
DATA_KEY: Final = "d"
TOPIC_KEYS: Final = ("t1", "t2", "t3", "t4")
_FLAGS: Final = (INDEXED_FLAGS,) * MAX_TOPICS
_CODECS: Final = (RAW,) * MAX_TOPICS
_WORD = 32
_REGULAR: Final = {TOPIC_KEYS[:count] + rest: count for count in range(MAX_TOPICS + 1) for rest in ((), (DATA_KEY,))}
"""Number of topics by the keys of an event emitted by a LOG opcode."""

# Twice as fast as calling the class, since no Python code runs.
entry_of_log: Final = partial(tuple.__new__, EventEntry)
"""Create an event entry from a tuple of its four fields."""


class Log(NamedTuple):
    """Topics of 32 bytes each, and data."""

    topics: tuple[bytes, ...]
    data: bytes


def log_to_entries(log: Log) -> list[EventEntry]:
    """Return the event entries for a LOG opcode; empty data has no entry."""
    if len(log.topics) > MAX_TOPICS or [len(topic) for topic in log.topics].count(_WORD) != len(log.topics):
        raise ValueError(f"a log must have at most {MAX_TOPICS} topics of {_WORD} bytes each")
    entries = list(map(entry_of_log, zip(_FLAGS, TOPIC_KEYS, _CODECS, log.topics, strict=False)))
    if log.data:
        entries.append(entry_of_log((INDEXED_FLAGS, DATA_KEY, RAW, log.data)))
    return entries


def entries_to_log(entries: Sequence[EventEntry]) -> Log | None:
    """Convert an event to a log; None for a codec other than raw, or topics of wrong size, duplicate or with gaps."""
    if entries:
        _, keys, codecs, values = zip(*entries, strict=True)
        count = _REGULAR.get(keys)
        if count is not None and codecs.count(RAW) == len(codecs) and [*map(len, values[:count])].count(_WORD) == count:
            return Log(values[:count], values[count] if len(values) > count else b"")
    return _in_any_order(entries)


def _in_any_order(entries: Sequence[EventEntry]) -> Log | None:
    topics: dict[str, bytes] = {}
    data: bytes | None = None
    for entry in entries:
        if entry.codec != RAW:
            return None
        if entry.key == DATA_KEY:
            if data is not None:
                return None
            data = entry.value
        elif entry.key in TOPIC_KEYS:
            if entry.key in topics or len(entry.value) != _WORD:
                return None
            topics[entry.key] = entry.value
    if set(topics) != set(TOPIC_KEYS[: len(topics)]):
        return None
    return Log(tuple(topics[key] for key in TOPIC_KEYS[: len(topics)]), data or b"")


BLOOM_BYTES: Final = 256
EMPTY_BLOOM: Final = bytes(BLOOM_BYTES)
_BLOOM_BITS = BLOOM_BYTES * 8


class EmittedLog(NamedTuple):
    """A log and the address of its emitter."""

    address: EthAddress
    log: Log


def bloom(logs: Iterable[EmittedLog]) -> bytes:
    """Return the 256-byte bloom filter, in which each log's address and topics set three bits."""
    values, bits = {value for emitted in logs for value in (emitted.address, *emitted.log.topics)}, 0
    for value in values:
        bits |= bloom_bits(value)
    return bits.to_bytes(BLOOM_BYTES, "big")


def log_fields(address: EthAddress, log: Log) -> list[rlp.Item]:
    """Return a log's fields in a receipt."""
    return [bytes(address), list(log.topics), log.data]


def encode_receipt(kind: int, status: bytes, cumulative_gas: int, logs: Sequence[EmittedLog]) -> bytes:
    """Return a receipt in the form of the receipts trie (EIP-2718); `status` may be a state root."""
    items: list[rlp.Item] = [log_fields(*each) for each in logs]
    body = rlp.encode([status, rlp.number(cumulative_gas), bloom(logs), items])
    return body if kind == LEGACY else bytes([kind]) + body


def bloom_bits(value: bytes) -> int:
    """Return the three bits of an address or topic, in a number of 2,048 bits."""
    digest = keccak(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BLOOM_BITS)
    return bits


def effective_gas_price(paid: TokenAmount, gas_used: int) -> TokenAmount:
    """Return attoFIL per gas: the total paid for gas, including over-estimation, divided by the gas used."""
    return TokenAmount(paid // gas_used if gas_used else 0)


def created_contract(message: Message, receipt: Receipt) -> EthAddress | None:
    """Return the address of the contract that the message created, or None."""
    if receipt.exit_code or message.method != CREATE_EXTERNAL_METHOD or message.to != Address.id(EAM_ACTOR):
        return None
    try:
        return CreateReturn.decode(receipt.return_data).eth_address
    except ParamsError:
        return None


def return_bytes(message: Message, receipt: Receipt) -> bytes:
    """Return the return or revert data as seen by an Ethereum caller; empty for a contract creation."""
    if not receipt.exit_code and message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR):
        return b""
    if message.method == APPLY_AND_CALL and message.to == message.from_:
        return apply_and_call_result(receipt)[1]
    return unwrap_return(receipt.return_data)


def apply_and_call_result(receipt: Receipt) -> tuple[int, bytes]:
    """Return exit code and return data of a message to ApplyAndCall, as seen by an Ethereum caller.

    The message itself exits with 0 even if its call failed, so that its authorizations persist (FIP-0111).
    """
    if receipt.exit_code:
        return receipt.exit_code, unwrap_return(receipt.return_data)
    try:
        succeeded, output = decode_outcome(receipt.return_data)
    except ParamsError:
        return receipt.exit_code, unwrap_return(receipt.return_data)
    return ExitCode.OK if succeeded else ExitCode.EVM_CONTRACT_REVERTED, output


def failure_text(exit_code: int, data: bytes, message: str, reason: str | None = None, *, native: bool = False) -> str:
    """Describe a failed execution on one line in the format of the network's nodes; `message` is the machine's message.

    `reason` is the revert decoded with the contract's interface, instead of its bytes. The exit codes of a `native`
    actor have none of the contracts' names.
    """
    name = exit_name(exit_code, native=native)
    code_text = f"{exit_code}" if name == str(exit_code) else f"{name}({exit_code})"
    if exit_code != ExitCode.EVM_CONTRACT_REVERTED:
        reason = "none"
    elif reason is None:
        reason = revert_reason(data)
    return f"message execution failed (exit=[{code_text}], revert reason=[{reason}], vm error=[{message or 'none'}])"


def calldata_of_message(message: Message) -> bytes | None:
    """Return the calldata of a message that is displayed as a contract's call or creation; None for another one.

    Source: lotus node/impl/eth/utils.go, ethTxFromNativeMessage.
    """
    creates = message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR)
    if message.method != INVOKE_EVM and not creates:
        return None
    try:
        return read_canonical_byte_string(message.params) if message.params else b""
    except ParamsError:
        return None


def display_calldata(message: Message) -> bytes:
    """Return the calldata to display for a message that was not sent as a transaction."""
    calldata = calldata_of_message(message)
    if calldata is not None:
        return calldata
    codec = CBOR if message.params else NO_CODEC
    return encode_method_calldata(message.method, codec, message.params)
