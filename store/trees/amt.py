"""AMT version 3: Filecoin's sparse array from unsigned integers to values, byte-compatible with the network.

Nodes are loaded on first use, changed in memory and written by `flush`, which writes changed nodes only. The root block
is `[bit_width, height, count, node]`; a node is `[bitmap, links, values]` with one of the lists empty. Source: ref-fvm
`ipld/amt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from store.blockstore import Blockstore, TreeNodeError
from store.cid import Cid, cid_of
from store.codec import bytes_head, encode, link
from store.trees.nodes import changed_values, child_cid, load_value

MAX_INDEX: Final = (1 << 64) - 2
MAX_COUNT: Final = MAX_INDEX + 1
MAX_BIT_WIDTH: Final = 18
DEFAULT_BIT_WIDTH: Final = 3


class AmtError(TreeNodeError):
    """Raised when a block is not a valid AMT root or node."""


class _AmtNode:
    """A decoded node: slot to value at height 0, slot to loaded node or link (CBORTag) above."""

    __slots__ = ("cid", "slots")

    def __init__(self, slots: dict[int, Any], cid: Cid | None) -> None:
        self.slots = slots
        self.cid = cid  # None if changed since it was loaded or flushed


class Amt:
    """A sparse array of DAG-CBOR values.

    `count` is the number of values. Returned values are owned by the array: replace them, do not modify them in place.
    Do not use the object after a change has raised AmtError or BlockNotFound.
    """

    def __init__(self, store: Blockstore, root: Cid | None = None, bit_width: int | None = None) -> None:
        """Open the array at `root`, or create an empty one with `bit_width` (default 3).

        Raises AmtError for an invalid root, or if `bit_width` is given and differs from the root's, and BlockNotFound.
        """
        self._store = store
        self._cid = root
        if root is None:
            self._bit_width = DEFAULT_BIT_WIDTH if bit_width is None else bit_width
            if not 1 <= self._bit_width <= MAX_BIT_WIDTH:
                raise ValueError(f"bit width {bit_width} is not between 1 and {MAX_BIT_WIDTH}")
            self._height, self.count, self._root = 0, 0, _AmtNode({}, None)
        else:
            self._open(load_value(store, root, AmtError), bit_width)

    @classmethod
    def from_values(cls, store: Blockstore, values: Iterable[Any], bit_width: int = DEFAULT_BIT_WIDTH) -> Amt:
        """Return an array of `values` at the indices 0, 1, 2, ..., not yet flushed."""
        amt = cls(store, None, bit_width)
        level: list[Any] = list(values)
        amt.count = len(level)
        width = 1 << bit_width
        while len(level) > width:
            level = [_AmtNode(dict(enumerate(level[at : at + width])), None) for at in range(0, len(level), width)]
            amt._height += 1
        amt._root = _AmtNode(dict(enumerate(level)), None)
        return amt

    def get(self, index: int) -> Any | None:
        """Return the value at `index`, or None if it is absent or a stored null; use `in` to tell them apart."""
        return self._slot(index)[1]

    def __contains__(self, index: int) -> bool:
        return self._slot(index)[0]

    def set(self, index: int, value: Any) -> None:
        """Store `value` at 0 <= index <= 2^64 - 2. The value is encoded when the array is flushed.

        Raises AmtError if the root's count is wrong, so that it would exceed the number of indices.
        """
        _check_index(index)
        width = self._bit_width
        while index >> (width * (self._height + 1)):
            self._root = _AmtNode({0: self._root} if self._root.slots else {}, None)
            self._height += 1
        node = self._root
        mask = (1 << width) - 1
        for height in range(self._height, 0, -1):
            node.cid = None
            slot = index >> (width * height) & mask
            if slot in node.slots:
                node = self._child(node, slot, height - 1)
            else:
                node.slots[slot] = node = _AmtNode({}, None)
        node.cid = None
        slot = index & mask
        if slot not in node.slots:
            if self.count == MAX_COUNT:
                raise AmtError(f"inconsistent AMT root: count {self.count}, but index {index} is absent")
            self.count += 1
        node.slots[slot] = value
        self._cid = None

    def delete(self, index: int) -> bool:
        """Remove the value at `index`, and return True if there was one.

        Raises AmtError if the root's count is wrong: zero although values are left, or the reverse.
        """
        _check_index(index)
        if index >> (self._bit_width * (self._height + 1)) or not self._delete(self._root, self._height, index):
            return False
        self.count -= 1
        self._cid = None
        while self._height and self._root.slots.keys() == {0}:
            self._root = self._child(self._root, 0, self._height - 1)
            self._height -= 1
        if not self._root.slots:
            self._height = 0
        if bool(self._root.slots) != bool(self.count):
            raise AmtError(f"inconsistent AMT root: count {self.count} after the removal of index {index}")
        return True

    def items(self, first: int = 0) -> Iterator[tuple[int, Any]]:
        """Iterate over (index, value) pairs in ascending order, starting at index `first`.

        The array must not be changed during the iteration.
        """
        return self._walk(self._root, self._height, 0, first)

    def differences(self, after: Amt) -> Iterator[tuple[int, Any, Any]]:
        """Iterate over (index, old value, new value) where the two arrays differ; an absent value is MISSING.

        Shared subtrees are not read. Both arrays must be flushed and must not be changed during the iteration.
        """
        if self._bit_width != after._bit_width:
            return changed_values(dict(self.items()), dict(after.items()))
        return self._differences((self._root, self._height), after, (after._root, after._height), 0)

    def rewrite(self, change: Callable[[int, Any], Any]) -> Cid:
        """Write a copy of the array with each value replaced by `change(index, value)`, and return its root CID.

        The array must be flushed and is not modified. Nodes are processed one by one, children before their parents,
        without being cached. Raises AmtError, BlockNotFound.
        """
        if self._cid is None:
            raise AmtError("cannot rewrite an array with unflushed changes; call flush() first")
        head = b"\x84" + encode(self._bit_width) + encode(self._height) + encode(self.count)
        data = head + self._rewrite(self._root, self._height, 0, change)
        self._store.put(cid_of(data), data)
        return cid_of(data)

    def flush(self) -> Cid:
        """Write the changed nodes to the store, children first, and return the root CID."""
        if self._cid is not None:
            return self._cid
        written: list[tuple[_AmtNode, Cid, bytes]] = []
        head = b"\x84" + encode(self._bit_width) + encode(self._height) + encode(self.count)
        data = head + self._encode(self._root, self._height, written)
        cid = cid_of(data)
        self._store.put_many([*((child, block) for _, child, block in written), (cid, data)])
        for node, child, _ in written:
            node.cid = child
        self._cid = cid
        return cid

    def _open(self, value: Any, bit_width: int | None) -> None:
        if type(value) is not list or len(value) != 4 or not all(_is_count(number) for number in value[:3]):
            raise AmtError("invalid AMT root: expected [bit width, height, count, node]")
        self._bit_width, self._height, self.count, node = value
        if not 1 <= self._bit_width <= MAX_BIT_WIDTH:
            raise AmtError(f"bit width {self._bit_width} is not between 1 and {MAX_BIT_WIDTH}")
        if bit_width is not None and bit_width != self._bit_width:
            raise AmtError(f"the root has bit width {self._bit_width}, expected {bit_width}")
        if self._bit_width * self._height >= 64:
            raise AmtError(f"height {self._height} at bit width {self._bit_width} exceeds 64-bit indices")
        self._root = self._node(node, self._height, None)
        if bool(self._root.slots) != bool(self.count) or (self._height and not self.count):
            raise AmtError(
                f"inconsistent AMT root: count {self.count}, height {self._height}, {len(self._root.slots)} used slots"
            )

    def _slot(self, index: int) -> tuple[bool, Any]:
        _check_index(index)
        width = self._bit_width
        if index >> (width * (self._height + 1)):
            return False, None
        node = self._root
        mask = (1 << width) - 1
        for height in range(self._height, 0, -1):
            slot = index >> (width * height) & mask
            if slot not in node.slots:
                return False, None
            node = self._child(node, slot, height - 1)
        slot = index & mask
        return slot in node.slots, node.slots.get(slot)

    def _delete(self, node: _AmtNode, height: int, index: int) -> bool:
        slot = index >> (self._bit_width * height) & ((1 << self._bit_width) - 1)
        if slot not in node.slots:
            return False
        if height:
            child = self._child(node, slot, height - 1)
            if not self._delete(child, height - 1, index):
                return False
            if not child.slots:
                del node.slots[slot]
        else:
            del node.slots[slot]
        node.cid = None
        return True

    def _walk(self, node: _AmtNode, height: int, base: int, first: int) -> Iterator[tuple[int, Any]]:
        for slot in sorted(node.slots):
            pointer = node.slots[slot]
            index = base + (slot << (self._bit_width * height))
            if index + (1 << (self._bit_width * height)) <= first:
                continue  # the whole subtree lies before `first`
            if height == 0:
                yield index, pointer
            else:
                # Loaded nodes are not cached, so that iterating over a large array uses little memory.
                child = pointer if type(pointer) is _AmtNode else self._load(pointer, height - 1)
                yield from self._walk(child, height - 1, index, first)

    def _differences(
        self, left: tuple[_AmtNode, int], after: Amt, right: tuple[_AmtNode, int], base: int
    ) -> Iterator[tuple[int, Any, Any]]:
        """Compare two nodes, given with their heights and starting at the same index `base`."""
        (old, old_height), (new, new_height) = left, right
        if old_height < new_height:
            old, old_height = _AmtNode({0: old} if old.slots else {}, None), old_height + 1
            yield from self._differences((old, old_height), after, right, base)
        elif new_height < old_height:
            new, new_height = _AmtNode({0: new} if new.slots else {}, None), new_height + 1
            yield from self._differences(left, after, (new, new_height), base)
        elif old_height == 0:
            found = changed_values(old.slots, new.slots)
            yield from ((base + slot, before, value) for slot, before, value in found)
        else:
            for slot in sorted(old.slots.keys() | new.slots.keys()):
                pointers = old.slots.get(slot), new.slots.get(slot)
                if pointers[0] != pointers[1]:
                    lower = (self._node_at(pointers[0], old_height - 1), after._node_at(pointers[1], old_height - 1))
                    index = base + (slot << (self._bit_width * old_height))
                    yield from self._differences((lower[0], old_height - 1), after, (lower[1], old_height - 1), index)

    def _node_at(self, pointer: Any, height: int) -> _AmtNode:
        """Return the node that a slot points to, or an empty node if the slot is empty."""
        if pointer is None:
            return _AmtNode({}, None)
        return pointer if type(pointer) is _AmtNode else self._load(pointer, height)

    def _child(self, node: _AmtNode, slot: int, height: int) -> _AmtNode:
        pointer = node.slots[slot]
        if type(pointer) is not _AmtNode:
            pointer = node.slots[slot] = self._load(pointer, height)
        return pointer

    def _load(self, pointer: Any, height: int) -> _AmtNode:
        cid = child_cid(pointer, AmtError)
        node = self._node(load_value(self._store, cid, AmtError), height, cid)
        if not node.slots:
            raise AmtError("invalid AMT: empty node below the root")
        return node

    def _node(self, value: Any, height: int, cid: Cid | None) -> _AmtNode:
        if (
            type(value) is not list
            or len(value) != 3
            or type(value[0]) is not bytes
            or type(value[1]) is not list
            or type(value[2]) is not list
        ):
            raise AmtError("invalid AMT node: expected [bitmap, links, values]")
        raw, links, values = value
        bitmap = int.from_bytes(raw, "little")
        if len(raw) != self._bitmap_length() or bitmap >> (1 << self._bit_width):
            raise AmtError(f"invalid AMT node: bitmap {raw.hex()[:80]} does not fit {1 << self._bit_width} slots")
        content, other = (links, values) if height else (values, links)
        if other or bitmap.bit_count() != len(content):
            raise AmtError(
                f"invalid AMT node at height {height}: {len(links)} links, {len(values)} values, bitmap {bitmap:x}"
            )
        if height:
            for pointer in content:
                child_cid(pointer, AmtError)
        return _AmtNode(dict(zip(_set_bits(bitmap), content, strict=True)), cid)

    def _encode(self, node: _AmtNode, height: int, written: list[tuple[_AmtNode, Cid, bytes]]) -> bytes:
        bitmap = 0
        pointers: list[Any] = []
        for slot in sorted(node.slots):
            bitmap |= 1 << slot
            pointer = node.slots[slot]
            if height and type(pointer) is _AmtNode:
                pointer = link(self._encode_child(pointer, height - 1, written))
            pointers.append(pointer)
        length = self._bitmap_length()
        body = encode(pointers)
        lists = body + b"\x80" if height else b"\x80" + body
        return b"\x83" + bytes_head(length) + bitmap.to_bytes(length, "little") + lists

    def _rewrite(self, node: _AmtNode, height: int, base: int, change: Callable[[int, Any], Any]) -> bytes:
        """Write the rewritten nodes below `node`, and return the encoding of the rewritten `node`."""
        slots: dict[int, Any] = {}
        for slot, pointer in node.slots.items():
            index = base + (slot << (self._bit_width * height))
            if height:
                data = self._rewrite(self._node_at(pointer, height - 1), height - 1, index, change)
                self._store.put(cid_of(data), data)
                slots[slot] = link(cid_of(data))
            else:
                slots[slot] = change(index, pointer)
        return self._encode(_AmtNode(slots, None), height, [])

    def _encode_child(self, node: _AmtNode, height: int, written: list[tuple[_AmtNode, Cid, bytes]]) -> Cid:
        if node.cid is None:
            data = self._encode(node, height, written)
            cid = cid_of(data)
            written.append((node, cid, data))
            return cid
        return node.cid

    def _bitmap_length(self) -> int:
        return 1 if self._bit_width <= 3 else 1 << (self._bit_width - 3)


def _check_index(index: int) -> None:
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"index {index} is not between 0 and 2^64 - 2")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _set_bits(bitmap: int) -> Iterator[int]:
    while bitmap:
        low = bitmap & -bitmap
        yield low.bit_length() - 1
        bitmap ^= low
