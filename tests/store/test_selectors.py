"""Selectors.

- Selectors: the specification's fixtures, walks through links and layouts, limits, and invalid selectors.
- Nodes matched by a selector, as listed in the specification's examples; CAR export does not need the matches.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, Blockstore, put_object
from store.car.selectors import (
    MAX_NODES,
    AnyOf,
    Matcher,
    Recursive,
    Segment,
    Selector,
    SelectorError,
    parse_selector,
    selected_blocks,
    walk,
)
from store.cid import RAW, Cid, cid_of
from store.codec import encode, kind_of, link
from store.links import reachable
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from store.trees.paths import Path, prove
from tests.conftest import samples

MATCH: dict[str, Any] = {".": {}}

# data, selector, visits (path, value or kind, matched): https://ipld.io/specs/selectors/fixtures/
FIXTURES: list[tuple[str, Any, Any, list[tuple[str, Any, bool]]]] = [
    ("a single node", "basic test", MATCH, [("", "basic test", True)]),
    ("a small map", {"foo": True, "other": {}}, MATCH, [("", "map", True)]),
    ("fields", {"bar": False, "foo": True, "some_other": {}}, {"f": {"f>": {"foo": MATCH, "bar": MATCH}}},
     [("", "map", False), ("foo", True, True), ("bar", False, True)]),
    ("nested fields", {"nested": {"newt": 8}, "foo": True, "bar": 5},
     {"f": {"f>": {"foo": MATCH, "nested": {"f": {"f>": {"newt": MATCH}}}}}},
     [("", "map", False), ("foo", True, True), ("nested", "map", False), ("nested/newt", 8, True)]),
    ("an index", ["0", "1", "2"], {"i": {"i": 1, ">": MATCH}}, [("", "list", False), ("1", "1", True)]),
    ("a range", [0, None, "s", {}], {"r": {"^": 1, "$": 3, ">": MATCH}},
     [("", "list", False), ("1", None, True), ("2", "s", True)]),
    ("a part of a string", "a long string that we want to match a subset of", {".": {"subset": {"[": 30, "]": 44}}},
     [("", "match a subset", True)]),
    ("a part from the end", "a long string that we want to match a subset of",
     {".": {"subset": {"[": -9, "]": 9223372036854775807}}}, [("", "subset of", True)]),
    ("hello recursion", [{"one": [{"two": [3]}]}], {"R": {"l": {"depth": 4}, ":>": {"a": {">": {"@": {}}}}}},
     [("", "list", False), ("0", "map", False), ("0/one", "list", False), ("0/one/0", "map", False)]),
    ("an immediate edge", [0], {"R": {"l": {"none": {}}, ":>": {"@": {}}}}, [("", "list", False)]),
    # in addition to the specification's fixtures
    ("everything, matched", {"a": [1, 2]},
     {"R": {"l": {"none": {}}, ":>": {"|": [MATCH, {"a": {">": {"@": {}}}}]}}},
     [("", "map", True), ("a", "list", True), ("a/0", 1, True), ("a/1", 2, True)]),
    ("a recursion inside one", {"n": {"n": {"v": [[1]]}}},
     {"R": {"l": {"none": {}}, ":>": {"f": {"f>": {
         "n": {"@": {}}, "v": {"R": {"l": {"depth": 2}, ":>": {"|": [MATCH, {"a": {">": {"@": {}}}}]}}}}}}}},
     [("", "map", False), ("n", "map", False), ("n/n", "map", False), ("n/n/v", "list", True),
      ("n/n/v/0", "list", True)]),
    ("labels", [1], {"|": [{".": {"label": "outer"}}, {"a": {">": {".": {"label": "inner"}}}}]},
     [("", "list", True), ("0", 1, True)]),
    ("fields that are not there", {"a": 1}, {"f": {"f>": {"b": MATCH, "a": MATCH}}},
     [("", "map", False), ("a", 1, True)]),
    ("a field of a list", ["x"], {"f": {"f>": {"0": MATCH, "1": MATCH}}}, [("", "list", False), ("0", "x", True)]),
    ("an index into a map", {"0": "x"}, {"i": {"i": 0, ">": MATCH}}, [("", "map", False)]),
    ("a range beyond the end", [1], {"r": {"^": 0, "$": 1 << 62, ">": MATCH}}, [("", "list", False), ("0", 1, True)]),
    ("a part beyond the end", b"abc", {".": {"subset": {"[": 4, "]": 9}}}, [("", b"abc", False)]),
    ("a part of nothing", b"abc", {".": {"subset": {"[": 3, "]": 3}}}, [("", b"", True)]),
    ("a part of a number", 5, {".": {"subset": {"[": 0, "]": 1}}}, [("", 5, False)]),
]  # fmt: skip


def shown(value: Any) -> Any:
    return kind_of(value) if kind_of(value) in ("map", "list") else value


@pytest.mark.parametrize(("name", "data", "selector", "visits"), FIXTURES, ids=[item[0] for item in FIXTURES])
def test_walks_are_those_of_the_specification(
    name: str, data: Any, selector: Any, visits: list[tuple[str, Any, bool]]
) -> None:
    store = MemoryStore()
    root = put_object(store, data)
    found = [
        ("/".join(map(str, visit.path)), shown(visit.value), visit.matched)
        for visit in select(store, root, parse_selector(selector))
    ]
    assert found == visits
    enveloped = parse_selector(json.loads(json.dumps({"selector": selector})))
    assert enveloped == parse_selector(selector)


def test_labels_are_reported() -> None:
    store = MemoryStore()
    root = put_object(store, [1])
    selector = parse_selector({"|": [{".": {"label": "outer"}}, {"a": {">": {".": {"label": "inner"}}}}]})
    assert [visit.label for visit in select(store, root, selector)] == ["outer", "inner"]


def tree(store: MemoryStore, depth: int) -> Cid:
    """Store lists of two links to the same block, `depth` deep: 2^depth paths through depth + 1 blocks."""
    cid = put_object(store, "leaf")
    for _ in range(depth):
        cid = put_object(store, [link(cid), link(cid)])
    return cid


def test_links_are_followed_and_their_blocks_covered_once() -> None:
    store = MemoryStore()
    raw = cid_of(b"raw", RAW)
    store.put(raw, b"raw")
    inner = put_object(store, {"raw": link(raw)})
    root = put_object(store, [link(inner), link(inner), 5])
    visits = list(select(store, root, EVERYTHING))
    assert [(visit.path, shown(visit.value)) for visit in visits] == [
        ((), "list"), ((0,), "map"), ((0, "raw"), b"raw"), ((1,), "map"), ((1, "raw"), b"raw"), ((2,), 5),
    ]  # fmt: skip
    assert [cid for cid, _ in selected_blocks(store, root, EVERYTHING)] == [root, inner, raw]


def test_selector_walk_is_limited_and_cover_skips_repeated_paths() -> None:
    store = MemoryStore()
    root = tree(store, 40)  # 2^40 paths
    with pytest.raises(SelectorError, match="the walk visits more than"):
        for _ in select(store, root, EVERYTHING, most=5000):
            pass
    assert {cid for cid, _ in selected_blocks(store, root, EVERYTHING, limit=5000)} == reachable(store, [root])
    with pytest.raises(SelectorError, match="the walk visits more than"):
        list(selected_blocks(store, root, EVERYTHING, limit=10))


@pytest.mark.slow
def test_a_very_deep_chain_is_walked() -> None:
    store = MemoryStore()
    root = put_object(store, 0)
    for _ in range(5000):
        root = put_object(store, [link(root)])
    assert sum(1 for _ in select(store, root, EVERYTHING)) == 5001


def test_blocks_that_lead_to_themselves_end_at_the_limit() -> None:
    store = MemoryStore()  # stored under a wrong CID, since a real cycle requires a hash collision
    cid = cid_of(b"itself")
    store.put(cid, encode([link(cid)]))
    with pytest.raises(SelectorError, match="the walk visits more than"):
        list(select(store, cid, EVERYTHING, most=100))
    assert [found for found, _ in selected_blocks(store, cid, EVERYTHING)] == [cid]


def test_multi_edge_recursion_selector_does_not_grow() -> None:
    """Two edges per child once doubled the selector at every level: 2^200 here."""
    below: dict[str, Any] = {"a": {">": {"@": {}}}}
    selector = parse_selector({"R": {"l": {"none": {}}, ":>": {"|": [MATCH, below, {"|": [below, below]}]}}})
    data: Any = "leaf"
    for _ in range(200):
        data = [data]
    store = MemoryStore()
    visits = [*select(store, put_object(store, data), selector)]
    assert [len(visit.path) for visit in visits if visit.matched] == [*range(201)]


def test_a_recursion_stops_at_a_link() -> None:
    store = MemoryStore()
    chain = [put_object(store, ["genesis"])]
    for number in range(5):
        chain.append(put_object(store, [number, link(chain[-1])]))
    stop = {"l": {"none": {}}, ":>": {"a": {">": {"@": {}}}}, "!": {"/": link(chain[2])}}
    assert [cid for cid, _ in selected_blocks(store, chain[5], parse_selector({"R": stop}))] == chain[:2:-1]


def test_a_missing_block_is_an_error() -> None:
    store = MemoryStore()
    root = put_object(store, [link(cid_of(b"missing", RAW))])
    with pytest.raises(BlockNotFound):
        list(select(store, root, EVERYTHING))


def test_selector_opens_adl_layouts_and_covers_path_proof() -> None:
    store = MemoryStore()
    sectors = Amt(store, None, 5)
    for index in range(500):
        sectors.set(index, [index])
    miner = put_object(store, {"sectors": link(sectors.flush())})
    actors = Hamt(store)
    for number in range(300):
        actors.set(bytes([0, number % 256, number // 256]), [link(miner if number == 7 else cid_of(b"")), number])
    root = put_object(store, [5, link(actors.flush())])
    within = {"f": {"f>": {"sectors": {"~": {"as": "AMT", ">": {"r": {"^": 3, "$": 5, ">": MATCH}}}}}}}
    actor = {"f": {"f>": {"000700": {"i": {"i": 0, ">": within}}, "00ffff": MATCH, "zz": MATCH}}}
    selector = parse_selector({"i": {"i": 1, ">": {"~": {"as": "HAMT5", ">": actor}}}})
    visits = list(select(store, root, selector))
    assert [visit.path for visit in visits if visit.matched] == [
        (1, "000700", 0, "sectors", 3),
        (1, "000700", 0, "sectors", 4),
    ]
    assert [visit.value for visit in visits if visit.matched] == [[3], [4]]
    assert {visit.path: visit.value for visit in visits}[(1,)] is None
    parts = {cid for cid, _ in selected_blocks(store, root, selector)}
    assert {cid for cid, _ in prove(store, root, Path.parse("1/HAMT5:0x000700/0/sectors/AMT:4"))} <= parts
    named = parse_selector({"i": {"i": 1, ">": {"~": {"as": "HAMT5", ">": {"a": {">": MATCH}}}}}})
    with pytest.raises(BlockNotFound):  # every actor is matched, and the block of its second link is missing
        list(select(store, root, parse_selector({"i": {"i": 1, ">": {"~": {"as": "HAMT5", ">": {"a": {">": {"a": {
            ">": MATCH}}}}}}}})))  # fmt: skip
    assert sum(visit.matched for visit in select(store, root, named)) == 300


def test_a_layout_begins_at_a_block() -> None:
    store = MemoryStore()
    root = put_object(store, [[1]])
    with pytest.raises(SelectorError, match="must start at the root of a block"):
        list(select(store, root, parse_selector({"i": {"i": 0, ">": {"~": {"as": "AMT", ">": MATCH}}}})))


def nested(depth: int) -> Any:
    selector: Any = MATCH
    for _ in range(depth):
        selector = {"a": {">": selector}}
    return selector


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "must be a map with one entry"),
        ({}, "must be a map with one entry"),
        ({".": {}, "a": {}}, "must be a map with one entry"),
        ({"x": {}}, "unknown clause 'x'"),
        ({"&": {"&": {}, ">": MATCH}}, "unknown clause '&'"),
        ({".": []}, "must be a map"),
        ({".": {"onlyIf": {}}}, "unknown entry 'onlyIf'"),
        ({".": {"label": 5}}, "'label' of the clause '.' must be string, not int"),
        ({".": {"subset": {"[": 1}}}, "two integer offsets"),
        ({"a": {}}, "requires '>'"),
        ({"a": {">": 5}}, "must be map, not int"),
        ({"f": {"f>": {"a": 5}}}, "must be a map with one entry"),
        ({"i": {"i": "0", ">": MATCH}}, "must be int, not string"),
        ({"i": {"i": -1, ">": MATCH}}, "-1 is not a valid index"),
        ({"r": {"^": 3, "$": 3, ">": MATCH}}, "invalid range from 3 to 3"),
        ({"r": {"^": -1, "$": 3, ">": MATCH}}, "invalid range from -1 to 3"),
        ({"|": []}, "a nonempty list of clauses"),
        ({"@": {}}, "edge outside a recursion"),
        ({"R": {"l": {"none": {}}, ":>": MATCH}}, "a recursion must contain an edge"),
        ({"R": {"l": {}, ":>": {"@": {}}}}, "the limit of a recursion"),
        ({"R": {"l": {"depth": -1}, ":>": {"@": {}}}}, "the limit of a recursion"),
        ({"R": {"l": {"depth": True}, ":>": {"@": {}}}}, "the limit of a recursion"),
        ({"R": {"l": {"none": {}}, ":>": {"@": {}}, "!": {"%": "map"}}}, "unsupported stop condition"),
        ({"~": {"as": "unixfs", ">": MATCH}}, "unknown layout 'unixfs'"),
        (nested(10_000), "deeper than 64 levels"),
    ],
)
def test_invalid_selector_raises(data: Any, said: str) -> None:
    with pytest.raises(SelectorError, match=said):
        parse_selector(data)


CLAUSES = st.recursive(
    st.sampled_from([MATCH, {"@": {}}]),
    lambda inner: (
        st.builds(lambda next: {"a": {">": next}}, inner)
        | st.builds(lambda next: {"f": {"f>": {"a": next, "0": next}}}, inner)
        | st.builds(lambda next, at: {"i": {"i": at, ">": next}}, inner, st.integers(0, 2))
        | st.builds(lambda members: {"|": members}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda next, depth: {"R": {"l": {"depth": depth}, ":>": next}}, inner, st.integers(0, 4))
        | st.builds(lambda next: {"R": {"l": {"none": {}}, ":>": next}}, inner)
    ),
    max_leaves=6,
)
DATA = st.recursive(
    st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab0"), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@given(CLAUSES, DATA)
@settings(max_examples=samples(300), deadline=None)
def test_any_selector_terminates_and_visits_only_existing_data(clauses: Any, data: Any) -> None:
    store = MemoryStore()
    root = put_object(store, [data, link(put_object(store, data))])
    try:
        selector = parse_selector(clauses)
    except SelectorError:
        return
    for visit in select(store, root, selector):
        value: Any = [data, data]
        for segment in visit.path:
            value = value[segment]
        assert visit.value == value or not visit.path  # the root has a link instead of the linked value


EVERYTHING: Final[Selector] = parse_selector({"R": {"l": {"none": {}}, ":>": {"a": {">": {"@": {}}}}}})
"""Selector of every node below the root, through every link."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A visited node, whether it was matched, and its label; the value is the matched part."""

    path: tuple[Segment, ...]
    value: Any
    matched: bool
    label: str | None


def select(store: Blockstore, root: Cid, selector: Selector, most: int = MAX_NODES) -> Iterator[Selected]:
    for visit in walk(store, root, selector, most):
        matcher, value = _matcher(visit.selector), visit.value
        if matcher is not None and matcher.subset is not None:
            value = _slice(visit.value, matcher.subset)
            if value is None:
                matcher, value = None, visit.value
        yield Selected(visit.path, value, matcher is not None, None if matcher is None else matcher.label)


def _matcher(selector: Selector) -> Matcher | None:
    """Return the matcher that applies to a node, or None."""
    match selector:
        case Matcher():
            return selector
        case Recursive(current=current):
            return _matcher(current)
        case AnyOf(members):
            return next((found for member in members if (found := _matcher(member)) is not None), None)
        case _:
            return None


def _slice(value: Any, subset: tuple[int, int]) -> Any:
    """Return the part of a string or of bytes that a subset selects, or None if it is out of range."""
    if not isinstance(value, str | bytes):
        return None
    start, end = (offset + len(value) if offset < 0 else offset for offset in subset)
    start = max(start, 0)
    return None if start > len(value) or end < start else value[start:end]
