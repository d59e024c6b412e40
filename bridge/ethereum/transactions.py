"""Ethereum transactions of types 0 to 4, and accounts with delegated code (EIP-7702).

The single model of transactions: parsed here, carried as a Filecoin message if the chain needs one
(`bridge.filecoin.messages`), and passed to the executor unchanged. Source: EIP-155, 2718, 2930, 1559, 4844
(without blobs, as in blocks), 7702.

The rules that apply an authorization define its effect on the account's state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from bridge.ethereum import rlp
from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress, eth_address
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.messages import signatures
from store.blockstore import Blockstore
from store.cid import EMPTY_ARRAY_CID, Cid
from store.codec import CodecError, decode, encode, link, unlink
from store.keccak import keccak

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2
"""Maximum s of a canonical signature (EIP-2)."""


def recover(digest: bytes, parity: int, r: int, s: int) -> EthAddress | None:
    """Return the signer's address, or None if the signature is invalid."""
    if parity not in (0, 1) or not 0 < r < ORDER or not 0 < s < ORDER:
        return None
    key = signatures.recover(digest, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity]))
    return None if key is None else key_address(key)


def key_address(public_key: bytes) -> EthAddress:
    """Return the Ethereum address of a 65-byte uncompressed public key."""
    return EthAddress(bytes(keccak(public_key[1:])[12:]))


LEGACY: Final = 0
ACCESS_LIST: Final = 1
DYNAMIC_FEE: Final = 2
BLOB: Final = 3
SET_CODE: Final = 4

GAS_PER_BLOB: Final = 1 << 17

ALL_TYPES: Final = (LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE)

_WORD: Final = 32
_U64_FIELDS: Final = ("nonce", "gas_limit")
_FIELDS: Final = ("nonce", "gas_limit", "chain_id", "value", "max_fee", "max_priority_fee", "max_fee_per_blob_gas")
_U64: Final = 1 << 64
_U256: Final = 1 << 256
_AUTHORIZATION_MAGIC: Final = b"\x05"


class TransactionError(InvalidInput):
    """Raised for bytes that are not a valid transaction, or a message that does not carry one."""


def check_type(kind: int, accepted: Sequence[int], reason: str = "") -> None:
    """Raise TransactionError, with the accepted types, for a transaction of another type.

    `reason` explains why the type is not accepted.
    """
    if kind not in accepted:
        *others, last = map(str, accepted)
        known = f"{', '.join(others)} or {last}" if others else last
        raise TransactionError(
            f"transaction type not supported: type {kind}{f', {reason}' if reason else ''}; expected type {known}"
        )


class Authorization(NamedTuple):
    """An account's signed authorization to use the code of `address` (EIP-7702)."""

    chain_id: int
    address: EthAddress
    nonce: int
    y_parity: int
    r: int
    s: int

    def signer(self) -> EthAddress | None:
        """Return the signing account; None if the signature is invalid or not canonical."""
        return None if self.s > HALF_ORDER else recover(self.digest(), self.y_parity, self.r, self.s)

    def digest(self) -> bytes:
        content = [rlp.number(self.chain_id), bytes(self.address), rlp.number(self.nonce)]
        return bytes(keccak(_AUTHORIZATION_MAGIC + rlp.encode(content)))


AccessList = tuple[tuple[EthAddress, tuple[int, ...]], ...]
"""Addresses, each with slots."""


