"""KAMT: the map of 256-bit integers for EVM contract storage, byte-compatible with the EVM actor; and its interface.

Like a HAMT, but the key is its own path (no hash), a slot holds one entry, and a link carries an extension: the path
bits that all keys below it share. Zero is never stored: writing it deletes. Nodes are loaded on first use, changed in
memory and written by `flush`. The parameters are those of the EVM actor (bit width 5, one entry per bucket, data from
depth 0). Source: ref-fvm `ipld/kamt`; builtin-actors `evm/src/interpreter/system.rs`.

Storage fetched from a node implements the same interface.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, Protocol

from store.blockstore import Blockstore, TreeNodeError
from store.cid import Cid, cid_of
from store.codec import RewrittenBlock, bytes_head, encode
from store.trees.nodes import (
    MISSING,
    PATH_BITS,
    changed_values,
    child_cid,
    decode_node,
    link_bytes,
    node_head,
    path_levels,
    read_bitfield_node,
)


class StoredWords(Protocol):
    """A map from 256-bit keys to 256-bit words, zero where nothing is stored."""

    @property
    def loaded_nodes(self) -> int:
        """Number of nodes in memory."""

    def get(self, slot: int) -> int:
        """Return the word of a slot."""

    def absent_bits(self, slot: int) -> int:
        """Return n such that no slot that equals `slot` above its lowest n bits has a word.

        0 if `slot` has one, or if nothing is known about other slots.
        """

    def set(self, slot: int, value: int) -> None:
        """Set the word of a slot."""

    def set_all(self, slots: Iterable[tuple[int, int]]) -> bool:
        """Set the words of several slots, each named once; return True if the content changed."""

    def items(self) -> Iterator[tuple[int, int]]:
        """Iterate over the slots known to be nonzero, with their words."""

    def flush(self) -> Cid:
        """Write the changes to the store, and return the new root."""


BIT_WIDTH: Final = 5
EMPTY_KAMT_BLOCK: Final = bytes.fromhex("824080")
EMPTY_KAMT: Final = cid_of(EMPTY_KAMT_BLOCK)
"""The root of a tree without slots."""
_MAX_KEY: Final = (1 << PATH_BITS) - 1
_WORD_HEADS: Final = tuple(bytes_head(length) for length in range(33))
"""CBOR heads of words, by length in bytes."""
_ENTRY_HEADS: Final = tuple(b"\xa1\x61v\x81\x82" + head for head in _WORD_HEADS)
"""Bytes that precede an entry's key, by its length."""
_LENGTHS: Final = tuple(encode(length) for length in range(PATH_BITS))
"""Encoded lengths of extensions, by length in bits."""
_MAX_CHILD_START: Final = PATH_BITS - PATH_BITS % BIT_WIDTH
"""Number of path bits before the last, partial level: the maximum start of a child node."""
_LEVELS: Final = {place * BIT_WIDTH: level for place, level in enumerate(path_levels(BIT_WIDTH))}
"""Shift and mask that select a key's slot in a node, by the number of path bits before it."""
_DIVERGENCES: Final = tuple(common - common % BIT_WIDTH for common in range(PATH_BITS, -1, -1))
"""Number of path bits before the node in which two keys have different slots, by the length of their difference."""

_Entry = tuple[int, int]


class KamtError(TreeNodeError):
    """Raised for a block that is not a valid KAMT node, or for inconsistent nodes."""


class _KamtNode:
    """A decoded node. A pointer is an entry (key, value) or a link."""

    __slots__ = ("bitfield", "changed", "cid", "parts", "pointers")

    def __init__(self, bitfield: int, pointers: list[_Entry | _Link], cid: Cid | None) -> None:
        self.bitfield = bitfield
        self.pointers = pointers
        self.cid = cid
        """CID of the node when it was last loaded or written; None for a new node."""
        self.changed = cid is None
        self.parts: list[bytes | None] | None = None
        """Encoded pointers, None for pointers with changes in their subtrees; None for a node never written."""

    def touch(self, index: int) -> None:
        """Mark a pointer as changed."""
        self.changed = True
        if self.parts is not None:
            self.parts[index] = None


