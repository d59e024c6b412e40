"""Ethereum transactions as Filecoin messages, and back.

A transaction becomes a message of the sender's f410 address: to the Ethereum address manager's CreateExternal where it
creates a contract, else to InvokeEVM of the receiver. Its signature is carried with type 3 (delegated) in a form that
tells the kinds of transaction apart, so that the transaction, and with it its hash, can be made again from the message.
Types 0 (with and without a chain id) and 2 are as on the network (FIP-0055, FIP-0091; lotus chain/types/ethtypes).
Type 1, which the network refuses, is carried in a form of this project's own, with the prefix 0x03, so that tools which
send nothing else work on a local network. A message has no room for access lists and authorizations: where the rules
have them, the signature holds the whole transaction behind the prefix 0x04 (`whole_message`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from eth_hash.auto import keccak

from bridge import rlp
from bridge.addresses import EthAddress, eth_address, from_delegated, to_ethereum, to_filecoin, unmask_id
from bridge.cbor import ParamsError, byte_string, read_byte_string
from bridge.method_numbers import INVOKE_EVM
from bridge.params import CREATE_EXTERNAL_METHOD
from hypervisor.address import Address
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.signatures import recover_secp256k1
from hypervisor.types import EAM_ACTOR, EAM_NAMESPACE, Gas, MethodNumber, TokenAmount

LEGACY: Final = 0
ACCESS_LIST: Final = 1
DYNAMIC_FEE: Final = 2
SET_CODE: Final = 4

_HOMESTEAD_PREFIX: Final = 1
_EIP_155_PREFIX: Final = 2
_ACCESS_LIST_PREFIX: Final = 3
_WHOLE_PREFIX: Final = 4
_CARRIED: Final = (LEGACY, ACCESS_LIST, DYNAMIC_FEE)
"""The types of transactions that a message can hold, if their access list is empty."""
_SIGNATURE: Final = 65
_WORD: Final = 32
_U64_BYTES: Final = 8
_U64_FIELDS: Final = ("nonce", "gas_limit")
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1: signatures with a greater s are not canonical (EIP-2)."""


class TransactionError(InvalidInput):
    """Bytes that are no transaction that can be carried, or a message that is none."""


class Authorization(NamedTuple):
    """An account's word that it lends itself the code behind `address`, with its signature (EIP-7702)."""

    chain_id: int
    address: EthAddress
    nonce: int
    y_parity: int
    r: int
    s: int