@dataclass(slots=True, unsafe_hash=True)
class Transaction:
    """The signed fields of a transaction. Amounts are in attoFIL (in place of wei), fees in attoFIL per gas.

    For types 0 and 1, both fees are the gas price. `chain_id` is None for a legacy transaction that is valid on every
    chain; `to` is None for a contract creation. Numbers are validated by `check` and the executor.
    """

    type: Final[int]
    chain_id: Final[int | None]
    nonce: Final[int]
    to: Final[EthAddress | None]
    value: Final[int]
    data: Final[bytes]
    gas_limit: Final[int]
    max_fee: Final[int]
    max_priority_fee: Final[int]
    access_list: Final[AccessList] = ()
    authorizations: Final[tuple[Authorization, ...]] = ()
    max_fee_per_blob_gas: Final[int] = 0
    blob_hashes: Final[tuple[bytes, ...]] = ()

    @property
    def blob_gas(self) -> int:
        """The blob gas that the transaction uses."""
        return GAS_PER_BLOB * len(self.blob_hashes)

    def check(self) -> Transaction:
        """Return the transaction if its numbers are in range.

        Raises TransactionError for negative numbers, a nonce or gas limit over 64 bits, and others over 256.
        """
        if (
            0 <= self.nonce < _U64
            and 0 <= self.gas_limit < _U64
            and 0 <= (self.chain_id or 0) < _U256
            and 0 <= self.value < _U256
            and 0 <= self.max_fee < _U256
            and 0 <= self.max_priority_fee < _U256
            and 0 <= self.max_fee_per_blob_gas < _U256
        ):
            return self
        for name in _FIELDS:
            number, bits = getattr(self, name) or 0, 64 if name in _U64_FIELDS else 256
            if number < 0 or number >> bits:
                raise TransactionError(f"{name.replace('_', ' ')} {number} is not an unsigned number of {bits} bits")
        return self

    def unsigned(self) -> bytes:
        """Return the encoding that is hashed and signed."""
        if self.type != LEGACY:
            return bytes([self.type]) + rlp.encode(self._fields())
        chain = [] if self.chain_id is None else [rlp.number(self.chain_id), b"", b""]
        return rlp.encode([*self._fields(), *chain])

    def digest(self) -> bytes:
        """Return the 32-byte digest that is signed."""
        return bytes(keccak(self.unsigned()))

    def sign(self, private_key: bytes) -> SignedTransaction:
        """Sign with a 32-byte private key. Raises TransactionError like `check`."""
        from hypervisor.messages.signatures import sign

        signature = sign(private_key, self.check().digest())
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return SignedTransaction(self, signature[64], r, s)

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
        if self.type == BLOB:
            return [*common, number(self.max_fee_per_blob_gas), list(self.blob_hashes)]
        if self.type == SET_CODE:
            return [*common, [_authorization(item) for item in self.authorizations]]
        return common


@dataclass(slots=True, unsafe_hash=True)
class SignedTransaction:
    """A transaction with its sender's signature; `y_parity` is 0 or 1."""

    transaction: Final[Transaction]
    y_parity: Final[int]
    r: Final[int]
    s: Final[int]
    wire_form: bytes = field(default=b"", repr=False, compare=False)
    """Its bytes; empty until `raw` is called if it was signed here."""
    unsigned: bytes = field(default=b"", repr=False, compare=False)
    """The signed part of the bytes it was parsed from; empty for a legacy transaction."""
    _hash: bytes = field(default=b"", init=False, repr=False, compare=False)
    _sender: EthAddress | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def v(self) -> int:
        """The last part of the signature, as encoded for this type of transaction."""
        if self.transaction.type != LEGACY:
            return self.y_parity
        chain_id = self.transaction.chain_id
        return self.y_parity + (27 if chain_id is None else 35 + 2 * chain_id)

    def raw(self) -> bytes:
        if not self.wire_form:
            self.wire_form = self._encode()
        return self.wire_form

    def hash(self) -> bytes:
        if not self._hash:
            self._hash = bytes(keccak(self.raw()))
        return self._hash

    def sender(self) -> EthAddress:
        """Return the address of the signing key. Raises TransactionError if the signature is invalid."""
        if self._sender is None and self.s <= HALF_ORDER:
            digest = bytes(keccak(self.unsigned)) if self.unsigned else self.transaction.digest()
            self._sender = recover(digest, self.y_parity, self.r, self.s)
        if self._sender is None:
            raise TransactionError("the transaction's signature is invalid")
        return self._sender

    def _encode(self) -> bytes:
        signature = [rlp.number(self.v), rlp.number(self.r), rlp.number(self.s)]
        body = rlp.encode([*self.transaction._fields(), *signature])
        return body if self.transaction.type == LEGACY else bytes([self.transaction.type]) + body


