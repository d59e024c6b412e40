"""A message that may be included in a block, with its transaction hash and kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.blobs import BlobSidecar
from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE, SignedTransaction, TransactionError
from bridge.filecoin.messages import from_signed_message
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from store.cid import Cid

NATIVE: Final = 0x100
"""Kind of a signed Filecoin message. The kind of a transaction is its type, which is below 0x100."""

IMPERSONATED: Final = 0x101
"""Kind of an unsigned message or transaction, sent by an impersonated actor."""

IMPLICIT: Final = 0x102
"""Kind of a reward or of cron, which no block contains; recorded if the tipset's receipts include them."""

UNTYPED: Final = (NATIVE, IMPERSONATED, IMPLICIT)
"""Kinds other than transaction types (`Candidate.type`)."""

NO_SIGNATURE: Final = Signature(SignatureType.DELEGATED, bytes(65))
"""Placeholder for the signature of a message of an impersonated sender: a type 2 transaction with zeros."""


@dataclass(unsafe_hash=True)  # without slots, so that repeated lookups can be cached
class Candidate:
    """A message as its sender submitted it, before and after its execution.

    `kind` is the type of the transaction, `NATIVE`, `IMPERSONATED` or `IMPLICIT`. `sender` and `to` are Ethereum
    addresses; `to` is None for a contract creation.
    """

    hash: Final[bytes]
    kind: Final[int]
    message: Final[SignedMessage]
    sender: Final[EthAddress]
    to: Final[EthAddress | None]
    sent: Final[SignedTransaction | None] = field(default=None, compare=False)
    """The transaction as sent to this process; `transaction` also derives it from the message."""
    chain_id: Final[int | None] = field(default=None, compare=False)
    """The chain ID in the signature, for a message read from a record."""
    sidecar: Final[BlobSidecar | None] = field(default=None, compare=False)
    """Blobs of a blob transaction that was sent to this process, until it is executed."""

    @cached_property
    def bare(self) -> Message:
        """The message without its signature."""
        return self.message.message

    @cached_property
    def required_funds(self) -> int:
        """Return the attoFIL that the sender must have: value, gas at the fee cap, and blob gas at its fee cap."""
        funds = self.bare.value + self.bare.gas_fee_cap * self.bare.gas_limit
        return funds + self.blob_gas * self.blob_fee_cap if self.kind == BLOB else funds

    @property
    def blob_gas(self) -> int:
        """Blob gas of the transaction; 0 unless it is of type 3."""
        signed = self.transaction if self.kind == BLOB else None
        return 0 if signed is None else signed.transaction.blob_gas

    @property
    def blob_fee_cap(self) -> int:
        """Maximum fee in attoFIL per blob gas; 0 unless it is of type 3."""
        signed = self.transaction if self.kind == BLOB else None
        return 0 if signed is None else signed.transaction.max_fee_per_blob_gas

    @cached_property
    def transaction(self) -> SignedTransaction | None:
        """The transaction, with zeros as an impersonated sender's signature; None for a message alone."""
        is_message = self.kind in UNTYPED and (self.kind != IMPERSONATED or self.message.signature == NO_SIGNATURE)
        if self.sent is not None or is_message:
            return self.sent
        assert self.chain_id is not None, "a transaction was sent to this process or comes from a record"
        return from_signed_message(self.message, self.chain_id)

    @property
    def type(self) -> int:
        """The type of the transaction; 2 for a message alone."""
        if self.kind not in UNTYPED:
            return self.kind
        return DYNAMIC_FEE if self.transaction is None else self.transaction.transaction.type


def message_hashes(signed: SignedMessage | None, cid: Cid, chain_ids: Iterable[int]) -> Iterator[bytes]:
    """Yield the possible hashes of a message on chain: a signed transaction's depends on its block's chain ID."""
    if signed is None or signed.signature.type is not SignatureType.DELEGATED or signed.signature == NO_SIGNATURE:
        yield bytes(cid[-32:])
        return
    for chain_id in chain_ids:
        with suppress(TransactionError):  # the signature of a legacy transaction determines the chain ID
            carried = from_signed_message(signed, chain_id)
            yield carried.hash() if carried.r or carried.s else bytes(cid[-32:])
