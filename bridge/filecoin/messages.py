"""Filecoin messages of Ethereum transactions.

A transaction becomes a message from the sender's f410 address: to CreateExternal of the Ethereum address manager if it
creates a contract, else to InvokeEVM of the receiver. Its signature has type 3 (delegated) and encodes the transaction
type, so that the transaction and its hash can be restored from the message. Types 0 (with and without a chain id) and 2
are encoded as on the network (FIP-0055, FIP-0091; lotus chain/types/ethtypes). Type 1, which the network rejects, has
an encoding specific to this project, with the prefix 0x03, for tools that send nothing else to a local network. A
message cannot hold access lists and authorizations: if the rules support them, the signature holds the whole
transaction after the prefix 0x04 (`envelope_message`).

If accounts can have code, a type 4 transaction is a message of its sender to itself, to `ApplyAndCall`, signed like one
of type 2. The parameters are `[[[chain id, address, nonce, y parity, r, s], ...], [to, value, input]]` in CBOR, with r,
s and value as big-endian magnitudes; the return value is `[status, output]`. Source: FIP-0111, On-Chain State and
ApplyAndCall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import (
    ETH_ADDRESS_LENGTH,
    EthAddress,
    from_delegated,
    to_ethereum,
    to_filecoin,
    unmask_id,
)
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    SignedTransaction,
    Transaction,
    TransactionError,
    check_type,
    parse_transaction,
)
from bridge.filecoin.cbor import ParamsError, byte_string, read_byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, Gas, MethodNumber, TokenAmount
from store.codec import CodecError, decode_strict, encode

APPLY_AND_CALL: Final = MethodNumber(1015040376)
"""`method_number("ApplyAndCall")`."""
_WORD: Final = 32
_U64: Final = (1 << 64) - 1
_U8: Final = 255


@dataclass(frozen=True, slots=True)
class ApplyAndCallParams:
    """Authorizations and the call that follows them: value in attoFIL, `data` as calldata."""

    authorizations: tuple[Authorization, ...]
    to: EthAddress
    value: int
    data: bytes

    def encode(self) -> bytes:
        """Encode as CBOR. Raises ParamsError for authorization fields that exceed the format."""
        return encode([
            [_fields(item) for item in self.authorizations],
            [bytes(self.to), _magnitude(self.value), self.data],
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> ApplyAndCallParams:
        """Decode CBOR; magnitudes may have leading zeros. Raises ParamsError."""
        try:
            authorizations, call = decode_strict(data)
            to, value, input_ = call
            if not isinstance(authorizations, list) or type(input_) is not bytes:
                raise TypeError("expected [[authorization, ...], [to, value, input]]")
            return cls(tuple(map(_authorization, authorizations)), _address(to), _number(value), input_)
        except (CodecError, TypeError, ValueError) as error:
            raise ParamsError(f"cannot decode the parameters of ApplyAndCall: {error}") from None


def encode_outcome(succeeded: bool, output: bytes) -> bytes:
    """Encode the status and output of the call."""
    return encode([int(succeeded), output])


def decode_outcome(data: bytes) -> tuple[bool, bytes]:
    """Decode the status and output of the call. Raises ParamsError."""
    try:
        status, output = decode_strict(data)
    except (CodecError, TypeError, ValueError) as error:
        raise ParamsError(f"cannot decode the return value of ApplyAndCall: {error}") from None
    if type(status) is not int or status not in (0, 1) or type(output) is not bytes:
        raise ParamsError("the return value of ApplyAndCall is not [status, output]")
    return status == 1, output


def _fields(item: Authorization) -> list[Any]:
    if item.chain_id > _U64 or item.y_parity > _U8:
        raise ParamsError(
            f"an authorization with chain id {item.chain_id} and parity {item.y_parity} does not fit "
            "a Filecoin message, which has 64 bits and 8 bits for them"
        )
    return [item.chain_id, bytes(item.address), item.nonce, item.y_parity, _magnitude(item.r), _magnitude(item.s)]


def _authorization(fields: Any) -> Authorization:
    chain_id, address, nonce, parity, r, s = fields
    for name, number, maximum in (("chain id", chain_id, _U64), ("nonce", nonce, _U64), ("parity", parity, _U8)):
        if type(number) is not int or not 0 <= number <= maximum:
            raise ValueError(f"the {name} of an authorization must be a number of at most {maximum}")
    return Authorization(chain_id, _address(address), nonce, parity, _number(r), _number(s))


def _address(value: Any) -> EthAddress:
    if type(value) is not bytes or len(value) != ETH_ADDRESS_LENGTH:
        raise ValueError("an address must have 20 bytes")
    return EthAddress(value)


def _magnitude(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(value: Any) -> int:
    if type(value) is not bytes or len(value) > _WORD:
        raise ValueError("a magnitude must have at most 32 bytes")
    return int.from_bytes(value, "big")


_HOMESTEAD_PREFIX: Final = 1
_EIP_155_PREFIX: Final = 2
_ACCESS_LIST_PREFIX: Final = 3
_WHOLE_PREFIX: Final = 4
REPRESENTABLE_TYPES: Final = (LEGACY, ACCESS_LIST, DYNAMIC_FEE)
"""Transaction types that a message can hold if their access list is empty."""
UNREPRESENTABLE_TYPES: Final = {
    BLOB: "a Filecoin message cannot hold blobs",
    SET_CODE: "a Filecoin message cannot hold authorizations",
}
"""Reasons why a message cannot hold other types."""
_SIGNATURE: Final = 65


# --- to messages ------------------------------------------------------------------------------------------------------


def message_of(transaction: Transaction, sender: EthAddress) -> Message:
    """Return the Filecoin message of a transaction. Raises TransactionError, and AddressError for a masked ID."""
    address = to_filecoin(sender)
    if address.protocol is Protocol.ID:
        raise AddressError(
            f"0x{sender.hex()} is the masked ID of an actor, which cannot sign: use an account's address"
        )
    return message_from(transaction, address)


def message_from(transaction: Transaction, sender: Address) -> Message:
    """Return the message with any actor as sender, even one that cannot sign. Raises TransactionError."""
    transaction.check()
    if transaction.to is None:
        to, method = Address.id(EAM_ACTOR), MethodNumber(CREATE_EXTERNAL_METHOD)
    else:
        to, method = to_filecoin(transaction.to), INVOKE_EVM
    return Message(
        to,
        sender,
        transaction.nonce,
        TokenAmount(transaction.value),
        method,
        byte_string(transaction.data) if transaction.data else b"",
        Gas(transaction.gas_limit),
        TokenAmount(transaction.max_fee),
        TokenAmount(transaction.max_priority_fee),
    )


def set_code_message_from(transaction: Transaction, sender: Address) -> Message:
    """Return the message like `message_from`; a type 4 transaction calls the sender's ApplyAndCall.

    Raises TransactionError, also for a type 4 transaction that creates a contract.
    """
    if transaction.type != SET_CODE:
        return message_from(transaction, sender)
    transaction.check()
    if transaction.to is None:
        raise TransactionError("a type 4 transaction cannot create a contract: set a receiver")
    try:
        params = ApplyAndCallParams(
            transaction.authorizations, transaction.to, transaction.value, transaction.data
        ).encode()
    except ParamsError as error:
        raise TransactionError(str(error)) from None
    return Message(
        sender,
        sender,
        nonce=transaction.nonce,
        value=TokenAmount(transaction.value),
        method=APPLY_AND_CALL,
        params=params,
        gas_limit=Gas(transaction.gas_limit),
        gas_fee_cap=TokenAmount(transaction.max_fee),
        gas_premium=TokenAmount(transaction.max_priority_fee),
    )


def set_code_message(signed: SignedTransaction, sender: EthAddress | None = None) -> SignedMessage:
    """Return the message like `signed_message`, also for type 4, for rules where accounts can have code."""
    transaction = signed.transaction
    if transaction.type != SET_CODE:
        return signed_message(signed, sender)
    if transaction.access_list:
        raise TransactionError("the transaction has an access list, which a Filecoin message cannot carry")
    from_ = sender or signed.sender()
    if unmask_id(from_) is not None:
        raise AddressError(f"0x{from_.hex()} is the masked ID of an actor, which cannot sign: use an account's address")
    message = set_code_message_from(transaction, Address.delegated(EAM_NAMESPACE, from_))
    return SignedMessage(message, Signature(SignatureType.DELEGATED, _signature_bytes(signed)))


def signed_message(signed: SignedTransaction, sender: EthAddress | None = None) -> SignedMessage:
    """Return the message that carries a transaction; `sender` is recovered from the signature if not given.

    Raises TransactionError for a type or an access list that a message cannot hold.
    """
    transaction = signed.transaction
    if transaction.type not in REPRESENTABLE_TYPES:
        check_type(transaction.type, REPRESENTABLE_TYPES, UNREPRESENTABLE_TYPES.get(transaction.type, ""))
    if transaction.access_list:
        raise TransactionError("the transaction has an access list, which a Filecoin message cannot carry")
    signature = Signature(SignatureType.DELEGATED, _signature_bytes(signed))
    return SignedMessage(message_of(transaction, sender or signed.sender()), signature)


def envelope_message(signed: SignedTransaction, sender: EthAddress | None = None) -> SignedMessage:
    """Return the message like `signed_message`; the signature holds transactions that a message cannot hold."""
    transaction = signed.transaction
    if transaction.type in REPRESENTABLE_TYPES and not transaction.access_list:
        return signed_message(signed, sender)
    data = bytes([_WHOLE_PREFIX]) + signed.raw()
    if len(data) == _SIGNATURE:  # the length of a type 2 transaction's signature, and raw transactions begin with no 0
        data = bytes([_WHOLE_PREFIX, 0]) + signed.raw()
    return SignedMessage(message_of(transaction, sender or signed.sender()), Signature(SignatureType.DELEGATED, data))


def _signature_bytes(signed: SignedTransaction) -> bytes:
    scalars = signed.r.to_bytes(32, "big") + signed.s.to_bytes(32, "big")
    if signed.transaction.type in (DYNAMIC_FEE, SET_CODE):
        return scalars + bytes([signed.v])
    if signed.transaction.type == ACCESS_LIST:
        return bytes([_ACCESS_LIST_PREFIX]) + scalars + bytes([signed.v])
    prefix = _HOMESTEAD_PREFIX if signed.transaction.chain_id is None else _EIP_155_PREFIX
    return bytes([prefix]) + scalars + rlp.number(signed.v)


# --- to transactions --------------------------------------------------------------------------------------------------


def from_signed_message(signed: SignedMessage, chain_id: int) -> SignedTransaction:
    """Return the transaction that a message carries, on the chain with this id.

    Raises TransactionError for another type of signature, and for a message that does not result from a transaction.
    """
    if signed.signature.type is not SignatureType.DELEGATED:
        raise TransactionError(f"a message with a {signed.signature.type.name} signature does not carry a transaction")
    data = signed.signature.data
    if len(data) != _SIGNATURE and data.startswith(bytes([_WHOLE_PREFIX])):
        return _from_envelope(signed)
    kind, chain, scalars, v = _read_signature(data, chain_id)
    sender = from_delegated(signed.message.from_)
    if sender is None:
        raise TransactionError(f"sender {signed.message.from_} has no Ethereum address")
    transaction = _from_message(signed.message, kind, chain)
    parity = v if kind != LEGACY else v - 27 if chain is None else v - 35 - 2 * chain
    if parity not in (0, 1):
        raise TransactionError(f"the signature's v of {v} is not valid on chain {chain_id}")
    r, s = int.from_bytes(scalars[:32], "big"), int.from_bytes(scalars[32:], "big")
    carried = SignedTransaction(transaction, parity, r, s)
    again = set_code_message if transaction.type == SET_CODE else signed_message
    if again(carried, sender) != signed:
        raise TransactionError("the message does not match the transaction in its signature")
    return carried


def transaction_of(message: Message, chain_id: int) -> Transaction:
    """Return the type 2 transaction of a message from an f410 address. Raises TransactionError."""
    return _from_message(message, DYNAMIC_FEE, chain_id)


def envelope_transaction(signed: SignedMessage) -> SignedTransaction:
    """Return the transaction in the signature of an `envelope_message`. Raises TransactionError."""
    return parse_transaction(signed.signature.data[1:].lstrip(b"\0"))


def _from_envelope(signed: SignedMessage) -> SignedTransaction:
    carried = envelope_transaction(signed)
    sender = from_delegated(signed.message.from_)
    if sender is None or envelope_message(carried, sender) != signed:
        raise TransactionError("the transaction in the message's signature does not match the message")
    return carried


def _read_signature(data: bytes, chain_id: int) -> tuple[int, int | None, bytes, int]:
    """Return transaction type, chain id, r and s, and v of a delegated signature."""
    if len(data) == _SIGNATURE:
        return DYNAMIC_FEE, chain_id, data[:64], data[64]
    prefix, scalars, v = data[0] if data else 0, data[1:65], int.from_bytes(data[65:], "big")
    if len(data) == _SIGNATURE + 1 and prefix == _HOMESTEAD_PREFIX:
        return LEGACY, None, scalars, v
    if len(data) == _SIGNATURE + 1 and prefix == _ACCESS_LIST_PREFIX:
        return ACCESS_LIST, chain_id, scalars, v
    if len(data) > _SIGNATURE and prefix == _EIP_155_PREFIX:
        return LEGACY, chain_id, scalars, v
    raise TransactionError(
        f"a delegated signature of {len(data)} bytes with prefix {prefix} does not belong to a transaction"
    )


def _from_message(message: Message, kind: int, chain_id: int | None) -> Transaction:
    authorizations: tuple[Authorization, ...] = ()
    to: EthAddress | None
    if message.method == APPLY_AND_CALL and message.to == message.from_ and kind == DYNAMIC_FEE:
        kind, called = SET_CODE, _decode_apply_and_call(message)
        authorizations, to, data = called.authorizations, called.to, called.data
    elif message.method == INVOKE_EVM:
        actor = message.to.actor_id()
        to = from_delegated(message.to) if actor is None else to_ethereum(actor, None)
        if to is None:
            raise TransactionError(f"receiver {message.to} has no Ethereum address")
    elif message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR):
        to = None
    else:
        raise TransactionError(f"method {message.method} of {message.to} cannot be called by a transaction")
    if kind != SET_CODE:
        data = _calldata(message)
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=message.nonce,
        to=to,
        value=message.value,
        data=data,
        gas_limit=message.gas_limit,
        max_fee=message.gas_fee_cap,
        max_priority_fee=message.gas_premium,
        authorizations=authorizations,
    ).check()


def _calldata(message: Message) -> bytes:
    try:
        return read_byte_string(message.params) if message.params else b""
    except ParamsError as error:
        raise TransactionError(f"the parameters are not calldata: {error}") from None


def _decode_apply_and_call(message: Message) -> ApplyAndCallParams:
    try:
        return ApplyAndCallParams.decode(message.params)
    except ParamsError as error:
        raise TransactionError(str(error)) from None