def _authorization(item: Authorization) -> rlp.Item:
    numbers = (item.nonce, item.y_parity, item.r, item.s)
    return [rlp.number(item.chain_id), bytes(item.address), *(rlp.number(number) for number in numbers)]


_LENGTHS: Final = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, BLOB: 14, SET_CODE: 13}
_U64_BYTES: Final = 8


def transaction_type(raw: bytes) -> int:
    """Return the type of a signed transaction from its first byte, known or not. Raises TransactionError."""
    if not raw:
        raise TransactionError("the transaction is empty")
    if raw[0] == LEGACY:
        raise TransactionError("the transaction starts with the byte 0x00: a type 0 transaction is a plain RLP list")
    return LEGACY if raw[0] > 0x7F else raw[0]


def parse_transaction(raw: bytes, kind: int | None = None) -> SignedTransaction:
    """Parse a signed transaction of any type; `kind` is its type, if known. Raises TransactionError."""
    if kind is None:
        kind = transaction_type(raw)
    if kind not in ALL_TYPES:
        check_type(kind, ALL_TYPES)
    try:
        if kind == LEGACY:
            return _legacy(raw, rlp.read_list(rlp.decode(raw), _LENGTHS[LEGACY]))
        content = raw[1:]
        return _parse_typed(kind, raw, content, rlp.read_list(rlp.decode(content), _LENGTHS[kind]))
    except (rlp.RlpError, AddressError) as error:
        raise TransactionError(f"the transaction is malformed: {error}") from None