AccessList = tuple[tuple[EthAddress, tuple[int, ...]], ...]
"""Addresses, each with slots."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a sender signs. Money in attoFIL; fees in attoFIL per gas; for types 0 and 1 both fees are the gas price.

    `chain_id` is None for a legacy transaction that is good on every chain; `to` is None where a contract is created.
    Raises TransactionError for a negative number, and for a nonce or gas limit of more than 64 bits.
    """

    type: int
    chain_id: int | None
    nonce: int
    to: EthAddress | None
    value: int
    data: bytes
    gas_limit: int
    max_fee: int
    max_priority_fee: int
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nonce", "gas_limit", "chain_id", "value", "max_fee", "max_priority_fee"):
            number, bits = getattr(self, name) or 0, 64 if name in _U64_FIELDS else 256
            if number < 0 or number >> bits:
                raise TransactionError(f"{name.replace('_', ' ')} {number} is not an unsigned number of {bits} bits")

    def unsigned(self) -> bytes:
        """The bytes that are hashed and signed."""
        if self.type != LEGACY:
            return bytes([self.type]) + rlp.encode(self._fields())
        chain = [] if self.chain_id is None else [rlp.number(self.chain_id), b"", b""]
        return rlp.encode([*self._fields(), *chain])

    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        return bytes(keccak(self.unsigned()))

    def sign(self, private_key: bytes) -> SignedTransaction:
        """The transaction with the signature of a 32-byte private key."""
        import coincurve

        signature = coincurve.PrivateKey(private_key).sign_recoverable(self.digest(), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return SignedTransaction(self, signature[64], r, s)

    def message(self, sender: EthAddress) -> Message:
        """The Filecoin message; AddressError for a sender that is a masked ID."""
        if unmask_id(sender) is not None:
            raise AddressError(f"0x{sender.hex()} is an actor's number, and no account that signs")
        return self.message_from(Address.delegated(EAM_NAMESPACE, sender))

    def message_from(self, sender: Address) -> Message:
        """The message in the name of any actor, which need not be one that signs."""
        if self.to is None:
            to, method = Address.id(EAM_ACTOR), MethodNumber(CREATE_EXTERNAL_METHOD)
        else:
            to, method = to_filecoin(self.to), INVOKE_EVM
        return Message(
            to,
            sender,
            nonce=self.nonce,
            value=TokenAmount(self.value),
            method=method,
            params=byte_string(self.data) if self.data else b"",
            gas_limit=Gas(self.gas_limit),
            gas_fee_cap=TokenAmount(self.max_fee),
            gas_premium=TokenAmount(self.max_priority_fee),
        )

    def _fields(self) -> list[rlp.Item]:
        number = rlp.number
        call: list[rlp.Item] = [number(self.gas_limit), bytes(self.to or b""), number(self.value), self.data]
        if self.type == LEGACY:
            return [number(self.nonce), number(self.max_fee), *call]
        chain = [number(self.chain_id or 0), number(self.nonce)]
        slots: list[rlp.Item] = [
            [bytes(address), [key.to_bytes(_WORD, "big") for key in keys]] for address, keys in self.access_list
        ]
        if self.type == ACCESS_LIST:
            return [*chain, number(self.max_fee), *call, slots]
        common = [*chain, number(self.max_priority_fee), number(self.max_fee), *call, slots]
        if self.type == SET_CODE:
            return [*common, [_authorization(item) for item in self.authorizations]]
        return common


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction with its sender's signature; `y_parity` is 0 or 1."""

    transaction: Transaction
    y_parity: int
    r: int
    s: int

    @property
    def v(self) -> int:
        """The last part of the signature as this type of transaction writes it."""
        if self.transaction.type != LEGACY:
            return self.y_parity
        chain_id = self.transaction.chain_id
        return self.y_parity + (27 if chain_id is None else 35 + 2 * chain_id)

    def raw(self) -> bytes:
        """The bytes of the wire."""
        signature = [rlp.number(self.v), rlp.number(self.r), rlp.number(self.s)]
        body = rlp.encode([*self.transaction._fields(), *signature])
        return body if self.transaction.type == LEGACY else bytes([self.transaction.type]) + body

    def hash(self) -> bytes:
        """The transaction's hash."""
        return bytes(keccak(self.raw()))

    def sender(self) -> EthAddress:
        """The address of the key that signed; TransactionError where no key did."""
        signature = self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes([self.y_parity])
        key = recover_secp256k1(self.transaction.digest(), signature) if 0 < self.s <= _HALF_ORDER else None
        if key is None:
            raise TransactionError("the transaction's signature is invalid")
        return key_address(key)

    def signed_message(self, sender: EthAddress | None = None) -> SignedMessage:
        """The message that carries the transaction; `sender` is recovered where it is not known.

        Raises TransactionError for what a message cannot hold: another type, an access list.
        """
        if self.transaction.type not in _CARRIED:
            kind = self.transaction.type
            raise TransactionError(f"transactions of type {kind} are not supported here: expected type 0, 1 or 2")
        if self.transaction.access_list:
            raise TransactionError("the transaction has an access list, which a Filecoin message cannot carry")
        signature = Signature(SignatureType.DELEGATED, self._signature_bytes())
        return SignedMessage(self.transaction.message(sender or self.sender()), signature)

    def whole_message(self, sender: EthAddress | None = None) -> SignedMessage:
        """As `signed_message`, for every transaction: what a message cannot hold is in its signature as it stands."""
        if self.transaction.type in _CARRIED and not self.transaction.access_list:
            return self.signed_message(sender)
        signature = Signature(SignatureType.DELEGATED, bytes([_WHOLE_PREFIX]) + self.raw())
        return SignedMessage(self.transaction.message(sender or self.sender()), signature)

    def _signature_bytes(self) -> bytes:
        scalars = self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big")
        if self.transaction.type == DYNAMIC_FEE:
            return scalars + bytes([self.v])
        if self.transaction.type == ACCESS_LIST:
            return bytes([_ACCESS_LIST_PREFIX]) + scalars + bytes([self.v])
        prefix = _HOMESTEAD_PREFIX if self.transaction.chain_id is None else _EIP_155_PREFIX
        return bytes([prefix]) + scalars + rlp.number(self.v)


def key_address(public_key: bytes) -> EthAddress:
    """The Ethereum address of a 65-byte uncompressed public key."""
    return EthAddress(bytes(keccak(public_key[1:])[12:]))


# --- bytes of the wire ------------------------------------------------------------------------------------------------


def parse_transaction(raw: bytes) -> SignedTransaction:
    """A signed transaction of type 0, 1, 2 or 4 from the bytes of the wire. Raises TransactionError."""
    if not raw:
        raise TransactionError("a transaction of no bytes")
    try:
        if raw[0] > 0x7F:
            return _parse_legacy(rlp.read_list(rlp.decode(raw), 9))
        if raw[0] == ACCESS_LIST:
            return _parse_typed(ACCESS_LIST, rlp.read_list(rlp.decode(raw[1:]), 11))
        if raw[0] == DYNAMIC_FEE:
            return _parse_typed(DYNAMIC_FEE, rlp.read_list(rlp.decode(raw[1:]), 12))
        if raw[0] == SET_CODE:
            return _parse_typed(SET_CODE, rlp.read_list(rlp.decode(raw[1:]), 13))
    except (rlp.RlpError, AddressError) as error:
        raise TransactionError(f"the transaction is malformed: {error}") from None
    raise TransactionError(
        f"transactions of type {raw[0]} are not supported: expected a list (type 0), or type 1, 2 or 4"
    )


def _parse_legacy(fields: list[rlp.Item]) -> SignedTransaction:
    nonce, price, gas, to, value, data, v_, r, s = fields
    v, fee = rlp.read_number(v_), rlp.read_number(price)
    if v not in (27, 28) and v < 35:
        raise TransactionError(f"a legacy transaction's v is 27, 28, or 35 and more: {v}")
    chain_id, parity = read_v(v)
    transaction = _transaction(LEGACY, chain_id, nonce, [gas, to, value, data], fee, fee)
    return SignedTransaction(transaction, parity, rlp.read_number(r), rlp.read_number(s))


def _parse_typed(kind: int, fields: list[rlp.Item]) -> SignedTransaction:
    chain_id, nonce, *fees = fields[: 3 if kind == ACCESS_LIST else 4]
    *body, v, r, s = fields[2 + len(fees) :]
    call, access_list, authorizations = body[:4], body[4], body[5] if kind == SET_CODE else []
    parity = rlp.read_number(v)
    if parity > 1:
        raise TransactionError(f"the signature's parity is 0 or 1, not {parity}")
    priority, cap = rlp.read_number(fees[0]), rlp.read_number(fees[-1])
    transaction = _transaction(kind, rlp.read_number(chain_id, _U64_BYTES), nonce, call, cap, priority)
    slots, words = rlp.read_list(access_list), rlp.read_list(authorizations)
    if slots or words:
        transaction = replace(
            transaction,
            access_list=tuple(_read_access(entry) for entry in slots),
            authorizations=tuple(_read_authorization(item) for item in words),
        )
    return SignedTransaction(transaction, parity, rlp.read_number(r), rlp.read_number(s))


def _transaction(
    kind: int, chain_id: int | None, nonce: rlp.Item, call: list[rlp.Item], max_fee: int, priority: int
) -> Transaction:
    asked = read_call(call)
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=rlp.read_number(nonce, _U64_BYTES),
        to=asked.to,
        value=asked.value,
        data=asked.data,
        gas_limit=asked.gas_limit,
        max_fee=max_fee,
        max_priority_fee=priority,
    )


