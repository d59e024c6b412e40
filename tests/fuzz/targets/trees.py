"""AMTs, HAMTs and KAMTs with arbitrary links, schemas, and selectors."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from hypervisor import builtin_actors
from store.blocks.memory import MemoryStore
from store.blockstore import StoreError, put_object
from store.car.selectors import SelectorError, parse_selector, selected_blocks, walk
from store.cid import Cid, cid_of
from store.codec import CodecError, decode_strict, encode, link
from store.schema import Schema
from store.schema.types import SchemaError
from store.trees.amt import MAX_INDEX, Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.paths import LayoutError
from tests.fuzz import trees
from tests.fuzz.target import Target, cbor_mutation


def run_amt(data: bytes) -> bool:
    return trees.run(data, _use)


def _use(store: trees.ArbitraryLinkStore, _width: int, operations: list[Any]) -> None:
    array = Amt(store, trees.node_cid(0))
    for operation in operations[:20]:
        match operation:
            case [0, int(index), bytes(value)] if 0 <= index <= MAX_INDEX:
                array.set(index, value)
                assert array.get(index) == value
            case [1, int(index), bytes()] if 0 <= index <= MAX_INDEX:
                array.delete(index)
                assert index not in array
            case [int(), int(index), bytes()] if 0 <= index <= MAX_INDEX:
                array.get(index)
    for _ in islice(array.items(), trees.MAX_ITEMS):
        pass
    values = [*islice(array.items(), trees.MAX_ITEMS)]
    again = Amt(store, array.flush())
    assert [*islice(again.items(), trees.MAX_ITEMS)] == values


def amt_seeds() -> Iterator[bytes]:
    for width, indices in ((3, ()), (3, (0, 1, 9)), (3, range(70)), (5, (0, 10**6)), (1, range(9)), (8, (MAX_INDEX,))):
        store = MemoryStore()
        array = Amt(store, None, width)
        for index in indices:
            array.set(index, b"%d" % index)
        yield trees.renamed(array.flush(), store, width, [[0, 7, b"new"], [1, 9, b""], [2, 1, b""]])


AMT_TARGET = Target(run_amt, amt_seeds, trees.mutation(amt_seeds), share=4, longest=6000)


def run_hamt(data: bytes) -> bool:
    return trees.run(data, _use_hamt)


def _use_hamt(store: trees.ArbitraryLinkStore, width: int, operations: list[Any]) -> None:
    bits = width if 1 <= width <= 8 else 5
    tree = Hamt(store, trees.node_cid(0), bits)
    for kind, number, name in _calls(operations):
        key = name or b"%d" % number
        if kind == 0:
            tree.set(key, number)
            assert tree.get(key) == number
        elif kind == 1:
            tree.delete(key)
            assert key not in tree
        else:
            tree.get(key)
    for _ in islice(tree.items(), trees.MAX_ITEMS):
        pass
    entries = [*islice(tree.items(), trees.MAX_ITEMS)]
    again = Hamt(store, tree.flush(), bits)
    assert [*islice(again.items(), trees.MAX_ITEMS)] == entries


def _calls(operations: list[Any]) -> Iterator[tuple[int, int, bytes]]:
    for operation in operations[:20]:
        match operation:
            case [int(kind), int(number), bytes(name)]:
                yield kind, number, name


def hamt_seeds() -> Iterator[bytes]:
    for width, count in ((5, 0), (5, 3), (5, 60), (3, 40), (8, 300), (1, 20)):
        store = MemoryStore()
        tree = Hamt(store, None, width)
        for number in range(count):
            tree.set(b"%d" % number, number)
        yield trees.renamed(tree.flush(), store, width, [[0, 7, b"new"], [1, 2, b""], [2, 1, b""]])


HAMT_TARGET = Target(run_hamt, hamt_seeds, trees.mutation(hamt_seeds), share=2, longest=6000)


WORD = 1 << 256


def run_kamt(data: bytes) -> bool:
    return trees.run(data, _use_kamt)


def _use_kamt(store: trees.ArbitraryLinkStore, _width: int, operations: list[Any]) -> None:
    tree = Kamt(store, trees.node_cid(0))
    for operation in operations[:20]:
        match operation:
            case [int(kind), int(number), bytes(name)]:
                slot = int.from_bytes(name, "big") << 200 | number % WORD if number % 2 else number % WORD
                slot %= WORD
                if kind == 3:
                    tree.set_all([(slot, number % WORD), (slot ^ 1, 1), (slot ^ 1 << 200, 0)])
                    assert tree.get(slot ^ 1) == 1
                elif kind < 2:
                    tree.set(slot, kind and number % WORD)
                    assert tree.get(slot) == (kind and number % WORD)
                else:
                    tree.get(slot)
    for _ in islice(tree.items(), trees.MAX_ITEMS):
        pass
    slots = [*islice(tree.items(), trees.MAX_ITEMS)]
    again = Kamt(store, tree.flush())
    assert [*islice(again.items(), trees.MAX_ITEMS)] == slots


def kamt_seeds() -> Iterator[bytes]:
    for slots in ((), (0, 1, 2), range(40), (0, WORD - 1, 1 << 255, 1 << 128), [number << 200 for number in range(40)]):
        store = MemoryStore()
        tree = Kamt(store)
        for slot in slots:
            tree.set(slot, slot + 1 if slot + 1 < WORD else 1)
        yield trees.renamed(tree.flush(), store, 5, [[1, 7, b"new"], [0, 2, b""], [2, 1, b""]])


KAMT_TARGET = Target(run_kamt, kamt_seeds, trees.mutation(kamt_seeds), share=3, longest=6000)


_TOKEN = re.compile(r"\w+|\s+|[^\w\s]|\"[^\"]*\"")
_VALUES: tuple[Any, ...] = (
    None,
    True,
    5,
    b"\0\1",
    "a",
    "a:b,c",
    1.5,
    [],
    [1, "x"],
    {},
    {"a": 1, "b": None},
    {"x": [1]},
    link(cid_of(b"")),
    [[b"", 2], [b"", 2]],
)


def run_schema(data: bytes) -> bool:
    try:
        schema = Schema.parse(data.decode())
    except (SchemaError, UnicodeDecodeError):
        return False
    for name in [*schema.types][:8]:
        for value in _VALUES:
            _both_ways(schema, name, value)
    return True


def _both_ways(schema: Schema, name: str, data: Any) -> None:
    try:
        value = schema.read(name, data)
    except SchemaError:
        return
    assert schema.read(name, schema.write(name, value)) == value


def schema_seeds() -> Iterator[bytes]:
    folder = Path(builtin_actors.__file__).parent / "schemas"
    common = (folder / "common.ipldsch").read_bytes()
    yield common
    for name in ("account", "cron", "init", "paymentchannel"):
        yield common + (folder / f"{name}.ipldsch").read_bytes()
    yield b"""type Pair struct { a Int (rename "x") b optional String } representation map
