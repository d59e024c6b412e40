"""HAMT version 3: Filecoin's map from byte strings to values, byte-compatible with the network.

Nodes are loaded on first use, changed in memory and written by `flush`, which writes changed nodes only. The root CID
depends on the content alone, not on the order of operations. Callers encode keys (addresses, integers). Source: ref-fvm
`ipld/hamt`; https://github.com/ipld/ipld (HashMap advanced layout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final

from store.blockstore import Blockstore, TreeNodeError
from store.cid import Cid, cid_of
from store.codec import RewrittenBlock, encode
from store.links import all_links
from store.trees.nodes import (
    changed_values,
    child_cid,
    cid_of_link,
    decode_node,
    link_bytes,
    node_head,
    path_levels,
    read_bitfield_node,
    read_link_node,
    split_pointers,
)

BUCKET_SIZE: Final = 3
"""Maximum number of entries in a bucket; one more turns it into a child node."""

_key_of = itemgetter(0)


class HamtError(TreeNodeError):
    """Raised for a block that is not a valid HAMT node, or a tree deeper than a key's hash allows."""


class _HamtNode:
    """A decoded node. A pointer is a bucket (list of [key, value] lists), a loaded node, or an encoded link (bytes)."""

    __slots__ = ("bitfield", "changed", "cid", "parts", "pointers")

    def __init__(self, bitfield: int, pointers: list[Any], parts: list[Any], cid: Cid | None) -> None:
        self.bitfield = bitfield
        self.pointers = pointers
        self.parts = parts
        """Encoded pointers (bytes); None for pointers that changed since they were encoded."""
        self.cid = cid
        """CID of the node when it was last loaded or written; None for a new node."""
        self.changed = cid is None


_Written = tuple[_HamtNode, Cid, bytes, list[Any]]
"""A node, its CID, its encoding and its encoded pointers."""
_block_of: Final[Callable[[_Written], tuple[Cid, bytes]]] = itemgetter(1, 2)


