"""Selectors, and their walks over a small state."""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

from store.blocks.memory import MemoryStore
from store.blockstore import StoreError, put_object
from store.car.selectors import SelectorError, parse_selector, selected_blocks, walk
from store.cid import Cid
from store.codec import CodecError, decode_strict, encode, link
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.paths import LayoutError
from tests.fuzz.target import Target, cbor_mutation

MAX = 300


def run(data: bytes) -> bool:
    try:
        selector = parse_selector(decode_strict(data))
    except (CodecError, SelectorError):
        return False
    store, root = _state()
    for way in (walk, selected_blocks):
        try:
            for _ in way(store, root, selector, MAX):
                pass
        except (SelectorError, LayoutError, StoreError):
            pass
    return True


@cache
def _state() -> tuple[MemoryStore, Cid]:
    store = MemoryStore()
    tree, array, slots = Hamt(store), Amt(store), Kamt(store)
    for number in range(40):
        tree.set(b"%d" % number, [number, {"x": "text"}])
        array.set(number * 3, b"bytes")
        slots.set(number << 100, number + 1)
    roots = {"hamt": link(tree.flush()), "amt": link(array.flush()), "kamt": link(slots.flush())}
    below = put_object(store, {**roots, "list": [1, "two", b"three", None, [4.5]]})
    return store, put_object(store, [link(below), {"again": link(below)}])


_MATCH: dict[str, Any] = {".": {}}
_DEEP = {"R": {"l": {"none": {}}, ":>": {"|": [{".": {}}, {"a": {">": {"@": {}}}}]}}}


def seeds() -> Iterator[bytes]:
    for selector in (
        _MATCH,
        {"a": {">": _MATCH}},
        {"i": {"i": 0, ">": _MATCH}},
        {"r": {"^": 0, "$": 2, ">": _MATCH}},
        _DEEP,
        {"selector": _DEEP},
        {"R": {"l": {"depth": 3}, ":>": {"a": {">": {"@": {}}}}}},
        {"i": {"i": 0, ">": {"f": {"f>": {"hamt": {"~": {"as": "HAMT5", ">": {"a": {">": _MATCH}}}}}}}}},
        {"i": {"i": 0, ">": {"f": {"f>": {"amt": {"~": {"as": "AMT", ">": {"i": {"i": 3, ">": _MATCH}}}}}}}}},
        {"i": {"i": 0, ">": {"f": {"f>": {"kamt": {"~": {"as": "KAMT5", ">": {"a": {">": _MATCH}}}}}}}}},
        {"i": {"i": 1, ">": {"f": {"f>": {"again": {"a": {">": {".": {"subset": {"[": 1, "]": 3}}}}}}}}}},
    ):
        yield encode(selector)


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new selector by the grammar, one in four with changed data."""
    selector = encode(_clause(rng, rng.randrange(1, 6), False))
    return _changed(selector if rng.random() < 0.5 else data, rng) if rng.random() < 0.25 else selector


_changed = cbor_mutation(seeds)


def _clause(rng: Random, depth: int, recursive: bool) -> dict[str, Any]:
    if depth == 0:
        if recursive and rng.random() < 0.8:
            return {"@": {}}
        return rng.choice(
            (_MATCH, {".": {"label": "here"}}, {".": {"subset": {"[": rng.randrange(-3, 4), "]": rng.randrange(9)}}})
        )
    below = _clause(rng, depth - 1, recursive)
    number = rng.randrange(6)
    match rng.randrange(7):
        case 0:
            return {"a": {">": below}}
        case 1:
            return {"f": {"f>": {rng.choice(_NAMES): below, rng.choice(_NAMES): _clause(rng, 0, recursive)}}}
        case 2:
            return {"i": {"i": number, ">": below}}
        case 3:
            return {"r": {"^": number, "$": number + rng.randrange(1, 40), ">": below}}
        case 4:
            limit: dict[str, Any] = rng.choice(({"none": {}}, {"depth": number}))
            return {"R": {"l": limit, ":>": {"|": [_MATCH, _clause(rng, depth - 1, True), {"a": {">": {"@": {}}}}]}}}
        case 5:
            return {"|": [below, _clause(rng, depth - 1, recursive)]}
        case _:
            return {
                "i": {
                    "i": 0,
                    ">": {"f": {"f>": {layout: {"~": {"as": name, ">": below}} for layout, name in _LAYOUTS}}},
                }
            }


_NAMES = ("hamt", "amt", "kamt", "list", "again", "x", "0", "31")
_LAYOUTS = (("hamt", "HAMT5"), ("amt", "AMT"), ("kamt", "KAMT5"))


TARGET = Target(run, seeds, mutate, share=5, longest=1024)