type Line struct { a String b String } representation stringjoin { join ":" }
type Way enum { | North ("n") | South } representation string
type Any union { | Int int | Pair map } representation kinded
type Named union { | Line "line" | Pair "pair" } representation keyed
type Tagged union { | Pair "p" } representation inline { discriminantKey "t" }
type Boxed union { | Int "i" } representation envelope { discriminantKey "t" contentKey "c" }
type Text union { | Line "l:" } representation stringprefix
type Deep [{String:nullable &Any}]
type Pairs {String:Int} representation stringpairs { innerDelim "=" entryDelim "," }
type Both struct { a Int b nullable Deep } representation tuple
type Same = Both
type None unit representation null
advanced HAMT5
type Tree {String:Int} representation advanced HAMT5
"""


def mutate_schema(data: bytes, rng: Random) -> bytes:
    """Return a new schema by the grammar, one in three with a changed token."""
    text = data.decode(errors="ignore") if rng.random() < 0.1 else _schema(rng)
    if rng.random() < 0.3:
        tokens = _TOKEN.findall(text) or [""]
        place, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        tokens[place] = rng.choice((tokens[other], "", tokens[place] * 2, trees.text(rng, tokens[place])))
        text = "".join(tokens)
    return text.encode(errors="ignore")


def _schema(rng: Random) -> str:
    count = rng.randrange(1, 7)
    return "".join(
        f"type T{number} {_type(rng, [f'T{other}' for other in range(number)])}\n" for number in range(count)
    )


def _type(rng: Random, others: list[str]) -> str:
    def name() -> str:
        return rng.choice([*others, "Int", "String", "Bytes", "Bool", "Float", "Link", "Any", "Null"])

    def inline() -> str:
        return rng.choice((f"[{name()}]", f"{{String:nullable {name()}}}", f"&{name()}", f"[nullable {name()}]"))

    def term() -> str:
        return rng.choice((name(), name(), f"nullable {name()}", inline()))

    fields = [term() for _ in range(rng.randrange(4))]
    struct = "struct {\n" + "".join(f"  f{at} {field}\n" for at, field in enumerate(fields)) + "}"
    texts = "struct { a String b String }"
    match rng.randrange(9):
        case 0:
            return struct
        case 1:
            return f"{struct} representation {rng.choice(('tuple', 'map', 'listpairs'))}"
        case 2:
            return 'enum { | A ("x") | B | C ("10") } representation string'
        case 3:
            return 'enum { | A ("1") | B ("2") } representation int'
        case 4:
            return "union { | Int int | String string } representation kinded"
        case 5:
            return f'union {{ | {name()} "a" | Int "b" }} representation keyed'
        case 6:
            return f"{texts} representation " + rng.choice(
                ('stringjoin { join ":" }', 'stringpairs { innerDelim "=" entryDelim "," }')
            )
        case 7:
            return (
                f'union {{ | {name()} "a" | Int "b" }} representation envelope {{ discriminantKey "t" contentKey "c" }}'
            )
        case _:
            return rng.choice((inline(), f"= {name()}"))


SCHEMA_TARGET = Target(run_schema, schema_seeds, mutate_schema, share=12, longest=4000)


MAX = 300


def run_selector(data: bytes) -> bool:
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


def selector_seeds() -> Iterator[bytes]:
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


def mutate_selector(data: bytes, rng: Random) -> bytes:
    """Return a new selector by the grammar, one in four with changed data."""
    selector = encode(_clause(rng, rng.randrange(1, 6), False))
    return _changed(selector if rng.random() < 0.5 else data, rng) if rng.random() < 0.25 else selector


_changed = cbor_mutation(selector_seeds)


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


SELECTOR_TARGET = Target(run_selector, selector_seeds, mutate_selector, share=5, longest=1024)