def _read_access(entry: rlp.Item) -> tuple[EthAddress, tuple[int, ...]]:
    address, keys = rlp.read_list(entry, 2)
    words = [rlp.read_bytes(key) for key in rlp.read_list(keys)]
    if any(len(word) != _WORD for word in words):
        raise TransactionError("a slot of the access list has not 32 bytes")
    return eth_address(rlp.read_bytes(address)), tuple(int.from_bytes(word, "big") for word in words)


def _authorization(item: Authorization) -> rlp.Item:
    numbers = (item.nonce, item.y_parity, item.r, item.s)
    return [rlp.number(item.chain_id), bytes(item.address), *(rlp.number(number) for number in numbers)]


def _read_authorization(item: rlp.Item) -> Authorization:
    chain_id, address, nonce, parity, r, s = rlp.read_list(item, 6)
    return Authorization(
        rlp.read_number(chain_id),
        eth_address(rlp.read_bytes(address)),
        rlp.read_number(nonce, _U64_BYTES),
        rlp.read_number(parity),
        rlp.read_number(r),
        rlp.read_number(s),
    )


class CallFields(NamedTuple):
    """What every kind of transaction has in a row: gas, receiver (None: a creation), value and data."""

    gas_limit: int
    to: EthAddress | None
    value: int
    data: bytes