def read_v(v: int) -> tuple[int | None, int]:
    """Return a legacy transaction's chain id, or None, and its signature's parity (EIP-155)."""
    return (None, v - 27) if v < 35 else ((v - 35) // 2, (v - 35) % 2)


def _legacy(raw: bytes, fields: list[rlp.Item]) -> SignedTransaction:
    nonce, price, gas, to, value, data, *signature = fields
    v, r, s = rlp.read_numbers(signature)
    if v not in (27, 28) and v < 35:
        raise TransactionError(f"a legacy transaction's v must be 27, 28, or at least 35, not {v}")
    chain_id, parity = read_v(v)
    numbers = [rlp.read_number(nonce, _U64_BYTES), *rlp.read_numbers((price, price, gas, value))]
    return SignedTransaction(_transaction(LEGACY, chain_id, numbers, to, data), parity, r, s, raw)


def _parse_typed(kind: int, raw: bytes, content: bytes, fields: list[rlp.Item]) -> SignedTransaction:
    chain_id, nonce, priority = fields[:3]
    cap, gas, to, value, data, slots, *more = fields[2:-3] if kind == ACCESS_LIST else fields[3:-3]
    signature = fields[-3:]
    parity, r, s, chain, *numbers = rlp.read_numbers((*signature, chain_id, nonce, priority, cap, gas, value))
    if parity > 1:
        raise TransactionError(f"the signature's parity must be 0 or 1, not {parity}")
    if chain >> 64 or numbers[0] >> 64:
        rlp.read_number(chain_id if chain >> 64 else nonce, _U64_BYTES)
    unsigned = raw[:1] + rlp.without_last(content, cast(list[bytes], signature))  # `read_numbers` has checked them
    return SignedTransaction(_transaction(kind, chain, numbers, to, data, slots, more), parity, r, s, raw, unsigned)


def _transaction(
    kind: int,
    chain_id: int | None,
    numbers: list[int],
    to: rlp.Item,
    data: rlp.Item,
    slots: rlp.Item | None = None,
    more: Sequence[rlp.Item] = (),
) -> Transaction:
    """Return a transaction; `numbers` are its nonce, priority fee, fee cap, gas limit and value."""
    nonce, priority, max_fee, gas, value = numbers
    receiver = rlp.read_bytes(to)
    return Transaction(
        kind,
        chain_id,
        nonce,
        eth_address(receiver) if receiver else None,
        value,
        rlp.read_bytes(data),
        gas,
        max_fee,
        priority,
        access_list=() if slots is None or slots == [] else tuple(map(_access, rlp.read_list(slots))),
        authorizations=tuple(map(_parse_authorization, rlp.read_list(more[0]))) if kind == SET_CODE else (),
        max_fee_per_blob_gas=rlp.read_number(more[0]) if kind == BLOB else 0,
        blob_hashes=tuple(map(rlp.read_bytes, rlp.read_list(more[1]))) if kind == BLOB else (),
    )


def _access(entry: rlp.Item) -> tuple[EthAddress, tuple[int, ...]]:
    address, keys = rlp.read_list(entry, 2)
    slots = [rlp.read_bytes(key) for key in rlp.read_list(keys)]
    if any(len(slot) != _WORD for slot in slots):
        raise TransactionError("a slot of the access list does not have 32 bytes")
    return eth_address(rlp.read_bytes(address)), tuple(int.from_bytes(slot, "big") for slot in slots)


def _parse_authorization(item: rlp.Item) -> Authorization:
    chain_id, address, nonce, parity, r, s = rlp.read_list(item, 6)
    return Authorization(
        rlp.read_number(chain_id),
        eth_address(rlp.read_bytes(address)),
        rlp.read_number(nonce, _U64_BYTES),
        rlp.read_number(parity, 1),
        rlp.read_number(r),
        rlp.read_number(s),
    )


DELEGATION_PREFIX: Final = b"\xef\x01\x00"
DELEGATION_LENGTH: Final = 23
_LAST_NONCE: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DelegatingAccount:
    """State of an Ethereum account that stores its own delegation: `[delegate or null, nonce, storage root]`.

    The nonce is that of its next authorization. The root of an account whose code has not run is that of `[]`.
    Source: builtin-actors pull request 1705, actors/ethaccount/src/state.rs.
    """

    delegate: EthAddress | None = None
    nonce: int = 0
    storage: Cid = EMPTY_ARRAY_CID

    @property
    def code(self) -> bytes:
        """The designator that contracts read as the account's code; empty without a delegate."""
        return b"" if self.delegate is None else DELEGATION_PREFIX + self.delegate

    @property
    def stored_slots(self) -> Cid | None:
        """Root of the storage tree; None if no code has run."""
        return None if self.storage == EMPTY_ARRAY_CID else self.storage

    def encode(self) -> bytes:
        """Encode the head block."""
        return encode([None if self.delegate is None else bytes(self.delegate), self.nonce, link(self.storage)])

    @staticmethod
    def decode(data: bytes) -> DelegatingAccount | None:
        """Decode a head block; None for a block with another number of fields. Raises CodecError."""
        fields = decode(data)
        if not isinstance(fields, list) or len(fields) != 3:
            return None
        delegate, nonce, storage = fields
        if delegate is not None and (type(delegate) is not bytes or len(delegate) != ETH_ADDRESS_LENGTH):
            raise CodecError("the delegate of an account must be null or have 20 bytes")
        if type(nonce) is not int or not 0 <= nonce <= _LAST_NONCE:
            raise CodecError("the nonce of an account's authorizations must be an unsigned number of 64 bits")
        return DelegatingAccount(None if delegate is None else EthAddress(delegate), nonce, unlink(storage))


def delegating_account_at(store: Blockstore, head: Cid) -> DelegatingAccount | None:
    """Return the state at an account's head if the account stores its own delegation. Raises CodecError."""
    return None if head == EMPTY_ARRAY_CID else DelegatingAccount.decode(store.get(head))


def is_delegation(code: bytes) -> bool:
    """Return True if code is a delegation designator."""
    return len(code) == DELEGATION_LENGTH and code.startswith(DELEGATION_PREFIX)


def delegation_of(code: bytes) -> EthAddress | None:
    """Return the delegated address of a delegation designator, or None for any other code."""
    return EthAddress(code[len(DELEGATION_PREFIX) :]) if is_delegation(code) else None


def authority_of(authorization: Authorization, chain_id: int) -> EthAddress | None:
    """Return the account that signed an authorization, without checking the account's nonce and code.

    None if the authorization is for another chain, has the last nonce, or is not validly signed.
    """
    if authorization.chain_id not in (0, chain_id) or authorization.nonce >= _LAST_NONCE:
        return None
    return authorization.signer()