class _Link:
    """A child node, or the CID of one not loaded yet, after `length` path bits of value `path`."""

    __slots__ = ("length", "path", "target")

    def __init__(self, length: int, path: int, target: _KamtNode | Cid) -> None:
        self.length = length
        self.path = path
        self.target = target


_Written = tuple[_KamtNode, Cid, bytes, list[bytes | None]]
"""A node, its CID, its encoding and its encoded pointers."""
_block_of: Final[Callable[[_Written], tuple[Cid, bytes]]] = itemgetter(1, 2)


class Kamt:
    """A map from 256-bit keys to 256-bit values, zero where nothing is stored.

    Do not use the object after a change has raised KamtError or BlockNotFound.
    """

    def __init__(self, store: Blockstore, root: Cid | None = None) -> None:
        """Open the tree at `root`, or create an empty one. Raises KamtError and BlockNotFound."""
        self._store = store
        self.loaded_nodes = 0
        """Number of nodes loaded or written, an upper bound of the nodes in memory."""
        self.compared_bits = 0
        """Number of bits of slots that `get` and `replace` have compared with the paths of links."""
        self._root = _KamtNode(0, [], None) if root is None else self._load(root, 0)

    @property
    def is_empty(self) -> bool:
        """True if every slot is zero."""
        return not self._root.pointers

    def get(self, slot: int) -> int:
        """Return the value of a storage slot, 0 <= slot < 2^256."""
        if not 0 <= slot <= _MAX_KEY:
            raise _no_word(slot)
        node = self._root
        start = 0
        while True:  # without a function call per level, since every SLOAD and SSTORE runs this loop
            shift, mask = _LEVELS[start]
            bit = 1 << (slot >> shift & mask)
            if not node.bitfield & bit:
                return 0
            pointer = node.pointers[(node.bitfield & (bit - 1)).bit_count()]
            if type(pointer) is tuple:
                return pointer[1] if pointer[0] == slot else 0
            assert type(pointer) is _Link
            start = PATH_BITS - shift + pointer.length
            if pointer.length:
                self.compared_bits += pointer.length
                if _bits(slot, start, pointer.length) != pointer.path:
                    return 0
            target = pointer.target
            node = target if type(target) is _KamtNode else self._child(pointer, start)

    def absent_bits(self, slot: int) -> int:
        """Return the largest n such that no slot that equals `slot` above its lowest n bits has a word.

        0 if `slot` itself has one.
        """
        node, start = self._root, 0
        while True:
            shift, bit = _step(slot, start)
            if not node.bitfield & bit:
                place, size = bit.bit_length() - 1, 0
                while size < BIT_WIDTH:  # the largest aligned group of empty slots of the node
                    width = 1 << size + 1
                    if node.bitfield >> (place & -width) & ((1 << width) - 1):
                        break
                    size += 1
                return shift + size
            pointer = node.pointers[(node.bitfield & (bit - 1)).bit_count()]
            if type(pointer) is tuple:
                return max(0, (pointer[0] ^ slot).bit_length() - 1)
            assert type(pointer) is _Link
            start = PATH_BITS - shift + pointer.length
            other = _bits(slot, start, pointer.length) ^ pointer.path
            if other:
                return PATH_BITS - start + other.bit_length() - 1
            node = self._child(pointer, start)

    def set(self, slot: int, value: int) -> None:
        """Set a storage slot, 0 <= slot, value < 2^256; zero deletes it."""
        self.replace(slot, value)

    def replace(self, slot: int, value: int) -> int:
        """Set a storage slot like `set`, and return its value before."""
        if not 0 <= slot <= _MAX_KEY or not 0 <= value <= _MAX_KEY:
            raise _no_word(value if 0 <= slot <= _MAX_KEY else slot)
        if value:
            return self._insert(slot, value)
        before = self.get(slot)
        if before:
            self._delete(self._root, 0, slot)
        return before

    def set_all(self, slots: Iterable[tuple[int, int]]) -> bool:
        """Set several distinct slots, as `set` does; return True if the content changed.

        Slots that share a new node are written with it, instead of one by one.
        """
        writes: list[_Entry] = []
        is_changed = False
        for slot, value in slots:
            if not 0 <= slot <= _MAX_KEY or not 0 <= value <= _MAX_KEY:
                raise _no_word(value if 0 <= slot <= _MAX_KEY else slot)
            if value:
                writes.append((slot, value))
            else:
                is_changed |= self._delete(self._root, 0, slot)
        if not writes:
            return is_changed
        if len(writes) == 1:
            return self._insert(*writes[0]) != writes[0][1] or is_changed
        writes.sort()
        return self._merge(self._root, 0, writes) or is_changed

    def items(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """Iterate over (slot, value) pairs of nonzero slots in ascending order, starting at slot `first`.

        The tree must not be changed during the iteration.
        """
        return self._walk(self._root, 0, 0, first)

    def differences(self, after: Kamt) -> Iterator[tuple[int, int, int]]:
        """Iterate over (slot, old value, new value) where the two trees differ; absent values are 0.

        Shared subtrees are not read. Both trees must be flushed and must not be changed during the iteration.
        """
        return self._differences(self._root, after, after._root, 0, 0)

    def flush(self) -> Cid:
        """Write the changed nodes to the store, children first, and return the root CID."""
        written: list[_Written] = []
        root = self._encode(self._root, written)
        self._store.put_many(map(_block_of, written))
        for node, cid, _, parts in written:
            node.cid, node.changed, node.parts = cid, False, parts
        self.loaded_nodes += len(written)
        return root

    def _insert(self, key: int, value: int) -> int:
        """Set a slot to a nonzero value, and return its value before; if it is the same, no node is changed."""
        node, start, before = self._root, 0, 0
        above: list[tuple[_KamtNode, int]] = []
        while True:  # without a function call per level, as in `get`
            shift, mask = _LEVELS[start]
            bit = 1 << (key >> shift & mask)
            index = (node.bitfield & (bit - 1)).bit_count()
            if not node.bitfield & bit:
                node.bitfield |= bit
                node.pointers.insert(index, (key, value))
                if node.parts is not None:
                    node.parts.insert(index, None)
                node.changed = True
                break
            pointer = node.pointers[index]
            above.append((node, index))
            start = PATH_BITS - shift
            if type(pointer) is tuple:
                if pointer[0] == key:
                    before = pointer[1]
                    if before == value:
                        return before
                    node.pointers[index] = (key, value)
                else:
                    node.pointers[index] = _fork(pointer, (key, value), start)
                break
            assert type(pointer) is _Link
            start += pointer.length
            if pointer.length:
                self.compared_bits += pointer.length
                if _bits(key, start, pointer.length) != pointer.path:
                    node.pointers[index] = _split(pointer, (key, value), start - pointer.length)
                    break
            target = pointer.target
            node = target if type(target) is _KamtNode else self._child(pointer, start)
        for node, index in above:
            node.touch(index)
        return before

    def _merge(self, node: _KamtNode, start: int, entries: list[_Entry]) -> bool:
        """Write sorted entries that share the first `start` path bits below a node; return True if one has changed."""
        if not node.pointers:
            _fill(node, start, entries)
            node.changed, node.parts = True, None
            return True
        is_changed = False
        shift, mask = _LEVELS[start]
        after, first, count = PATH_BITS - shift, 0, len(entries)
        while first < count:
            prefix = entries[first][0] >> shift
            last = bisect_left(entries, ((prefix + 1) << shift, 0), first)  # the next slot's first entry
            bit, group, first = 1 << (prefix & mask), entries[first:last], last
            index = (node.bitfield & (bit - 1)).bit_count()
            if not node.bitfield & bit:
                node.bitfield |= bit
                node.pointers.insert(index, group[0] if len(group) == 1 else _link_to(group, after))
                if node.parts is not None:
                    node.parts.insert(index, None)
            elif not self._merge_pointer(node, index, after, group):
                continue
            node.touch(index)
            is_changed = True
        return is_changed

    def _merge_pointer(self, node: _KamtNode, index: int, start: int, entries: list[_Entry]) -> bool:
        """Write sorted entries below a pointer, whose path has `start` bits; return True if one has changed."""
        pointer = node.pointers[index]
        if type(pointer) is tuple:
            if entries == [pointer]:
                return False
            for key, _ in entries:
                if key == pointer[0]:
                    break
            else:
                insort(entries, pointer)
            node.pointers[index] = entries[0] if len(entries) == 1 else _link_to(entries, start)
            return True
        assert type(pointer) is _Link
        end = start + pointer.length
        if pointer.length:
            for place in (0, -1):  # entries are sorted: if the first and the last have the path, all have it
                if _bits(entries[place][0], end, pointer.length) != pointer.path:
                    entry = entries.pop(place)
                    node.pointers[index] = _split(pointer, entry, start)
                    if entries:
                        self._merge_pointer(node, index, start, entries)
                    return True
        return self._merge(self._child(pointer, end), end, entries)

    def _delete(self, node: _KamtNode, start: int, key: int) -> bool:
        shift, bit = _step(key, start)
        if not node.bitfield & bit:
            return False
        index = (node.bitfield & (bit - 1)).bit_count()
        pointer = node.pointers[index]
        if type(pointer) is tuple:
            if pointer[0] != key:
                return False
            node.bitfield ^= bit
            node.changed = True
            del node.pointers[index]
            if node.parts is not None:
                del node.parts[index]
        else:
            assert type(pointer) is _Link
            start = PATH_BITS - shift + pointer.length
            if _bits(key, start, pointer.length) != pointer.path:
                return False
            child = self._child(pointer, start)
            if not self._delete(child, start, key):
                return False
            node.pointers[index] = _collapse(pointer, child)
            node.touch(index)
        return True

    def _walk(self, node: _KamtNode, start: int, prefix: int, first: int) -> Iterator[_Entry]:
        """Iterate over the entries below a node whose keys share the first `start` path bits, `prefix`."""
        for slot, pointer in zip(_set_bits(node.bitfield), node.pointers, strict=True):
            if type(pointer) is tuple:
                if pointer[0] >= first:
                    yield pointer
            else:
                assert type(pointer) is _Link
                after = start + BIT_WIDTH + pointer.length
                common = (prefix << BIT_WIDTH | slot) << pointer.length | pointer.path
                if (common + 1) << (PATH_BITS - after) <= first:
                    continue  # the whole subtree lies before `first`
                # Loaded nodes are not cached, so that iterating over a large tree uses little memory.
                target = pointer.target
                child = target if isinstance(target, _KamtNode) else self._load(target, after)
                yield from self._walk(child, after, common, first)

    def _differences(
        self, left: _KamtNode, after: Kamt, right: _KamtNode, start: int, prefix: int
    ) -> Iterator[tuple[int, int, int]]:
        old_pointers = dict(zip(_set_bits(left.bitfield), left.pointers, strict=True))
        new_pointers = dict(zip(_set_bits(right.bitfield), right.pointers, strict=True))
        for slot in sorted(old_pointers.keys() | new_pointers.keys()):
            old, new = old_pointers.get(slot), new_pointers.get(slot)
            if type(old) is _Link and type(new) is _Link and (old.length, old.path) == (new.length, new.path):
                if not (isinstance(old.target, bytes) and old.target == new.target):
                    end = start + BIT_WIDTH + old.length
                    common = (prefix << BIT_WIDTH | slot) << old.length | old.path
                    below = self._node_at(old.target, end), after._node_at(new.target, end)
                    yield from self._differences(below[0], after, below[1], end, common)
            elif old != new:
                entries = self._entries_at(slot, old, start, prefix), after._entries_at(slot, new, start, prefix)
                for key, before, value in changed_values(*entries):
                    yield key, 0 if before is MISSING else before, 0 if value is MISSING else value

    def _entries_at(self, slot: int, pointer: _Entry | _Link | None, start: int, prefix: int) -> dict[int, int]:
        return {} if pointer is None else dict(self._walk(_KamtNode(1 << slot, [pointer], None), start, prefix, 0))

    def _node_at(self, target: _KamtNode | Cid, start: int) -> _KamtNode:
        return target if isinstance(target, _KamtNode) else self._load(target, start)

    def _child(self, pointer: _Link, start: int) -> _KamtNode:
        target = pointer.target
        if not isinstance(target, _KamtNode):
            target = pointer.target = self._load(target, start)
        return target

    def _load(self, cid: Cid, start: int) -> _KamtNode:
        """Load a node whose slots are selected by the path bits from `start` on."""
        taken = min(BIT_WIDTH, PATH_BITS - start)
        bitfield, pointers = read_bitfield_node(decode_node(cid, self._store.get(cid), KamtError), taken, KamtError)
        if start and not pointers:
            raise KamtError("invalid KAMT: empty node below the root")
        self.loaded_nodes += 1
        return _KamtNode(bitfield, [_read_pointer(pointer, start + taken) for pointer in pointers], cid)

    def _encode(self, node: _KamtNode, written: list[_Written]) -> Cid:
        if not node.changed and node.cid is not None:
            return node.cid
        # The node is not modified here, so that a flush can be repeated if the store fails.
        pointers, links = node.pointers, list[Cid]()
        parts: list[Any] = [None] * len(pointers) if node.parts is None else node.parts.copy()
        for index, part in enumerate(parts):
            if part is None:
                pointer = pointers[index]
                if type(pointer) is tuple:
                    key, value = pointer
                    length, size = key.bit_length() + 7 >> 3, value.bit_length() + 7 >> 3
                    head = _ENTRY_HEADS[length] + key.to_bytes(length, "big")
                    parts[index] = head + _WORD_HEADS[size] + value.to_bytes(size, "big")
                else:
                    assert type(pointer) is _Link
                    target = pointer.target
                    cid = self._encode(target, written) if isinstance(target, _KamtNode) else target
                    parts[index] = b"\xa1\x61l\x83" + link_bytes(cid) + _LENGTHS[pointer.length] + _path_bytes(pointer)
                    links.append(cid)
        data = RewrittenBlock(node_head(node.bitfield, len(parts)) + b"".join(parts))
        data.before, data.links = node.cid, links
        cid = cid_of(data)
        written.append((node, cid, data, parts))
        return cid


def _set_bits(bitfield: int) -> Iterator[int]:
    while bitfield:
        low = bitfield & -bitfield
        yield low.bit_length() - 1
        bitfield ^= low


def _step(key: int, start: int) -> tuple[int, int]:
    """Return the number of path bits after the level at `start`, and the bit of the key's slot."""
    shift, mask = _LEVELS[start]
    return shift, 1 << (key >> shift & mask)


def _bits(key: int, end: int, length: int) -> int:
    """Return the `length` path bits of a key that end before bit `end`."""
    return key >> (PATH_BITS - end) & ((1 << length) - 1)


def _pair(first: _Entry | _Link, first_bit: int, second: _Entry | _Link, second_bit: int) -> _KamtNode:
    pointers = [first, second] if first_bit < second_bit else [second, first]
    return _KamtNode(first_bit | second_bit, pointers, None)


def _link_to(entries: list[_Entry], start: int) -> _Link:
    """Return a link to a new node with several sorted entries, which share the first `start` path bits."""
    key = entries[0][0]
    end = _divergence(key, entries[-1][0])
    if end < start:
        raise _misplaced_key(key)
    node = _KamtNode(0, [], None)
    _fill(node, end, entries)
    return _Link(end - start, _bits(key, end, end - start), node)


def _fill(node: _KamtNode, start: int, entries: list[_Entry]) -> None:
    """Write sorted entries that share the first `start` path bits into an empty node, in one pass."""
    outer, (shift, mask) = list[tuple[_KamtNode, int]](), _LEVELS[start]
    ends = [_DIVERGENCES[(left[0] ^ right[0]).bit_length()] for left, right in pairwise(entries)]
    for entry, end in zip(entries, (*ends, start), strict=True):
        key = entry[0]
        if end > start:
            outer.append((node, start))
            node, start, (shift, mask) = _KamtNode(0, [], None), end, _LEVELS[end]
        node.bitfield |= 1 << (key >> shift & mask)
        node.pointers.append(entry)
        while start > end:  # the node does not have the next entry, so it is complete
            child, below = node, start
            node, start = outer.pop() if outer[-1][1] >= end else (_KamtNode(0, [], None), end)
            shift, mask = _LEVELS[start]
            length = below - PATH_BITS + shift
            node.bitfield |= 1 << (key >> shift & mask)
            node.pointers.append(_Link(length, _bits(key, below, length), child))


def _divergence(left: int, right: int) -> int:
    """Return the number of path bits up to the node in which two keys have different slots."""
    return _DIVERGENCES[(left ^ right).bit_length()]


def _fork(old: _Entry, new: _Entry, start: int) -> _Link:
    """Return a link to a node with two entries that share a slot; its extension is their common path from `start`."""
    left = PATH_BITS - start
    common = left - ((old[0] ^ new[0]) & ((1 << left) - 1)).bit_length()
    if common == left:
        raise _misplaced_key(old[0])
    length = common - common % BIT_WIDTH
    node = _pair(old, _step(old[0], start + length)[1], new, _step(new[0], start + length)[1])
    return _Link(length, _bits(new[0], start + length, length), node)


def _split(link: _Link, new: _Entry, start: int) -> _Link:
    """Return the replacement for a link when a new entry has the same slot but differs within the extension."""
    ours = _bits(new[0], start + link.length, link.length)
    common = link.length - (ours ^ link.path).bit_length()
    head = common - common % BIT_WIDTH
    tail = link.length - head - BIT_WIDTH
    rest = _Link(tail, link.path & ((1 << tail) - 1), link.target)
    node = _pair(rest, 1 << (link.path >> tail & ((1 << BIT_WIDTH) - 1)), new, _step(new[0], start + head)[1])
    return _Link(head, link.path >> (link.length - head), node)


def _collapse(link: _Link, child: _KamtNode) -> _Entry | _Link:
    """Return the parent's pointer to a child that lost an entry: the child's last pointer if only one is left."""
    if not child.pointers:
        raise KamtError("invalid KAMT: a node below the root had a single entry")
    if len(child.pointers) > 1:
        return link
    last = child.pointers[0]
    if type(last) is tuple:
        return last
    assert type(last) is _Link
    slot = child.bitfield.bit_length() - 1
    path = ((link.path << BIT_WIDTH | slot) << last.length) | last.path
    return _Link(link.length + BIT_WIDTH + last.length, path, last.target)


def _read_pointer(pointer: Any, start: int) -> _Entry | _Link:
    """Decode a pointer; `start` is the number of path bits up to and including its slot."""
    if type(pointer) is not dict or len(pointer) != 1:
        raise KamtError("invalid KAMT pointer: expected a map with one entry")
    bucket = pointer.get("v")
    if bucket is not None:
        if type(bucket) is not list or len(bucket) != 1 or type(bucket[0]) is not list or len(bucket[0]) != 2:
            raise KamtError("invalid KAMT bucket: expected an array of one [key, value]")
        return _read_word(bucket[0][0]), _read_word(bucket[0][1])
    fields = pointer.get("l")
    if type(fields) is not list or len(fields) != 3:
        raise KamtError("invalid KAMT pointer: expected {'v': [[key, value]]} or {'l': [link, length, path]}")
    cid, (length, raw) = child_cid(fields[0], KamtError), fields[1:]
    if type(length) is not int or length < 0 or length % BIT_WIDTH or start + length > _MAX_CHILD_START:
        raise KamtError(f"invalid KAMT extension of {length!r} bits after {start} path bits")
    if type(raw) is not bytes or len(raw) != (length + 7) // 8:
        raise KamtError(f"invalid KAMT extension of {length} bits: expected {(length + 7) // 8} bytes")
    padded = int.from_bytes(raw, "big")
    path = padded >> (-length % 8)
    if path << (-length % 8) != padded:
        raise KamtError("invalid KAMT extension: nonzero padding")
    return _Link(length, path, cid)


def _read_word(raw: Any) -> int:
    if type(raw) is not bytes or len(raw) > 32 or raw[:1] == b"\x00":
        raise KamtError("invalid KAMT word: expected a byte string of at most 32 bytes without leading zeros")
    return int.from_bytes(raw, "big")


def _path_bytes(link: _Link) -> bytes:
    length = (link.length + 7) // 8
    return _WORD_HEADS[length] + (link.path << (-link.length % 8)).to_bytes(length, "big")


def _misplaced_key(key: int) -> KamtError:
    return KamtError(f"invalid KAMT: key {key:#x} is stored under the wrong path")


def _no_word(number: int) -> ValueError:
    return ValueError(f"{number:#x} is not an unsigned 256-bit word")
