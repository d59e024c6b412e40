"""Admission of messages: signature, chain id, fees, gas, nonce and funds.

A rejected message changes nothing and pays no gas. Error texts contain the phrases that Ethereum libraries search for,
such as "nonce too low" and "insufficient funds".

Sources: lotus chain/messagepool, and geth's transaction pool for the phrases.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress, from_delegated, to_filecoin
from bridge.ethereum.blobs import (
    BLOB_PROOFS,
    BYTES_PER_BLOB,
    CELL_PROOFS,
    BlobSidecar,
    BlobTransaction,
    parse_blob_transaction,
)
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import (
    BLOB,
    SignedTransaction,
    Transaction,
    TransactionError,
    parse_transaction,
    transaction_type,
)
from bridge.filecoin.messages import from_signed_message
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from bridge.filecoin.receipts import calldata_of_message
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Protocol
from hypervisor.messages.message import Message, SignatureType, SignedMessage
from hypervisor.messages.signatures import verify_bls, verify_secp256k1
from hypervisor.types import TokenAmount
from localnet.addresses import display_address
from localnet.errors import TransactionRefused
from localnet.ledger.candidates import IMPERSONATED, NATIVE, NO_SIGNATURE, Candidate
from localnet.rules.parts import MessageRules, NetworkRules, SenderInfo, rules_of
from store.cid import show

_WAITS: Final = ("gap", "fee")
"""Reasons for which the pool keeps a message: earlier ones of its sender are missing, or the blob base fee is too high.

