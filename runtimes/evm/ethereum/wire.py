"""Ethereum's transactions as bytes: what is signed, what is sent, and who signed it. Types 0 to 4.

Rules: EIP-155, 2718, 2930, 1559, 4844 (without blobs: the form inside blocks), 7702.
"""

from dataclasses import dataclass, replace
from typing import Final

from eth_hash.auto import keccak

from bridge import rlp
from bridge.addresses import ZERO_ADDRESS, EthAddress, eth_address
from bridge.transactions import read_call, read_v
from hypervisor.errors import AddressError, MessageError
from runtimes.evm.ethereum.signatures import HALF_ORDER, recover
from runtimes.evm.ethereum.transactions import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
)

_FIELDS: Final = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, BLOB: 14, SET_CODE: 13}
_U64: Final = 8
_HASH: Final = 32


class WireError(MessageError):
    """Bytes that are no signed transaction."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature; `parity` is 0 or 1."""

    parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction, whose sender is the signer, with its signature and the bytes that blocks hold."""

    transaction: Transaction
    signature: Signature
    raw: bytes

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""
        return bytes(keccak(self.raw))


def sign(transaction: Transaction, private_key: bytes) -> SignedTransaction:
    """Sign with a 32-byte private key."""
    from coincurve import PrivateKey

    data = PrivateKey(private_key).sign_recoverable(keccak(unsigned(transaction)), hasher=None)
    signature = Signature(data[64], int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big"))
    return signed(transaction, signature)


def signed(transaction: Transaction, signature: Signature) -> SignedTransaction:
    """A transaction with a signature at hand, which says who sent it; WireError where nobody signed."""
    sender = recover(keccak(unsigned(transaction)), signature.parity, signature.r, signature.s)
    if sender is None or signature.s > HALF_ORDER:
        raise WireError("the signature is nobody's")
    v = signature.parity
    if transaction.type == LEGACY:
        v += 27 if transaction.chain_id is None else 35 + 2 * transaction.chain_id
    parts = [rlp.number(v), rlp.number(signature.r), rlp.number(signature.s)]
    raw = _typed(transaction.type, [*_fields(transaction), *parts])
    return SignedTransaction(replace(transaction, sender=sender), signature, raw)


def unsigned(transaction: Transaction) -> bytes:
    """The bytes whose hash is signed."""
    chain: list[rlp.Item] = []
    if transaction.type == LEGACY and transaction.chain_id is not None:
        chain = [rlp.number(transaction.chain_id), b"", b""]
    return _typed(transaction.type, [*_fields(transaction), *chain])


def decode(raw: bytes) -> SignedTransaction:
    """The transaction in bytes of the wire. Raises WireError."""
    if not raw:
        raise WireError("a transaction of no bytes")
    kind = LEGACY if raw[0] > 0x7F else raw[0]
    if kind not in _FIELDS or raw[0] == LEGACY:
        raise WireError(f"transactions of type {raw[0]} are not known: expected 0 to 4")
    try:
        fields = rlp.read_list(rlp.decode(raw if kind == LEGACY else raw[1:]), _FIELDS[kind])
        *body, v, r, s = fields
        number = rlp.read_number(v)
        transaction, parity = _legacy(body, number) if kind == LEGACY else (_typed_body(kind, body), number)
        if parity not in (0, 1):
            raise WireError(f"the signature's v is {number}, which type {kind} does not have")
        return signed(transaction, Signature(parity, rlp.read_number(r), rlp.read_number(s)))
    except (rlp.RlpError, AddressError) as error:
        raise WireError(f"the transaction is malformed: {error}") from None


# --- encoding ---------------------------------------------------------------------------------------------------------


def _typed(kind: int, fields: list[rlp.Item]) -> bytes:
    body = rlp.encode(fields)
    return body if kind == LEGACY else bytes([kind]) + body


def _fields(transaction: Transaction) -> list[rlp.Item]:
    number = rlp.number
    call: list[rlp.Item] = [bytes(transaction.to or b""), number(transaction.value), transaction.data]
    gas, fee = number(transaction.gas_limit), number(transaction.max_fee)
    if transaction.type == LEGACY:
        return [number(transaction.nonce), fee, gas, *call]
    head: list[rlp.Item] = [number(transaction.chain_id or 0), number(transaction.nonce)]
    slots: list[rlp.Item] = [
        [bytes(address), [key.to_bytes(_HASH, "big") for key in keys]] for address, keys in transaction.access_list
    ]
    if transaction.type == ACCESS_LIST:
        return [*head, fee, gas, *call, slots]
    common = [*head, number(transaction.max_priority_fee), fee, gas, *call, slots]
    if transaction.type == BLOB:
        return [*common, number(transaction.max_fee_per_blob_gas), list(transaction.blob_hashes)]
    if transaction.type == SET_CODE:
        return [*common, [_authorization(item) for item in transaction.authorizations]]
    return common


def _authorization(item: Authorization) -> rlp.Item:
    numbers = (item.nonce, item.parity, item.r, item.s)
    return [rlp.number(item.chain_id), bytes(item.address), *(rlp.number(number) for number in numbers)]


# --- decoding ---------------------------------------------------------------------------------------------------------


def _legacy(fields: list[rlp.Item], v: int) -> tuple[Transaction, int]:
    nonce, price, gas, to, value, data = fields
    fee = rlp.read_number(price)
    chain_id, parity = read_v(v)
    return _transaction(LEGACY, chain_id, nonce, [gas, to, value, data], fee, fee), parity


def _typed_body(kind: int, fields: list[rlp.Item]) -> Transaction:
    chain_id, nonce = rlp.read_number(fields[0]), fields[1]
    fees, rest = (fields[2:3], fields[3:]) if kind == ACCESS_LIST else (fields[2:4], fields[4:])
    gas, to, value, data, slots, *extra = rest
    fee, priority = rlp.read_number(fees[-1]), rlp.read_number(fees[0])
    transaction = _transaction(kind, chain_id, nonce, [gas, to, value, data], fee, priority)
    transaction = replace(transaction, access_list=_access_list(slots))
    if kind == BLOB:
        hashes = tuple(rlp.read_bytes(item) for item in rlp.read_list(extra[1]))
        return replace(transaction, max_fee_per_blob_gas=rlp.read_number(extra[0]), blob_hashes=hashes)
    if kind == SET_CODE:
        items = tuple(_read_authorization(item) for item in rlp.read_list(extra[0]))
        return replace(transaction, authorizations=items)
    return transaction


def _transaction(
    kind: int, chain_id: int | None, nonce: rlp.Item, call: list[rlp.Item], fee: int, priority: int
) -> Transaction:
    asked = read_call(call)
    return Transaction(
        type=kind,
        sender=ZERO_ADDRESS,
        nonce=rlp.read_number(nonce, _U64),
        to=asked.to,
        value=asked.value,
        data=asked.data,
        gas_limit=asked.gas_limit,
        max_fee=fee,
        max_priority_fee=priority,
        chain_id=chain_id,
    )


def _access_list(item: rlp.Item) -> tuple[tuple[EthAddress, tuple[int, ...]], ...]:
    entries = []
    for entry in rlp.read_list(item):
        address, keys = rlp.read_list(entry, 2)
        words = [rlp.read_bytes(key) for key in rlp.read_list(keys)]
        if any(len(word) != _HASH for word in words):
            raise WireError("a slot of the access list has not 32 bytes")
        slots = tuple(int.from_bytes(word, "big") for word in words)
        entries.append((eth_address(rlp.read_bytes(address)), slots))
    return tuple(entries)


def _read_authorization(item: rlp.Item) -> Authorization:
    chain_id, address, nonce, parity, r, s = rlp.read_list(item, 6)
    return Authorization(
        chain_id=rlp.read_number(chain_id),
        address=eth_address(rlp.read_bytes(address)),
        nonce=rlp.read_number(nonce, _U64),
        parity=rlp.read_number(parity),
        r=rlp.read_number(r),
        s=rlp.read_number(s),
    )
