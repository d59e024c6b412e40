"""Roots of Merkle Patricia tries, computed from all entries at once, for Ethereum's state and storage roots.

Keys are hashed, as in Ethereum's state and storage tries (`secure_root`), or used directly (`root`: lists of
transactions, receipts, withdrawals). Source: Ethereum yellow paper, appendix D.

The package `trie` is not used because it inserts entries one at a time: a root of 1,000 entries takes it about 40 times
as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from bridge import rlp
from store.keccak import keccak

EMPTY_ROOT: Final = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
_HASHED: Final = 32
_Entry = tuple[str, bytes]
"""A key as hex digits (nibbles), and the value."""


def root(entries: Mapping[bytes, bytes]) -> bytes:
    """Return the 32-byte root of a trie with these entries; values must not be empty."""
    if not entries:
        return EMPTY_ROOT
    node = _node(sorted((key.hex(), value) for key, value in entries.items()), 0)
    return bytes(keccak(rlp.encode(node)))


def secure_root(entries: Mapping[bytes, bytes]) -> bytes:
    """Return the root of a trie whose keys are the keccak-256 of these keys."""
    return root({_hash_of_key(key): value for key, value in entries.items()})


def list_root(items: Iterable[bytes]) -> bytes:
    """Return the root of a trie of a block's items by index."""
    return root({rlp.encode(rlp.number(index)): item for index, item in enumerate(items)})


@lru_cache(maxsize=65_536)
def _hash_of_key(key: bytes) -> bytes:
    return bytes(keccak(key))


def _node(entries: Sequence[_Entry], depth: int) -> list[rlp.Item]:
    """Return the node of sorted entries that share their first `depth` nibbles."""
    first = entries[0][0]
    if len(entries) == 1:
        return [_path(first[depth:], leaf=True), entries[0][1]]
    last, shared = entries[-1][0], depth
    while shared < len(first) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_path(first[depth:shared], leaf=False), _reference(_node(entries, shared))]
    value = b""
    if len(first) == depth:
        value, entries = entries[0][1], entries[1:]
    branch: list[rlp.Item] = []
    position = 0
    for digit in "0123456789abcdef":
        start = position
        while position < len(entries) and entries[position][0][depth] == digit:
            position += 1
        branch.append(_reference(_node(entries[start:position], depth + 1)) if position > start else b"")
    return [*branch, value]


def _reference(node: list[rlp.Item]) -> rlp.Item:
    """Return a node as stored in its parent: inline if it is short, else its hash."""
    encoded = rlp.encode(node)
    return node if len(encoded) < _HASHED else bytes(keccak(encoded))


def _path(nibbles: str, leaf: bool) -> bytes:
    """Encode nibbles with the flags for odd length and for a leaf."""
    flag = 2 if leaf else 0
    return bytes.fromhex(f"{flag + 1:x}{nibbles}" if len(nibbles) % 2 else f"{flag:x}0{nibbles}")
