"""KAMT: the map of 256-bit integers in which an EVM contract's storage lies, byte for byte as the EVM actor writes it.

Like a HAMT, but the key is its own path (no hash), a slot holds one entry, and a link carries an extension: the path
bits that all keys below it share. Zero is never stored: writing it deletes. Nodes are loaded when they are first
needed, changed in memory and written once by `flush`. The parameters are those of the EVM actor (bit width 5, one
entry a bucket, data from depth 0). Rules: ref-fvm `ipld/kamt`; builtin-actors `evm/src/interpreter/system.rs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from store.blockstore import Blockstore, TreeNodeError
from store.cid import Cid, cid_of
from store.codec import array_head, bytes_head, encode
from store.nodes import (
    MISSING,
    PATH_BITS,
    bitfield_bytes,
    changed_values,
    child_cid,
    link_bytes,
    load_value,
    read_bitfield_node,
)
from store.rewritten_block import RewrittenBlock

BIT_WIDTH: Final = 5
_MASK: Final = (1 << BIT_WIDTH) - 1
_LARGEST: Final = (1 << PATH_BITS) - 1
_WORD_HEADS: Final = tuple(bytes_head(length) for length in range(33))
"""What precedes a word, by its length in bytes."""
_ENTRY_HEADS: Final = tuple(b"\xa1\x61v\x81\x82" + head for head in _WORD_HEADS)
"""What precedes an entry's key, by its length."""
_LONGEST: Final = PATH_BITS - PATH_BITS % BIT_WIDTH
"""The path bits that come before the last, partial level: a child node starts there at the latest."""

_Entry = tuple[int, int]


class KamtError(TreeNodeError):
    """A block that is no KAMT node, or nodes that do not fit together."""


class _KamtNode:
    """A decoded node. A pointer is an entry (key, value) or a link."""

    __slots__ = ("bitfield", "changed", "cid", "parts", "pointers")

    def __init__(self, bitfield: int, pointers: list[_Entry | _Link], cid: Cid | None) -> None:
        self.bitfield = bitfield
        self.pointers = pointers
        self.cid = cid
        """The block as which it was last loaded or written; None before that."""
        self.changed = cid is None
        self.parts: list[bytes | None] | None = None
        """Pointers as they were last encoded, None for those behind which something changed since; before it was
        written, none at all."""

    def touch(self, index: int) -> None:
        """Note that a pointer changes, or something behind it."""
        self.changed = True
        if self.parts is not None:
            self.parts[index] = None


class _Link:
    """A child node, or the CID of one not loaded yet, behind `length` path bits of value `path`."""

    __slots__ = ("length", "path", "target")

    def __init__(self, length: int, path: int, target: _KamtNode | Cid) -> None:
        self.length = length
        self.path = path
        self.target = target


_Written = tuple[_KamtNode, Cid, bytes, list[bytes | None]]
"""A node with the block that it becomes, and its pointers as they stand in it."""


