"""Parsing of signed transactions from raw bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge import rlp
from bridge.addresses import EthAddress, eth_address
from bridge.transactions import (
    ACCESS_LIST,
    ALL_TYPES,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    SignedTransaction,
    Transaction,
    TransactionError,
    check_type,
)
from hypervisor.errors import AddressError

_LENGTHS: Final = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, BLOB: 14, SET_CODE: 13}
_WORD: Final = 32
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
        fields = rlp.read_list(rlp.decode(raw if kind == LEGACY else raw[1:]), _LENGTHS[kind])
        *body, v, r, s = fields
        transaction, parity = _legacy(body, v) if kind == LEGACY else _typed(kind, body, v)
        return SignedTransaction(transaction, parity, rlp.read_number(r), rlp.read_number(s), raw)
    except (rlp.RlpError, AddressError) as error:
        raise TransactionError(f"the transaction is malformed: {error}") from None


def read_v(v: int) -> tuple[int | None, int]:
    """Return a legacy transaction's chain id, or None, and its signature's parity (EIP-155)."""
    return (None, v - 27) if v < 35 else ((v - 35) // 2, (v - 35) % 2)


def _legacy(body: list[rlp.Item], v_: rlp.Item) -> tuple[Transaction, int]:
    v, fee = rlp.read_number(v_), rlp.read_number(body[1])
    if v not in (27, 28) and v < 35:
        raise TransactionError(f"a legacy transaction's v must be 27, 28, or at least 35, not {v}")
    chain_id, parity = read_v(v)
    return _transaction(LEGACY, chain_id, body[0], body[2:], fee, fee), parity


def _typed(kind: int, body: list[rlp.Item], v: rlp.Item) -> tuple[Transaction, int]:
    parity = rlp.read_number(v)
    if parity > 1:
        raise TransactionError(f"the signature's parity must be 0 or 1, not {parity}")
    chain_id, nonce, *rest = body
    first = rlp.read_number(rest[0])
    cap, call = (first, rest[1:]) if kind == ACCESS_LIST else (rlp.read_number(rest[1]), rest[2:])
    known = rlp.read_number(chain_id, _U64_BYTES)
    return _transaction(kind, known, nonce, call[:4], cap, first, call[4], call[5:]), parity


def _transaction(
    kind: int,
    chain_id: int | None,
    nonce: rlp.Item,
    call: list[rlp.Item],
    max_fee: int,
    priority: int,
    slots: rlp.Item | None = None,
    more: Sequence[rlp.Item] = (),
) -> Transaction:
    gas, to, value, data = call
    receiver = rlp.read_bytes(to)
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=rlp.read_number(nonce, _U64_BYTES),
        to=eth_address(receiver) if receiver else None,
        value=rlp.read_number(value),
        data=rlp.read_bytes(data),
        gas_limit=rlp.read_number(gas),
        max_fee=max_fee,
        max_priority_fee=priority,
        access_list=() if slots is None else tuple(map(_access, rlp.read_list(slots))),
        authorizations=tuple(map(_authorization, rlp.read_list(more[0]))) if kind == SET_CODE else (),
        max_fee_per_blob_gas=rlp.read_number(more[0]) if kind == BLOB else 0,
        blob_hashes=tuple(map(rlp.read_bytes, rlp.read_list(more[1]))) if kind == BLOB else (),
    )


def _access(entry: rlp.Item) -> tuple[EthAddress, tuple[int, ...]]:
    address, keys = rlp.read_list(entry, 2)
    words = [rlp.read_bytes(key) for key in rlp.read_list(keys)]
    if any(len(word) != _WORD for word in words):
        raise TransactionError("a slot of the access list does not have 32 bytes")
    return eth_address(rlp.read_bytes(address)), tuple(int.from_bytes(word, "big") for word in words)


def _authorization(item: rlp.Item) -> Authorization:
    chain_id, address, nonce, parity, r, s = rlp.read_list(item, 6)
    return Authorization(
        rlp.read_number(chain_id),
        eth_address(rlp.read_bytes(address)),
        rlp.read_number(nonce, _U64_BYTES),
        rlp.read_number(parity, 1),
        rlp.read_number(r),
        rlp.read_number(s),
    )
