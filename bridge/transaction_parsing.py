"""Parsing of signed transactions from raw bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, eth_address
from bridge.ethereum.transactions import (
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
        type=kind,
        chain_id=chain_id,
        nonce=nonce,
        to=eth_address(receiver) if receiver else None,
        value=value,
        data=rlp.read_bytes(data),
        gas_limit=gas,
        max_fee=max_fee,
        max_priority_fee=priority,
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