class Kamt:
    """A map from 256-bit keys to 256-bit values, zero where nothing is stored.

    After a KamtError or a missing block in the middle of a change, the object is not to be used further.
    """

    def __init__(self, store: Blockstore, root: Cid | None = None) -> None:
        """Open the tree at `root`, or start an empty one. Raises KamtError, BlockNotFound."""
        self._store = store
        self.held = 0
        """Nodes that were loaded or written: memory holds no more of them."""
        self._root = _KamtNode(0, [], None) if root is None else self._load(root, 0)

    @property
    def is_empty(self) -> bool:
        """Whether every slot is zero."""
        return not self._root.pointers

    def get(self, slot: int) -> int:
        """The value of a storage slot, 0 <= slot < 2^256."""
        if not 0 <= slot <= _LARGEST:
            raise _no_word(slot)
        node = self._root
        start = 0
        while True:  # no call for a step: this is what every SLOAD and SSTORE does
            shift = PATH_BITS - BIT_WIDTH - start
            bit = 1 << (slot >> shift & _MASK) if shift >= 0 else 1 << (slot & (_MASK >> -shift))
            if not node.bitfield & bit:
                return 0
            pointer = node.pointers[(node.bitfield & (bit - 1)).bit_count()]
            if type(pointer) is tuple:
                return pointer[1] if pointer[0] == slot else 0
            assert type(pointer) is _Link
            start = PATH_BITS - max(shift, 0) + pointer.length
            if pointer.length and _bits(slot, start, pointer.length) != pointer.path:
                return 0
            target = pointer.target
            node = target if type(target) is _KamtNode else self._child(pointer, start)

    def set(self, slot: int, value: int) -> None:
        """Set a storage slot, 0 <= slot, value < 2^256; zero deletes it."""
        if not 0 <= slot <= _LARGEST or not 0 <= value <= _LARGEST:
            raise _no_word(value if 0 <= slot <= _LARGEST else slot)
        if value:
            self._insert(slot, value)
        else:
            self._delete(self._root, 0, slot)

    def items(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """All slots from `first` on that are not zero with their values, in ascending order.

        The tree must not change meanwhile.
        """
        return self._walk(self._root, 0, 0, first)

    def differences(self, after: Kamt) -> Iterator[tuple[int, int, int]]:
        """The slots whose values differ in another tree, with both values, 0 where nothing is stored.

        What both share is not read. Both must be flushed, and not change meanwhile.
        """
        return self._differences(self._root, after, after._root, 0, 0)

    def flush(self) -> Cid:
        """Write the changed nodes to the store, children first; returns the root."""
        written: list[_Written] = []
        root = self._encode(self._root, written)
        self._store.put_many([(cid, data) for _, cid, data, _ in written])
        for node, cid, _, parts in written:
            node.cid, node.changed, node.parts = cid, False, parts
        self.held += len(written)
        return root

    def _insert(self, key: int, value: int) -> None:
        node = self._root
        start = 0
        while True:  # no call for a step, as in `get`
            shift = PATH_BITS - BIT_WIDTH - start
            bit = 1 << (key >> shift & _MASK) if shift >= 0 else 1 << (key & (_MASK >> -shift))
            index = (node.bitfield & (bit - 1)).bit_count()
            if not node.bitfield & bit:
                node.bitfield |= bit
                node.pointers.insert(index, (key, value))
                if node.parts is not None:
                    node.parts.insert(index, None)
                node.touch(index)
                return
            node.touch(index)
            pointer = node.pointers[index]
            start = PATH_BITS - max(shift, 0)
            if type(pointer) is tuple:
                node.pointers[index] = (key, value) if pointer[0] == key else _fork(pointer, (key, value), start)
                return
            assert type(pointer) is _Link
            start += pointer.length
            if pointer.length and _bits(key, start, pointer.length) != pointer.path:
                node.pointers[index] = _split(pointer, (key, value), start - pointer.length)
                return
            target = pointer.target
            node = target if type(target) is _KamtNode else self._child(pointer, start)

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
        """The entries of a node whose slots have `start` path bits in common, which are `prefix`."""
        for slot, pointer in zip(_set_bits(node.bitfield), node.pointers, strict=True):
            if type(pointer) is tuple:
                if pointer[0] >= first:
                    yield pointer
            else:
                assert type(pointer) is _Link
                after = start + BIT_WIDTH + pointer.length
                common = (prefix << BIT_WIDTH | slot) << pointer.length | pointer.path
                if (common + 1) << (PATH_BITS - after) <= first:
                    continue  # all that is there comes before
                # Nodes met for the first time are not kept: a walk over a large tree stays small.
                target = pointer.target
                child = target if isinstance(target, _KamtNode) else self._load(target, after)
                yield from self._walk(child, after, common, first)

    def _differences(
        self, left: _KamtNode, after: Kamt, right: _KamtNode, start: int, prefix: int
    ) -> Iterator[tuple[int, int, int]]:
        olds = dict(zip(_set_bits(left.bitfield), left.pointers, strict=True))
        news = dict(zip(_set_bits(right.bitfield), right.pointers, strict=True))
        for slot in sorted(olds.keys() | news.keys()):
            old, new = olds.get(slot), news.get(slot)
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
        """The node whose slots are chosen by the path bits from `start` on."""
        taken = min(BIT_WIDTH, PATH_BITS - start)
        bitfield, pointers = read_bitfield_node(load_value(self._store, cid, KamtError), taken, KamtError)
        if start and not pointers:
            raise KamtError("an empty node below the root")
        self.held += 1
        return _KamtNode(bitfield, [_read_pointer(pointer, start + taken) for pointer in pointers], cid)

    def _encode(self, node: _KamtNode, written: list[_Written]) -> Cid:
        if not node.changed and node.cid is not None:
            return node.cid
        # Nothing of the node changes here: should the store fail, all is to be written again.
        known = node.parts or [None] * len(node.pointers)
        fresh = [
            self._pointer_bytes(pointer, written)
            for pointer, part in zip(node.pointers, known, strict=True)
            if part is None
        ]
        encoded = iter(fresh)
        parts = [next(encoded) if part is None else part for part in known]
        head = b"\x82" + bitfield_bytes(node.bitfield) + array_head(len(parts))
        data = RewrittenBlock.of(head + b"".join(parts), node.cid, fresh)
        cid = cid_of(data)
        written.append((node, cid, data, [*parts]))
        return cid

    def _pointer_bytes(self, pointer: _Entry | _Link, written: list[_Written]) -> bytes:
        """A pointer, encoded; what it leads to is encoded first, where it changed."""
        if type(pointer) is tuple:
            key, value = pointer
            length, size = (key.bit_length() + 7) // 8, (value.bit_length() + 7) // 8
            words = key.to_bytes(length, "big"), value.to_bytes(size, "big")
            return _ENTRY_HEADS[length] + words[0] + _WORD_HEADS[size] + words[1]
        assert type(pointer) is _Link
        target = pointer.target
        cid = self._encode(target, written) if isinstance(target, _KamtNode) else target
        return b"\xa1\x61l\x83" + link_bytes(cid) + encode(pointer.length) + _path_bytes(pointer)


def _set_bits(bitfield: int) -> Iterator[int]:
    while bitfield:
        low = bitfield & -bitfield
        yield low.bit_length() - 1
        bitfield ^= low


def _step(key: int, start: int) -> tuple[int, int]:
    """How many path bits follow the step at `start`, and the bit of its slot."""
    shift = PATH_BITS - BIT_WIDTH - start
    if shift >= 0:
        return shift, 1 << (key >> shift & _MASK)
    return 0, 1 << (key & (_MASK >> -shift))


def _bits(key: int, end: int, length: int) -> int:
    """The `length` path bits of a key that stop before bit `end`."""
    return key >> (PATH_BITS - end) & ((1 << length) - 1)


def _pair(first: _Entry | _Link, first_bit: int, second: _Entry | _Link, second_bit: int) -> _KamtNode:
    pointers = [first, second] if first_bit < second_bit else [second, first]
    return _KamtNode(first_bit | second_bit, pointers, None)


def _fork(old: _Entry, new: _Entry, start: int) -> _Link:
    """A link to a node of two entries that shared a slot; its extension is what their paths share from `start` on."""
    left = PATH_BITS - start
    common = left - ((old[0] ^ new[0]) & ((1 << left) - 1)).bit_length()
    if common == left:
        raise KamtError(f"key {old[0]:#x} is stored under a path that is not its own")
    length = common - common % BIT_WIDTH
    node = _pair(old, _step(old[0], start + length)[1], new, _step(new[0], start + length)[1])
    return _Link(length, _bits(new[0], start + length, length), node)


def _split(link: _Link, new: _Entry, start: int) -> _Link:
    """What replaces a link when a new entry shares its slot but not the whole of its extension."""
    ours = _bits(new[0], start + link.length, link.length)
    common = link.length - (ours ^ link.path).bit_length()
    head = common - common % BIT_WIDTH
    tail = link.length - head - BIT_WIDTH
    rest = _Link(tail, link.path & ((1 << tail) - 1), link.target)
    node = _pair(rest, 1 << (link.path >> tail & _MASK), new, _step(new[0], start + head)[1])
    return _Link(head, link.path >> (link.length - head), node)


def _collapse(link: _Link, child: _KamtNode) -> _Entry | _Link:
    """What stands in the parent for a child that lost an entry: its last pointer, where only one is left."""
    if not child.pointers:
        raise KamtError("a node below the root lost its last entry: it held too few")
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
    """A pointer from its decoded form; `start` counts the path bits up to and including its slot."""
    if type(pointer) is not dict or len(pointer) != 1:
        raise KamtError("a pointer is a map of one entry")
    bucket = pointer.get("v")
    if bucket is not None:
        if type(bucket) is not list or len(bucket) != 1 or type(bucket[0]) is not list or len(bucket[0]) != 2:
            raise KamtError("a bucket is an array of one [key, value]")
        return _read_word(bucket[0][0]), _read_word(bucket[0][1])
    fields = pointer.get("l")
    if type(fields) is not list or len(fields) != 3:
        raise KamtError("a pointer is {'v': [[key, value]]} or {'l': [link, length, path]}")
    cid, (length, raw) = child_cid(fields[0], KamtError), fields[1:]
    if type(length) is not int or length < 0 or length % BIT_WIDTH or start + length > _LONGEST:
        raise KamtError(f"an extension of {length!r} bits after {start} bits of path")
    if type(raw) is not bytes or len(raw) != (length + 7) // 8:
        raise KamtError(f"an extension of {length} bits that is not {(length + 7) // 8} bytes long")
    padded = int.from_bytes(raw, "big")
    path = padded >> (-length % 8)
    if path << (-length % 8) != padded:
        raise KamtError("an extension whose padding is not zero")
    return _Link(length, path, cid)


def _read_word(raw: Any) -> int:
    if type(raw) is not bytes or len(raw) > 32 or raw[:1] == b"\x00":
        raise KamtError("a key or value is a byte string of at most 32 bytes without leading zeros")
    return int.from_bytes(raw, "big")


def _path_bytes(link: _Link) -> bytes:
    length = (link.length + 7) // 8
    return bytes_head(length) + (link.path << (-link.length % 8)).to_bytes(length, "big")


def _no_word(number: int) -> ValueError:
    return ValueError(f"{number:#x} is not a 256-bit word")
