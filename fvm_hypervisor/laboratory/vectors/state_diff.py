"""Differences between two states: by actor, and by node inside an actor's state.

A vector contains only the part of a state that its message touches. A missing block ends the comparison of its
subtree, and a line reports it. Equal subtrees are skipped by their CIDs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypervisor.errors import AddressError
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import HAMT_BIT_WIDTH, ActorState
from store.blockstore import BlockNotFound, Blockstore, get_object
from store.cid import Cid, show
from store.codec import CodecError, unlink
from store.trees.hamt import HamtError
from store.trees.nodes import read_bitfield_node

_ABSENT = object()


class _AnotherTree(Exception):
    """Raised if a tree with the root of a HAMT has invalid nodes."""


def state_differences(store: Blockstore, ours: Cid, expected: Cid, names: Mapping[Cid, str]) -> Iterator[str]:
    """Yield a line per difference between two state roots; `names` maps code CIDs to names."""
    try:
        left, right = get_object(store, ours), get_object(store, expected)
    except BlockNotFound as error:
        yield f"the states cannot be compared: {error}"
        return
    for index, what in ((0, "state tree version"), (2, "state info")):
        yield from _values(store, what, left[index], right[index])
    for key, mine, other in _hamt(store, unlink(left[1]), unlink(right[1])):
        if isinstance(key, BlockNotFound):
            yield f"not all actors can be compared: {key}"
        else:
            yield from _actor(store, _shown_key(key), mine, other, names)


def _actor(store: Blockstore, label: str, ours: Any, expected: Any, names: Mapping[Cid, str]) -> Iterator[str]:
    if ours is _ABSENT or expected is _ABSENT:
        fields = expected if ours is _ABSENT else ours
        kind = _kind(ActorState.from_fields(fields).code, names)
        yield f"{label} ({kind}) is {'missing' if ours is _ABSENT else 'unexpected'}"
        return
    mine, other = ActorState.from_fields(ours), ActorState.from_fields(expected)
    label = f"{label} ({_kind(mine.code, names)})"
    if mine.code != other.code:
        yield f"{label} code: {_kind(mine.code, names)}, expected {_kind(other.code, names)}"
    if mine.nonce != other.nonce:
        yield f"{label} nonce: {mine.nonce}, expected {other.nonce}"
    if mine.balance != other.balance:
        yield f"{label} balance: {mine.balance}, expected {other.balance} ({mine.balance - other.balance:+})"
    if mine.delegated_address != other.delegated_address:
        yield f"{label} delegated address: {mine.delegated_address}, expected {other.delegated_address}"
    if mine.head != other.head:
        yield from _blocks(store, f"{label} state", mine.head, other.head)


def _kind(code: Cid, names: Mapping[Cid, str]) -> str:
    return names.get(code) or f"code {show(code)}"


def _blocks(store: Blockstore, path: str, ours: Cid, expected: Cid) -> Iterator[str]:
    if ours == expected:
        return
    try:
        left, right = get_object(store, ours), get_object(store, expected)
    except BlockNotFound as error:
        yield f"{path}: {show(ours)}, expected {show(expected)}, which cannot be compared: {error}"
        return
    except CodecError:
        yield f"{path}: {show(ours)}, expected {show(expected)}"
        return
    if _is_hamt_node(left) and _is_hamt_node(right):
        try:
            found = list(_hamt(store, ours, expected))
        except _AnotherTree:  # the root of a contract's storage has the same form
            yield f"{path}: {show(ours)}, expected {show(expected)}"
            return
        for key, mine, other in found:
            if isinstance(key, BlockNotFound):
                yield f"{path}: not all entries can be compared: {key}"
            else:
                yield from _values(store, f"{path}[{_shown_key(key)}]", mine, other)
        return
    yield from _values(store, path, left, right)


def _values(store: Blockstore, path: str, ours: Any, expected: Any) -> Iterator[str]:
    if ours == expected and type(ours) is type(expected):
        return
    if isinstance(ours, list) and isinstance(expected, list) and len(ours) == len(expected):
        for index, (mine, other) in enumerate(zip(ours, expected, strict=True)):
            yield from _values(store, f"{path}.{index}", mine, other)
    elif isinstance(ours, dict) and isinstance(expected, dict) and ours.keys() == expected.keys():
        for key, mine in ours.items():
            yield from _values(store, f"{path}.{key}", mine, expected[key])
    elif (mine_cid := _link_target(ours)) and (other_cid := _link_target(expected)):
        yield from _blocks(store, path, mine_cid, other_cid)
    else:
        yield f"{path}: {_format(ours)}, expected {_format(expected)}"


def _link_target(value: Any) -> Cid | None:
    try:
        return unlink(value)
    except CodecError:
        return None


def _is_hamt_node(value: Any) -> bool:
    try:
        _, pointers = read_bitfield_node(value, HAMT_BIT_WIDTH, HamtError)
    except HamtError:
        return False
    buckets = [pointer for pointer in pointers if isinstance(pointer, list)]
    entries = [entry for bucket in buckets for entry in bucket]
    return all(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes) for entry in entries)


def _hamt(store: Blockstore, ours: Cid, expected: Cid) -> Iterator[tuple[bytes | BlockNotFound, Any, Any]]:
    """Yield (key, our value, expected value) for each difference of two HAMTs, or the error of a missing node."""
    if ours == expected:
        return
    try:
        left, right = _slots(store, ours), _slots(store, expected)
    except BlockNotFound as error:
        yield error, _ABSENT, _ABSENT
        return
    for slot in sorted(left.keys() | right.keys()):
        mine, other = left.get(slot, []), right.get(slot, [])
        mine_cid, other_cid = _link_target(mine), _link_target(other)
        if mine_cid and other_cid:
            yield from _hamt(store, mine_cid, other_cid)
        elif mine != other:
            yield from _entries(store, mine, other)


def _slots(store: Blockstore, node: Cid) -> dict[int, Any]:
    try:
        bitfield, pointers = read_bitfield_node(get_object(store, node), HAMT_BIT_WIDTH, HamtError)
    except HamtError as error:
        raise _AnotherTree(str(error)) from None
    slots = [slot for slot in range(1 << HAMT_BIT_WIDTH) if bitfield >> slot & 1]
    return dict(zip(slots, pointers, strict=True))


def _entries(store: Blockstore, ours: Any, expected: Any) -> Iterator[tuple[bytes | BlockNotFound, Any, Any]]:
    try:
        left, right = dict(_leaves(store, ours)), dict(_leaves(store, expected))
    except BlockNotFound as error:
        yield error, _ABSENT, _ABSENT
        return
    for key in sorted(left.keys() | right.keys()):
        mine, other = left.get(key, _ABSENT), right.get(key, _ABSENT)
        if mine != other:
            yield key, mine, other


def _leaves(store: Blockstore, pointer: Any) -> Iterator[tuple[bytes, Any]]:
    child = _link_target(pointer)
    if child is None:
        for entry in pointer:
            if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], bytes)):
                raise _AnotherTree("an entry is not a key with a value")
            yield entry[0], entry[1]
        return
    for below in _slots(store, child).values():
        yield from _leaves(store, below)


def _shown_key(key: bytes) -> str:
    try:
        return str(Address.from_bytes(key))
    except AddressError:
        return f"0x{key.hex()}"


def _format(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    cid = _link_target(value)
    text = show(cid) if cid else f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
