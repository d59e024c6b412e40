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

from bridge.ethereum import rlp
from store.keccak import keccak

EMPTY_ROOT: Final = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
_HASHED: Final = 32
_BRANCH: Final = 17
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


# --- proofs ---------------------------------------------------------------------------------------------------------

MAX_NODE: Final = 1024
"""Maximum size of a proof's node in bytes; a branch of a state trie has at most 532, and a leaf at most 144."""
MAX_NODES: Final = 65
"""Maximum number of nodes of a proof: one for each nibble of a hashed key, and a leaf."""
_NO_NODE: Final = b"\x80"
"""The encoding of an empty trie, which some nodes return as its proof."""


class InvalidProof(ValueError):
    """Raised if nodes do not prove the value of a key; the text names the node."""


def proven_value(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """Return the value of a key in the trie with this root, or b"" if the nodes prove that there is none.

    `nodes` are the encoded nodes from the root down, without those inside another node. Raises InvalidProof.
    """
    if len(nodes) > MAX_NODES:
        raise InvalidProof(f"the proof has {len(nodes)} nodes, at most {MAX_NODES} are possible")
    if root == EMPTY_ROOT:
        if [*nodes] not in ([], [_NO_NODE]):
            raise InvalidProof("the trie is empty, but the proof has nodes")
        return b""
    path, reference, value = key.hex(), root, None
    for index, data in enumerate(nodes):
        if value is not None:
            raise InvalidProof(f"node {index} follows the end of the proof")
        try:
            reference, path, value = _step(data, reference, path)
        except ValueError as error:
            raise InvalidProof(f"node {index}: {error}") from None
    if value is None:
        raise InvalidProof(f"node {len(nodes)} is missing: its hash is 0x{reference.hex()}")
    return value


def _step(data: bytes, expected: bytes, path: str) -> tuple[bytes, str, bytes | None]:
    """Return the hash of the next node, the rest of the path, and the value if it is known."""
    if len(data) > MAX_NODE:
        raise ValueError(f"it has {len(data)} bytes, at most {MAX_NODE} are possible")
    found = bytes(keccak(data))
    if found != expected:
        raise ValueError(f"its hash is 0x{found.hex()}, not 0x{expected.hex()}")
    node = rlp.decode(data)
    while True:
        items = rlp.read_list(node)
        if len(items) == _BRANCH:
            if not path:
                return b"", path, rlp.read_bytes(items[-1])
            child, path = items[int(path[0], 16)], path[1:]
        elif len(items) == 2:
            part, is_leaf = _nibbles(rlp.read_bytes(items[0]))
            if is_leaf:
                return b"", path, rlp.read_bytes(items[1]) if part == path else b""
            if not path.startswith(part):
                return b"", path, b""
            child, path = items[1], path[len(part) :]
        else:
            raise ValueError(f"it has {len(items)} items: a branch has {_BRANCH}, a leaf or extension 2")
        if isinstance(child, list):
            node = child
        elif not child:
            return b"", path, b""
        elif len(child) == _HASHED:
            return child, path, None
        else:
            raise ValueError(f"it refers to a node by {len(child)} bytes instead of {_HASHED}")


def _nibbles(path: bytes) -> tuple[str, bool]:
    """Return the nibbles of a leaf's or an extension's path, and True for a leaf."""
    text = path.hex()
    kind = int(text[:1] or "f", 16)
    if kind > 3 or (kind % 2 == 0 and text[1] != "0"):
        raise ValueError(f"its path 0x{text} is not in the form of the hex prefix")
    part = text[1:] if kind % 2 else text[2:]
    if kind < 2 and not part:
        raise ValueError("it is an extension without a path")
    return part, kind >= 2