class Hamt:
    """A map from bytes to DAG-CBOR values.

    Returned values are owned by the tree: replace them, do not modify them in place. Do not use the object after a
    change has raised HamtError or BlockNotFound.
    """

    def __init__(self, store: Blockstore, root: Cid | None = None, bit_width: int = 5) -> None:
        """Open the tree at `root`, or create an empty one. Raises HamtError and BlockNotFound."""
        self._store = store
        self._bit_width = bit_width
        self._levels = path_levels(bit_width)
        self._root = _HamtNode(0, [], [], None) if root is None else self._load(root, is_root=True)
        self.loaded_nodes = 0
        """Number of nodes below the root that were loaded or created."""

    def get(self, key: bytes) -> Any | None:
        """Return the value under `key`, or None if it is absent or a stored null; use `in` to tell them apart."""
        entry = self._find(key)
        return None if entry is None else entry[1]

    def __contains__(self, key: bytes) -> bool:
        return self._find(key) is not None

    def set(self, key: bytes, value: Any) -> None:
        """Store `value` under `key`. The value is encoded when the tree is flushed."""
        self._insert(self._root, 0, _path(key), key, value)

    def set_all(self, entries: Iterable[tuple[bytes, Any]]) -> None:
        """Store several values, each like `set`."""
        for key, value in entries:
            self._insert(self._root, 0, _path(key), key, value)

    def delete(self, key: bytes) -> bool:
        """Remove `key`, and return True if it was present."""
        return self._delete(self._root, 0, _path(key), key)

    def items(self, after: bytes | None = None) -> Iterator[tuple[bytes, Any]]:
        """Iterate over the entries in tree order (by hash); with `after`, only those that follow this key.

        The key `after` need not be present. The tree must not be changed during the iteration.
        """
        if after is None:
            return self._walk(self._root, 0)
        return self._walk_after(self._root, 0, _path(after), after)

    def differences(self, after: Hamt) -> Iterator[tuple[bytes, Any, Any]]:
        """Iterate over (key, old value, new value) where the two trees differ; an absent value is MISSING.

        Shared subtrees are not read. Both trees must have the same bit width, be flushed, and not be changed meanwhile.
        """
        return self._differences(self._root, after, after._root, 0)

    def rewrite(self, change: Callable[[bytes, Any], Any | None]) -> Cid:
        """Write a copy of the tree with values replaced by `change(key, value)`, and return its root CID.

        `change` returns None to keep a value. The tree must be flushed and is not modified. Nodes are processed one by
        one, children before their parents, without being cached; unchanged nodes keep their CIDs. Raises HamtError,
        BlockNotFound.
        """
        return self._rewrite(self._root, 0, change)

    def flush(self) -> Cid:
        """Write the changed nodes to the store, children first, and return the root CID."""
        written: list[_Written] = []
        root = self._encode(self._root, written)
        self._store.put_many(map(_block_of, written))
        for node, cid, _, parts in written:
            node.cid, node.parts, node.changed = cid, parts, False
        return root

    def _find(self, key: bytes) -> list[Any] | None:
        path = _path(key)
        node = self._root
        for shift, mask in self._levels:
            bit = 1 << (path >> shift & mask)
            bitfield = node.bitfield
            if not bitfield & bit:
                return None
            index = (bitfield & (bit - 1)).bit_count()
            pointer = node.pointers[index]
            if type(pointer) is list:
                entry: list[Any]
                for entry in pointer:
                    if entry[0] == key:
                        return entry
                return None
            node = pointer if type(pointer) is _HamtNode else self._child(node, index)
        raise self._too_deep()

    def _insert(self, node: _HamtNode, level: int, path: int, key: bytes, value: Any) -> None:
        for shift, mask in self._levels[level:]:
            level += 1
            bit = 1 << (path >> shift & mask)
            index = (node.bitfield & (bit - 1)).bit_count()
            node.changed = True
            if not node.bitfield & bit:
                node.bitfield |= bit
                node.pointers.insert(index, [[key, value]])
                node.parts.insert(index, None)
                return
            pointer, node.parts[index] = node.pointers[index], None
            if type(pointer) is list:
                for entry in pointer:
                    if entry[0] == key:
                        entry[1] = value
                        return
                if len(pointer) < BUCKET_SIZE:
                    pointer.append([key, value])
                    pointer.sort(key=_key_of)
                else:
                    node.pointers[index] = self._split(pointer, level, path, key, value)
                return
            node = pointer if type(pointer) is _HamtNode else self._child(node, index)
        raise self._too_deep()

    def _split(self, bucket: list[Any], level: int, path: int, key: bytes, value: Any) -> _HamtNode:
        """Return a child node with the entries of a full bucket and a new entry."""
        node = _HamtNode(0, [], [], None)
        self.loaded_nodes += 1
        for old_key, old_value in bucket:
            self._insert(node, level, _path(old_key), old_key, old_value)
        self._insert(node, level, path, key, value)
        return node

    def _delete(self, node: _HamtNode, level: int, path: int, key: bytes) -> bool:
        if level == len(self._levels):
            raise self._too_deep()
        shift, mask = self._levels[level]
        bit = 1 << (path >> shift & mask)
        if not node.bitfield & bit:
            return False
        index = (node.bitfield & (bit - 1)).bit_count()
        pointer = node.pointers[index]
        if type(pointer) is list:
            if not _remove(pointer, key):
                return False
            node.parts[index] = None
            if not pointer:
                node.bitfield ^= bit
                del node.pointers[index], node.parts[index]
        else:
            child = pointer if type(pointer) is _HamtNode else self._child(node, index)
            if not self._delete(child, level + 1, path, key):
                return False
            node.pointers[index], node.parts[index] = _collapse(child), None
        node.changed = True
        return True

    def _walk(self, node: _HamtNode, level: int) -> Iterator[tuple[bytes, Any]]:
        if level == len(self._levels):
            raise self._too_deep()
        yield from self._walk_pointers(node.pointers, level)

    def _walk_pointers(self, pointers: list[Any], level: int) -> Iterator[tuple[bytes, Any]]:
        for pointer in pointers:
            if type(pointer) is list:
                for entry in pointer:
                    yield entry[0], entry[1]
            else:
                # Loaded nodes are not cached, so that iterating over a large tree uses little memory.
                child = pointer if type(pointer) is _HamtNode else self._load(cid_of_link(pointer))
                yield from self._walk(child, level + 1)

    def _walk_after(self, node: _HamtNode, level: int, path: int, after: bytes) -> Iterator[tuple[bytes, Any]]:
        if level == len(self._levels):
            raise self._too_deep()
        shift, mask = self._levels[level]
        bit = 1 << (path >> shift & mask)
        index = (node.bitfield & (bit - 1)).bit_count()
        if node.bitfield & bit:
            pointer = node.pointers[index]
            if type(pointer) is list:
                for key, value in pointer:
                    if key > after:
                        yield key, value
            else:
                child = pointer if type(pointer) is _HamtNode else self._load(cid_of_link(pointer))
                yield from self._walk_after(child, level + 1, path, after)
            index += 1
        yield from self._walk_pointers(node.pointers[index:], level)

    def _differences(
        self, left: _HamtNode, after: Hamt, right: _HamtNode, level: int
    ) -> Iterator[tuple[bytes, Any, Any]]:
        if level == len(self._levels):
            raise self._too_deep()
        bits = left.bitfield | right.bitfield
        while bits:
            bit = bits & -bits
            bits ^= bit
            old, new = _pointer_at(left, bit), _pointer_at(right, bit)
            if type(old) is bytes and old == new:
                continue
            if type(old) is not list and type(new) is not list:
                yield from self._differences(self._node_at(old), after, after._node_at(new), level + 1)
            else:
                yield from changed_values(
                    dict(self._walk_pointers([old], level)), dict(after._walk_pointers([new], level))
                )

    def _node_at(self, pointer: Any) -> _HamtNode:
        return pointer if type(pointer) is _HamtNode else self._load(cid_of_link(pointer))

    def _rewrite(self, node: _HamtNode, level: int, change: Callable[[bytes, Any], Any | None]) -> Cid:
        if level == len(self._levels):
            raise self._too_deep()
        if node.cid is None or node.changed:
            raise HamtError("cannot rewrite a tree with unflushed changes; call flush() first")
        parts, same = node.parts.copy(), True
        for index, pointer in enumerate(node.pointers):
            if type(pointer) is list:
                new = [change(key, value) for key, value in pointer]
                if any(value is not None for value in new):
                    same, parts[index] = False, None
                    pointer = [
                        (key, value if other is None else other)
                        for (key, value), other in zip(pointer, new, strict=True)
                    ]
                if parts[index] is None:
                    parts[index] = encode(pointer)
            else:
                child = pointer if type(pointer) is _HamtNode else self._load(cid_of_link(pointer))
                cid = self._rewrite(child, level + 1, change)
                if cid != child.cid:
                    same, parts[index] = False, link_bytes(cid)
        if same:
            return node.cid
        data = node_head(node.bitfield, len(node.pointers)) + b"".join(parts)
        cid = cid_of(data)
        self._store.put(cid, data)
        return cid

    def _child(self, node: _HamtNode, index: int) -> _HamtNode:
        child = node.pointers[index] = self._load(cid_of_link(node.pointers[index]))
        self.loaded_nodes += 1
        return child

    def _load(self, cid: Cid, is_root: bool = False) -> _HamtNode:
        data = self._store.get(cid)
        links = read_link_node(data, self._bit_width, HamtError)
        if links is not None:
            return _HamtNode(links[0], [*links[1]], [*links[1]], cid)
        bitfield, pointers = read_bitfield_node(decode_node(cid, data, HamtError), self._bit_width, HamtError)
        if not pointers and not is_root:
            raise HamtError("invalid HAMT: empty node below the root")
        parts: list[Any] = split_pointers(data, len(pointers)) or [None] * len(pointers)
        for index, pointer in enumerate(pointers):
            if type(pointer) is list:
                _check_bucket(pointer)
            else:
                pointers[index] = parts[index] = link_bytes(child_cid(pointer, HamtError))
        return _HamtNode(bitfield, pointers, parts, cid)

    def _encode(self, node: _HamtNode, written: list[_Written]) -> Cid:
        if not node.changed and node.cid is not None:
            return node.cid
        parts, fresh = node.parts.copy(), []  # a copy, so that the node is unchanged if the store fails
        for index, part in enumerate(parts):
            if part is None:
                pointer = node.pointers[index]
                is_node = type(pointer) is _HamtNode
                parts[index] = link_bytes(self._encode(pointer, written)) if is_node else encode(pointer)
                fresh.append(parts[index])
        data = RewrittenBlock(node_head(node.bitfield, len(parts)) + b"".join(parts))
        data.before, data.links = node.cid, all_links(b"".join(fresh), len(fresh))
        cid = cid_of(data)
        written.append((node, cid, data, parts))
        return cid

    def _too_deep(self) -> HamtError:
        return HamtError(f"the tree is deeper than {len(self._levels)} levels, the maximum for this bit width")


