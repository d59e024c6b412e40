"""Entries of the index of a chain: tipsets and executed messages, as DAG-CBOR tuples with a format number.

Entries contain the machine's values. `TransactionReceipt` derives the values for Ethereum tools on request. Settings of
future blocks under Ethereum's rules are stored with the tipset at which they were made: so they survive a restart, a
reorganisation reverts them, and a replayed block has its original ones. Under Filecoin's rules blocks have no such
settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from bridge.abi.abi import PrintedAddress
from bridge.ethereum.addresses import MASKED_ID_PREFIX, EthAddress
from bridge.ethereum.transactions import SET_CODE
from bridge.filecoin.messages import APPLY_AND_CALL
from bridge.filecoin.receipts import (
    EmittedLog,
    apply_and_call_result,
    created_contract,
    effective_gas_price,
    entries_to_log,
    return_bytes,
)
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode, exit_meaning, exit_name
from hypervisor.machine.executor import BlockGas
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.events import EventBlocks, EventEntry, encode_entries
from hypervisor.messages.message import Receipt, SignedMessage
from hypervisor.text import bytes_text, cid_text, facts, one_line, show_fil
from hypervisor.types import EAM_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from localnet.ledger.call_tree import TransactionTree
from localnet.ledger.candidates import IMPLICIT, Candidate
from store.cid import Cid
from store.codec import LinkedCid, array_head, decode, encode, unlink

LEAST_GAS_LIMIT: Final = 5_000
"""Minimum block gas limit (the execution specifications' GAS_LIMIT_MINIMUM)."""

MAX_GAS_LIMIT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """The settings of a block; None leaves a field to the rules.

    `chain_id` is set from the first block on. `min_gas_price` is the minimum fee cap of the block's transactions, in
    attoFIL per gas. `randomness` applies to a single block. `excess_blob_gas` follows from the parent (EIP-4844).
    """

    chain_id: int | None = None
    coinbase: EthAddress | None = None
    gas_limit: Gas | None = None
    min_gas_price: TokenAmount | None = None
    randomness: bytes | None = None
    excess_blob_gas: int = 0

    def next_defaults(self) -> BlockSettings:
        """Return the default settings of the block after this one."""
        return self if self.randomness is None else replace(self, randomness=None)

    def encode_for_header(self, default_chain_id: int) -> bytes:
        """Encode the settings for a block's header, so that its hash covers them; empty for the defaults.

        `default_chain_id` is the rules' own.
        """
        fields = self.fields()
        if self.chain_id == default_chain_id:
            fields[0] = None
        return b"" if fields == _DEFAULT_FIELDS else encode(fields)

    def fields(self) -> list[Any]:
        """Return the fields as stored in a tipset's entry."""
        price = None if self.min_gas_price is None else self.min_gas_price.to_bytes(16, "big")
        excess = [self.excess_blob_gas] if self.excess_blob_gas else []
        return [self.chain_id, self.coinbase, self.gas_limit, price, self.randomness, *excess]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> BlockSettings:
        """Decode the result of `fields`."""
        chain_id, coinbase, limit, price, randomness, *excess = fields
        return cls(
            chain_id=chain_id,
            coinbase=None if coinbase is None else EthAddress(coinbase),
            gas_limit=None if limit is None else Gas(limit),
            min_gas_price=None if price is None else TokenAmount(int.from_bytes(price, "big")),
            randomness=randomness,
            excess_blob_gas=excess[0] if excess else 0,
        )


DEFAULT_SETTINGS: Final = BlockSettings()
"""Settings that leave every field to the rules."""
_DEFAULT_FIELDS: Final = DEFAULT_SETTINGS.fields()


T = TypeVar("T")

GENESIS_PARENT: Final = -1
"""The parent height of the first tipset."""


def merge_receipts(null_rounds: int, explicit: Sequence[T], implicit: Sequence[T]) -> list[T]:
    """Return a tipset's receipts in order from those of its block's messages and of implicit ones (FIP-0107).

    The first `null_rounds` implicit ones belong to the null rounds before the tipset. Without any, the explicit ones
    are the receipts.
    """
    return [*implicit[:null_rounds], *explicit, *implicit[null_rounds:]]


@dataclass(slots=True, unsafe_hash=True)
class Tipset:
    """A tipset and the result of its execution.

    `before` is the state before its execution, `state` the one after it and after manual changes since. `next_base_fee`
    is the base fee of the next tipset, in attoFIL per gas. `settings` are the block's own, `next_settings` those of the
    next tipset.
    """

    height: Final[ChainEpoch]
    key: Final[Cid]
    block: Final[Cid]
    parent: Final[int]
    timestamp: Final[int]
    base_fee: Final[TokenAmount]
    next_base_fee: Final[TokenAmount]
    before: Final[Cid]
    state: Final[Cid]
    receipts: Final[Cid]
    gas_used: Final[Gas]
    bloom: Final[bytes]
    transactions: Final[tuple[bytes, ...]]
    settings: Final[BlockSettings] = DEFAULT_SETTINGS
    next_settings: Final[BlockSettings] = DEFAULT_SETTINGS
    blob_gas_used: Final[int] = 0
    """Blob gas of the block's transactions (EIP-4844)."""
    access_list: Final[bytes] = b""
    """The encoded access list of the block (EIP-7928); empty if its rules have none, or if it executed nothing."""
    implicit: Final[tuple[bytes, ...]] = ()
    """Hashes of the implicit messages that have receipts, in order; empty under versions without such receipts."""

    def __repr__(self) -> str:
        messages = f"{len(self.transactions)} messages"
        return one_line("Tipset", f"{self.height}", cid_text(self.key), messages, f"gas {self.gas_used:,}")

    @property
    def hash(self) -> bytes:
        """The Ethereum block hash."""
        return bytes(self.key[-32:])  # the digest of the tipset key's CID, as `block_hash` returns

    def in_execution_order(self, explicit: Sequence[T], implicit: Sequence[T]) -> list[T]:
        """Return items of the tipset's explicit and implicit messages in the order of their receipts.

        Cron of null rounds comes first, then the block's messages, its reward, and cron (FIP-0107).
        """
        return merge_receipts(self.height - self.parent - 1, explicit, implicit)

    def encode(self) -> bytes:
        """Encode the index entry."""
        fields = self.settings.fields()
        optional = [fields, fields if self.next_settings == self.settings else self.next_settings.fields()]
        if self.blob_gas_used or self.access_list or self.implicit:
            later: list[Any] = [self.blob_gas_used, self.access_list, list(self.implicit)]
            while not later[-1]:
                later.pop()
            optional += later
        elif optional == [_DEFAULT_FIELDS, _DEFAULT_FIELDS]:
            optional = []
        return encode([
            self.height, LinkedCid(self.key), LinkedCid(self.block), self.parent, self.timestamp, _big(self.base_fee),
            _big(self.next_base_fee), LinkedCid(self.before), LinkedCid(self.state), LinkedCid(self.receipts),
            self.gas_used, self.bloom, list(self.transactions), *optional,
        ])  # fmt: skip

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Tipset:
        """Read the decoded entry."""
        height, key, block, parent, timestamp, fee, next_fee, before, state, receipts, gas, bloom, hashes = fields[:13]
        settings, next_settings = map(BlockSettings.from_fields, fields[13:15] or [_DEFAULT_FIELDS] * 2)
        return cls(
            height=ChainEpoch(height),
            key=unlink(key),
            block=unlink(block),
            parent=parent,
            timestamp=timestamp,
            base_fee=TokenAmount(_number(fee)),
            next_base_fee=TokenAmount(_number(next_fee)),
            before=unlink(before),
            state=unlink(state),
            receipts=unlink(receipts),
            gas_used=Gas(gas),
            bloom=bloom,
            transactions=tuple(hashes),
            settings=settings,
            next_settings=next_settings,
            blob_gas_used=fields[15] if len(fields) > 15 else 0,
            access_list=fields[16] if len(fields) > 16 else b"",
            implicit=tuple(fields[17]) if len(fields) > 17 else (),
        )


@dataclass(frozen=True, slots=True)
class NullRound:
    """A height without a tipset, with the heights of the adjacent tipsets."""

    before: int
    after: int

    def encode(self) -> bytes:
        """Encode the index entry."""
        return encode([self.before, self.after])


def decode_height(data: bytes) -> Tipset | NullRound:
    """Decode the index entry of a height."""
    fields = decode(data)
    return NullRound(*fields) if len(fields) == 2 else Tipset.from_fields(fields)


class EmittedEvent(NamedTuple):
    """An event of a receipt, with the Ethereum address of its emitter at that time."""

    emitter: ActorID
    address: EthAddress
    entries: tuple[EventEntry, ...]


@dataclass(slots=True, unsafe_hash=True)
class Execution:
    """An executed message: the message as it was submitted, its receipt, and its gas costs.

    `paid` is in attoFIL; `error_message` is the machine's message about a failure. `block_gas` and `event_blocks` are
    those of `ApplyResult`, which the entry does not contain.
    """

    candidate: Final[Candidate]
    receipt: Final[Receipt]
    paid: Final[TokenAmount]
    events: Final[tuple[EmittedEvent, ...]]
    error_message: Final[str]
    block_gas: Final[BlockGas | None] = field(default=None, compare=False)
    event_blocks: Final[EventBlocks] = field(default=(), compare=False)

    def __repr__(self) -> str:
        end = f"exit {exit_name(self.receipt.exit_code)}"
        return one_line("Execution", f"0x{self.hash.hex()}", end, f"gas {self.receipt.gas_used:,}")

    @property
    def hash(self) -> bytes:
        """The hash of the message or transaction."""
        return self.candidate.hash

    def logs(self) -> list[EmittedLog]:
        """Return the events that have a log's shape."""
        return [log for _, log in self.indexed_logs()] if self.events else []

    def indexed_logs(self) -> list[tuple[int, EmittedLog]]:
        """Return the events that have a log's shape, each with its index among all events of the message."""
        shaped = ((event.address, entries_to_log(event.entries)) for event in self.events)
        return [(index, EmittedLog(address, log)) for index, (address, log) in enumerate(shaped) if log is not None]

    def encode(self, first_event: int, gas_before: int) -> bytes:
        """Encode the index entry; `first_event` and `gas_before` count events and gas before it in the tipset."""
        sent = self.candidate
        fields = [
            sent.hash, sent.kind, sent.message.to_cbor(), sent.sender, sent.to, self.receipt.fields(), _big(self.paid)
        ]  # fmt: skip
        rest = [self.error_message, first_event, gas_before]
        if not self.events:
            return encode([*fields, [], *rest])
        parts = [b"\x8b", encode(fields)[1:], array_head(len(self.events))]  # without the heads of the lists
        for event in self.events:
            parts += (b"\x83", encode([event.emitter, event.address])[1:], encode_entries(event.entries))
        return b"".join((*parts, encode(rest)[1:]))

    @classmethod
    def decode(cls, data: bytes, chain_id: int) -> tuple[Execution, int, int]:
        """Decode the result of `encode`; `chain_id` is that of the block."""
        hash_, kind, message, sender, to, receipt, paid, events, error_message, first_event, gas_before = decode(data)
        execution = cls(
            Candidate(
                hash_,
                kind,
                SignedMessage.from_cbor(message),
                EthAddress(sender),
                None if to is None else EthAddress(to),
                chain_id=chain_id,
            ),
            receipt=Receipt.from_fields(receipt),
            paid=TokenAmount(_number(paid)),
            events=tuple(_emitted(event) for event in events),
            error_message=error_message,
        )
        return execution, first_event, gas_before


def is_native_receiver(to: Address) -> bool:
    """Return True if the actor's own exit codes are not those of contracts, judged by its address in a message."""
    return to.protocol is not Protocol.DELEGATED and to != Address.id(EAM_ACTOR)


@dataclass(slots=True, unsafe_hash=True)
class TransactionReceipt:
    """An executed message with its position on the chain. Amounts in attoFIL.

    >>> from localnet import Network
    >>> with Network() as network:
    ...     receipt = network.send(network.accounts[1], 10**18)
    ...     receipt.block_number, receipt.index, receipt.exit_code, receipt.trace.calls[0]["value"]
    (1, 0, 0, '1000000000000000000')

    `chain_id` is that of the block and the signature. `tracer` re-executes the message, if the receipt belongs to a
    network.
    """

    execution: Final[Execution]
    tipset: Final[Tipset]
    index: Final[int]
    first_event: Final[int]
    """Number of events of the messages before it in the tipset, also of those that are no logs."""
    chain_id: Final[int]
    gas_before: Final[int] = 0
    """Gas of the messages before it in the tipset."""
    tracer: Final[Callable[[TransactionReceipt], TransactionTree] | None] = field(
        default=None, compare=False, repr=False
    )

    def __repr__(self) -> str:
        end, block = f"exit {self.exit_name}", f"block {self.block_number}"
        return one_line("TransactionReceipt", f"0x{self.hash.hex()}", block, end, f"gas {self.gas_used:,}")

    def _repr_html_(self) -> str:
        done, created = self.execution, self.contract_address
        rows = (
            ("hash", f"0x{self.hash.hex()}"),
            ("block", self.block_number),
            ("end", "ok" if self.succeeded else f"failed: {exit_meaning(self.exit_code, native=self.is_native)}"),
            ("error", self.error_message),
            ("from", f"0x{done.candidate.sender.hex()}, {self.from_}"),
            ("to", "" if done.candidate.to is None else f"0x{done.candidate.to.hex()}"),
            ("new contract", "" if created is None else f"0x{created.hex()}"),
            ("value", show_fil(done.candidate.bare.value)),
            ("gas", f"{self.gas_used:,}, for {show_fil(done.paid)}"),
            ("return", bytes_text(self.return_data)),
            ("logs", len(self.logs)),
        )
        return facts("transaction", rows)

    @property
    def trace(self) -> TransactionTree:
        """Return the call tree by re-executing the message. Raises InvalidInput for a receipt without a network."""
        if self.tracer is None:
            raise InvalidInput(
                "this receipt does not belong to an open network: get one from `Network.receipt` to trace it"
            )
        return self.tracer(self)

    @property
    def candidate(self) -> Candidate:
        """The message as it was submitted."""
        return self.execution.candidate

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""
        return self.execution.hash

    @property
    def block_number(self) -> ChainEpoch:
        """The height of the transaction's tipset."""
        return self.tipset.height

    @property
    def exit_code(self) -> int:
        """The exit code; 0 is success. For a transaction of type 4, the exit code of its call."""
        done = self.execution
        if done.candidate.kind == SET_CODE and done.candidate.bare.method == APPLY_AND_CALL:
            return apply_and_call_result(done.receipt)[0]
        return int(done.receipt.exit_code)  # not the enumeration of a new execution

    @property
    def is_exit_of_call(self) -> bool:
        """True if the exit code is the call's while the message itself exited with 0 (type 4, see `exit_code`)."""
        return self.exit_code != self.execution.receipt.exit_code

    @property
    def is_implicit(self) -> bool:
        """True for a reward or cron: `index` is then its place among the tipset's implicit messages."""
        return self.candidate.kind == IMPLICIT

    @property
    def succeeded(self) -> bool:
        """True if the execution exited with 0."""
        return self.exit_code == ExitCode.OK

    @property
    def gas_used(self) -> Gas:
        """Gas used, in the unit of the rules."""
        return self.execution.receipt.gas_used

    @property
    def gas_price(self) -> TokenAmount:
        """Return the attoFIL that the sender paid per gas used."""
        return effective_gas_price(self.execution.paid, self.gas_used)

    @property
    def contract_address(self) -> EthAddress | None:
        """The contract that the message created."""
        created = created_contract(self.candidate.bare, self.execution.receipt)
        return None if created is None else PrintedAddress(created)

    @property
    def return_data(self) -> bytes:
        """Return the returned data as an Ethereum caller sees it; after a failure, the revert data."""
        return return_bytes(self.candidate.bare, self.execution.receipt)

    @property
    def logs(self) -> list[EmittedLog]:
        """The logs, in order."""
        return self.execution.logs()

    @property
    def error_message(self) -> str:
        """The machine's error message of a failure."""
        return self.execution.error_message

    @property
    def is_native(self) -> bool:
        """True if the message is to a native actor: contracts have an Ethereum address, whatever the message says."""
        to = self.candidate.to
        is_masked = to is None or to.startswith(MASKED_ID_PREFIX)
        return is_masked and is_native_receiver(self.candidate.bare.to)

    @property
    def exit_name(self) -> str:
        """Name of the exit code, or its number."""
        return exit_name(self.exit_code, native=self.is_native)

    @property
    def from_(self) -> Address:
        """The sender's address in the message."""
        return self.candidate.bare.from_

    def __str__(self) -> str:
        """Return a one-line summary."""
        return self.line(self.contract_address, self.exit_name)

    def line(self, created: EthAddress | None, failure: str) -> str:
        """Return a one-line summary, with the created contract and the reason of a failure."""
        to = self.candidate.to
        receiver = (
            f"0x{to.hex()}" if to is not None else f"new contract 0x{created.hex()}" if created else "no contract"
        )
        if self.is_exit_of_call and self.error_message:  # the receipt has only the status; these logs have the details
            failure = f"its call: {self.error_message}"
        end = "ok" if self.succeeded else f"failed: {failure}"
        sender = self.candidate.sender.hex()
        return f"block {self.block_number}  0x{self.hash.hex()}  0x{sender} -> {receiver}  {end}  gas {self.gas_used:,}"


def _emitted(fields: list[Any]) -> EmittedEvent:
    emitter, address, entries = fields
    return EmittedEvent(ActorID(emitter), EthAddress(address), tuple(EventEntry(*entry) for entry in entries))


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


FoundLog = tuple[TransactionReceipt, int, EmittedLog]
"""A log with its receipt and its index among the receipt's events."""