def read_call(fields: list[rlp.Item]) -> CallFields:
    """The four fields from RLP. Raises RlpError, AddressError."""
    gas, to, value, data = fields
    receiver = rlp.read_bytes(to)
    return CallFields(
        rlp.read_number(gas), eth_address(receiver) if receiver else None, rlp.read_number(value), rlp.read_bytes(data)
    )


def read_v(v: int) -> tuple[int | None, int]:
    """A legacy transaction's chain id, where it has one, and its signature's parity (EIP-155)."""
    return (None, v - 27) if v < 35 else ((v - 35) // 2, (v - 35) % 2)


# --- messages ---------------------------------------------------------------------------------------------------------


def from_signed_message(signed: SignedMessage, chain_id: int) -> SignedTransaction:
    """The transaction that a message carries, on the chain of this id.

    Raises TransactionError for another kind of signature and for a message that no transaction becomes.
    """
    if signed.signature.type is not SignatureType.DELEGATED:
        raise TransactionError(f"a message signed with {signed.signature.type.name} carries no transaction")
    data = signed.signature.data
    if whole_transaction(signed) is not None:
        return _from_whole(signed)
    kind, chain, scalars, v = _read_signature(data, chain_id)
    sender = from_delegated(signed.message.from_)
    if sender is None:
        raise TransactionError(f"sender {signed.message.from_} has no Ethereum address")
    transaction = _from_message(signed.message, kind, chain)
    parity = v if kind != LEGACY else v - 27 if chain is None else v - 35 - 2 * chain
    if parity not in (0, 1):
        raise TransactionError(f"the signature's v is {v}, which is not a transaction's on chain {chain_id}")
    r, s = int.from_bytes(scalars[:32], "big"), int.from_bytes(scalars[32:], "big")
    carried = SignedTransaction(transaction, parity, r, s)
    if carried.signed_message(sender) != signed:
        raise TransactionError("no Ethereum transaction becomes this message")
    return carried


def whole_transaction(signed: SignedMessage) -> bytes | None:
    """The bytes of the transaction in a message's signature, None for a message that is the transaction itself."""
    data = signed.signature.data
    is_whole = signed.signature.type is SignatureType.DELEGATED and len(data) > _SIGNATURE + 1
    return data[1:] if is_whole and data[0] == _WHOLE_PREFIX else None


def _from_whole(signed: SignedMessage) -> SignedTransaction:
    carried = parse_transaction(signed.signature.data[1:])
    sender = from_delegated(signed.message.from_)
    if sender is None or carried.whole_message(sender) != signed:
        raise TransactionError("the transaction in the message's signature is another one than the message")
    return carried


def transaction_of(message: Message, chain_id: int) -> Transaction:
    """The transaction of type 2 that becomes a message of an f410 address; TransactionError where none does."""
    return _from_message(message, DYNAMIC_FEE, chain_id)


def _read_signature(data: bytes, chain_id: int) -> tuple[int, int | None, bytes, int]:
    """(type of transaction, chain id, r and s, v) of a delegated signature."""
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
        f"a delegated signature of {len(data)} bytes that starts with {prefix} is not a transaction's"
    )


def _from_message(message: Message, kind: int, chain_id: int | None) -> Transaction:
    if message.method == INVOKE_EVM:
        actor = message.to.actor_id()
        to = from_delegated(message.to) if actor is None else to_ethereum(actor, None)
        if to is None:
            raise TransactionError(f"receiver {message.to} has no Ethereum address")
    elif message.method == CREATE_EXTERNAL_METHOD and message.to == Address.id(EAM_ACTOR):
        to = None
    else:
        raise TransactionError(f"method {message.method} of {message.to} is called by no transaction")
    try:
        data = read_byte_string(message.params) if message.params else b""
    except ParamsError as error:
        raise TransactionError(f"the parameters are not calldata: {error}") from None
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
    )