@lru_cache(4096)
def _path(key: bytes) -> int:
    return int.from_bytes(sha256(key).digest(), "big")


def _pointer_at(node: _HamtNode, bit: int) -> Any:
    """Return the pointer of a slot, or an empty bucket if the slot is not used."""
    return node.pointers[(node.bitfield & (bit - 1)).bit_count()] if node.bitfield & bit else []


def _remove(bucket: list[Any], key: bytes) -> bool:
    for index, entry in enumerate(bucket):
        if entry[0] == key:
            del bucket[index]
            return True
    return False


def _collapse(child: _HamtNode) -> _HamtNode | list[Any]:
    """Return the parent's pointer to a child that lost an entry: one bucket if the remaining entries fit."""
    if not child.pointers:
        raise HamtError("invalid HAMT: a node below the root had a single entry")
    if len(child.pointers) > BUCKET_SIZE:
        return child
    entries: list[Any] = []
    for pointer in child.pointers:
        if type(pointer) is not list:
            return child
        entries += pointer
    if len(entries) > BUCKET_SIZE:
        return child
    entries.sort(key=_key_of)
    return entries


def _check_bucket(bucket: list[Any]) -> None:
    if not 1 <= len(bucket) <= BUCKET_SIZE:
        raise HamtError(f"invalid HAMT bucket: {len(bucket)} entries (1 to {BUCKET_SIZE} are allowed)")
    before: bytes | None = None
    for entry in bucket:
        if type(entry) is not list or len(entry) != 2 or type(entry[0]) is not bytes:
            raise HamtError("invalid HAMT bucket: expected entries [key (bytes), value]")
        if before is not None and entry[0] <= before:
            raise HamtError(f"invalid HAMT bucket: key {entry[0].hex()} is duplicate or out of order")
        before = entry[0]