A fee cap below the base fee was refused before (`MessageRules.check`).
"""

_BLOBS_READ: Final = 2
"""Transactions with up to this many times the permitted blobs are decoded, so that the error states their number."""


def from_raw(machine: Hypervisor, raw: bytes) -> Candidate:
    """Decode the candidate in the bytes of a signed Ethereum transaction. Raises TransactionRefused."""
    rules = rules_of(machine)
    try:
        kind = transaction_type(raw)
        if kind not in rules.features.transaction_types:
            rules.features.check_type(kind)
        if kind == BLOB:
            return from_blobs(machine, verify_blobs(machine, raw))
        if len(raw) > rules.limits.transaction_bytes:
            raise _too_long(raw, rules.limits.transaction_bytes)
        signed = parse_transaction(raw, kind)
        return _from_transaction(rules.messages, machine, signed, signed.sender())
    except (TransactionError, AddressError) as error:
        raise TransactionRefused("invalid", str(error)) from None


def verify_blobs(machine: Hypervisor, raw: bytes) -> BlobTransaction:
    """Parse a blob transaction and verify its sidecar, on any thread. Raises TransactionRefused."""
    rules = rules_of(machine)
    rules.features.check_type(BLOB)
    blobs = rules.blobs
    if blobs is None:
        raise InvalidInput(f"the rules '{rules.name}' accept type 3 without rules of blobs: set NetworkRules.blobs")
    limit = blobs.maximum_per_transaction
    max_bytes = rules.limits.transaction_bytes + _BLOBS_READ * limit * BYTES_PER_BLOB
    if len(raw) > max_bytes:
        raise _too_long(raw, max_bytes)
    try:
        found = parse_blob_transaction(raw)
        found.check(CELL_PROOFS if blobs.has_cell_proofs else BLOB_PROOFS, limit)
        if found.sidecar is not None:
            found.sidecar.verify()
    except (TransactionError, AddressError) as error:
        raise TransactionRefused("invalid", str(error)) from None
    return found


def from_blobs(machine: Hypervisor, found: BlobTransaction) -> Candidate:
    """Return the candidate of a blob transaction that `verify_blobs` returned. Raises TransactionRefused."""
    signed = found.signed
    try:
        signed.transaction.check()
        return _from_transaction(rules_of(machine).messages, machine, signed, signed.sender(), found.sidecar)
    except (TransactionError, AddressError) as error:
        raise TransactionRefused("invalid", str(error)) from None


def _too_long(raw: bytes, limit: int) -> TransactionRefused:
    return TransactionRefused("size", f"oversized data: transaction of {len(raw)} bytes, at most {limit} are allowed")


def _from_transaction(
    messages: MessageRules,
    machine: Hypervisor,
    signed: SignedTransaction,
    sender: EthAddress,
    sidecar: BlobSidecar | None = None,
) -> Candidate:
    """Return the candidate of a signed transaction with a known sender. Raises TransactionRefused."""
    transaction, chain_id = signed.transaction, machine.context.chain_id
    if transaction.chain_id is not None and transaction.chain_id != chain_id:
        raise TransactionRefused(
            "chain", f"invalid chain id for signer: have {transaction.chain_id}, this network is {chain_id}"
        )
    try:
        message = messages.carry(signed, sender)
    except TransactionError as error:
        raise TransactionRefused("invalid", str(error)) from None
    return Candidate(signed.hash(), transaction.type, message, sender, transaction.to, signed, sidecar=sidecar)


def from_native(machine: Hypervisor, signed: SignedMessage) -> Candidate:
    """Return the candidate of a signed Filecoin message. Raises TransactionRefused."""
    message, signature = signed.message, signed.signature
    _require_unsigned_amounts(machine, message)
    if message.to.protocol is Protocol.DELEGATED and from_delegated(message.to) is None:
        raise TransactionRefused(
            "invalid",
            f"message recipient {message.to} is a delegated address but not a valid Eth Address, so its FIL would be "
            "lost; a masked ID means the f0 address that it contains",
        )
    if signature.type is SignatureType.DELEGATED:
        chain_id = machine.context.chain_id
        try:
            carried = from_signed_message(signed, chain_id)
            sender = carried.sender()
        except TransactionError as error:
            raise TransactionRefused("invalid", str(error)) from None
        if carried.transaction.type == BLOB:
            raise TransactionRefused(
                "invalid", "missing sidecar in blob transaction; send it with its blobs by eth_sendRawTransaction"
            )
        candidate = _from_transaction(rules_of(machine).messages, machine, carried, sender)
        if candidate.bare.from_ != message.from_:
            owner = rules_of(machine).address_text(message.from_)
            raise TransactionRefused("signature", f"the signature is not that of {owner}")
        return candidate
    verify = verify_bls if signature.type is SignatureType.BLS else verify_secp256k1
    if not verify(signature.data, message.from_, message.cid()):
        raise TransactionRefused("signature", f"the signature of message {show(message.cid())} is not its sender's")
    digest = bytes(signed.cid()[-32:])
    return Candidate(digest, NATIVE, signed, display_address(machine, message.from_), _receiver(machine, message))


def from_impersonated(machine: Hypervisor, message: Message) -> Candidate:
    """Return the candidate of an unsigned message. Raises TransactionRefused."""
    _require_unsigned_amounts(machine, message)
    signed = SignedMessage(message, NO_SIGNATURE)
    digest = bytes(signed.cid()[-32:])
    return Candidate(digest, IMPERSONATED, signed, display_address(machine, message.from_), _receiver(machine, message))


def from_unsigned(machine: Hypervisor, transaction: Transaction, sender: EthAddress) -> Candidate:
    """Return the candidate of a transaction without a signature. Raises TransactionRefused.

    Its message carries it with zeros for the signature. The message of an actor that only has an ID carries nothing.
    """
    from_, messages = to_filecoin(sender), rules_of(machine).messages
    try:
        if from_.protocol is not Protocol.ID:
            signed = messages.carry(SignedTransaction(transaction, 0, 0, 0), sender)
        elif transaction.access_list or transaction.authorizations:
            raise TransactionRefused(
                "type", f"the transaction of actor {from_} cannot carry an access list or authorizations: omit them"
            )
        else:
            return from_impersonated(machine, messages.message_from(transaction, from_))
    except TransactionError as error:
        raise TransactionRefused("invalid", str(error)) from None
    digest, to = bytes(signed.cid()[-32:]), _receiver(machine, signed.message)
    return Candidate(digest, IMPERSONATED, signed, sender, to, chain_id=machine.context.chain_id)


def _require_unsigned_amounts(machine: Hypervisor, message: Message) -> None:
    """Reject negative amounts of a native message: a negative tip would create money, and no transaction has one."""
    amounts = {"value": message.value, "gas fee cap": message.gas_fee_cap, "gas premium": message.gas_premium}
    for name, amount in amounts.items():
        if amount < 0:
            raise TransactionRefused("fee", f"negative {name}: {amount} {rules_of(machine).unit}")


class Verdict(NamedTuple):
    """The sender of a message, None if it is not an actor yet, and why the next block cannot include the message."""

    sender: SenderInfo | None
    refused: TransactionRefused | None

    @property
    def is_executable(self) -> bool:
        """True if the next block can include the message."""
        return self.refused is None


def preflight(machine: Hypervisor, candidate: Candidate, base_fee: int) -> Verdict:
    """Check the sender of a message, and its fee caps against a block with this base fee (attoFIL per gas).

    The pool and the producers of blocks ask. Under Filecoin's rules the executor checks sender, nonce and prepaid gas
    again. It executes a message with too low a fee cap at the producer's expense, and one with too few funds for its
    value at the sender's, so a producer must ask. Sources: ref-fvm fvm/src/executor/default.rs, `preflight_message`;
    lotus chain/messagepool/selection.go.
    """
    rules, message = rules_of(machine), candidate.bare
    sender = rules.messages.sender(machine, message.from_)
    nonce, balance, pays = (0, 0, True) if sender is None else sender
    needed, refused = candidate.required_funds if pays else message.value, None
    if not pays and candidate.kind != IMPERSONATED:
        owner = rules.address_text(message.from_)
        refused = TransactionRefused("sender", f"{owner} is not an account: only accounts send transactions")
    elif message.nonce < nonce:
        refused = TransactionRefused("nonce", f"nonce too low: next nonce {nonce}, tx nonce {message.nonce}")
    elif balance < needed:
        refused = _lacks_funds(rules, balance, candidate.sender, needed)
    elif sender is None or message.nonce > nonce:
        refused = TransactionRefused("gap", f"nonce too high: next nonce {nonce}, tx nonce {message.nonce}")
    elif pays and message.gas_fee_cap < base_fee:
        refused = TransactionRefused("fee", f"max fee per gas less than block base fee: {message.gas_fee_cap}")
    elif candidate.kind == BLOB and not _covers_blob_fee(rules, machine, candidate):
        refused = TransactionRefused("fee", f"max fee per blob gas less than block blob fee: {candidate.blob_fee_cap}")
    return Verdict(sender, refused)


def _covers_blob_fee(rules: NetworkRules, machine: Hypervisor, candidate: Candidate) -> bool:
    """Return False if the message's blob fee cap is below the blob base fee of the machine's block."""
    block = machine.context.block
    if not isinstance(block, EthereumBlock):
        return True
    return candidate.blob_fee_cap >= rules.blob_base_fee(block.excess_blob_gas)


def check(
    machine: Hypervisor, candidate: Candidate, base_fee: TokenAmount, min_gas_price: TokenAmount | None = None
) -> Verdict:
    """Check a message of any kind; return the verdict of `preflight`, which has no reason to drop it.

    `min_gas_price` is the configured minimum of its fee cap, in attoFIL per gas. Raises TransactionRefused.
    """
    message = candidate.bare
    rules = rules_of(machine)
    rules.messages.check(machine, candidate, base_fee)
    if not 0 <= message.value <= rules.limits.value:
        raise TransactionRefused("value", f"value {message.value:d} is not between 0 and {rules.limits.value:d}")
    verdict = preflight(machine, candidate, base_fee)
    if verdict.refused is not None and verdict.refused.reason not in _WAITS:
        raise verdict.refused
    if min_gas_price is not None and message.gas_fee_cap < min_gas_price:
        text = f"transaction underpriced: fee cap {message.gas_fee_cap}, the node takes at least {min_gas_price}"
        raise TransactionRefused("underpriced", text)
    return verdict


def check_queue(
    machine: Hypervisor, candidate: Candidate, sender: SenderInfo | None, pending: Iterable[Candidate]
) -> None:
    """Raise TransactionRefused if the sender cannot pay for the message and all `pending` ones, as in geth's pool."""
    _, balance, pays = (0, 0, True) if sender is None else sender
    queue = [candidate, *(each for each in pending if each.bare.nonce != candidate.bare.nonce)]
    needed = sum(each.required_funds if pays else each.bare.value for each in queue)
    if balance < needed:
        rules = rules_of(machine)
        raise TransactionRefused(
            "funds",
            f"insufficient funds for gas * price + value: 0x{candidate.sender.hex()} has {balance:d} {rules.unit}, "
            f"the transaction and {len(queue) - 1} pending ones may cost {needed}; mine a block, or send less",
        )


def require_funds(rules: NetworkRules, balance: int, sender: EthAddress, needed: int) -> None:
    """Raise TransactionRefused for a sender with less than `needed` attoFIL."""
    if balance < needed:
        raise _lacks_funds(rules, balance, sender, needed)


def _lacks_funds(rules: NetworkRules, balance: int, sender: EthAddress, needed: int) -> TransactionRefused:
    return TransactionRefused(
        "funds",
        f"insufficient funds for gas * price + value: 0x{sender.hex()} has {balance:d} {rules.unit}, "
        f"the transaction may cost {needed}",
    )


def _receiver(machine: Hypervisor, message: Message) -> EthAddress | None:
    """Return the receiver as Ethereum's tools show it: None for a contract creation."""
    if message.method == CREATE_EXTERNAL_METHOD and calldata_of_message(message) is not None:
        return None
    return display_address(machine, message.to)
