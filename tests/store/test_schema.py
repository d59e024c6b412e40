"""Data by schema: accepted and rejected data for each representation, error paths, and writing as the inverse."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.cid import RAW, cid_of
from store.codec import link
from store.schema import Record, Schema, SchemaError
from tests.conftest import samples

CID = link(cid_of(b"x", RAW))

SCHEMA = Schema.parse("""
type Foo struct { froz Bool }
type Bar struct { bral String }
type Text string
type Key bytes
type Bls bytes
type Number int
type Renamed struct { a Int (rename "x") b optional Bool c Int (implicit 7) d nullable String }
type Maybe struct { both optional nullable Int }
type Pair struct { first Int second Text } representation tuple
type Swapped struct { first Int second Text } representation tuple { fieldOrder ["second", "first"] }
type Joined struct { host Text port Int open Bool } representation stringjoin { join ":" }
type Pairs struct { a Int b optional Text } representation stringpairs { innerDelim "=" entryDelim "," }
type Listed struct { a Int b optional Text } representation listpairs
type Counts {Text:Int}
type TextCounts {String:Int} representation stringpairs { innerDelim "=" entryDelim ";" }
type ListCounts {String:nullable Int} representation listpairs
type Colour enum { | Red ("r") | Green }
type Level enum { | Low ("0") | High ("9") } representation int
type ByColour {Colour:Int}
type Inline union { | Foo "foo" | Bar "bar" } representation inline { discriminantKey "tag" }
type Keyed union { | Number "n" | &Foo "l" } representation keyed
type Envelope union { | Number "n" | Text "t" } representation envelope { discriminantKey "is" contentKey "what" }
type Kinded union { | Number int | Foo map | &Foo link | Text string } representation kinded
type Prefixed union { | Text "t:" | Colour "c:" } representation stringprefix
type Signature union { | Key "00" | Bls "01" } representation bytesprefix
type Nothing unit representation null
type Marker unit representation emptymap
type Yes unit representation true
type Tree struct { value Int below [Tree] }
type Copied = Pair
""")

# type, data, value: from the specification's examples where there is one
GOOD: list[tuple[str, Any, Any]] = [
    ("Bool", True, True),
    ("Int", -(2**63), -(2**63)),
    ("Float", 1.5, 1.5),
    ("String", "a", "a"),
    ("Bytes", b"a", b"a"),
    ("Link", CID, CID),
    ("Any", {"a": [None, 1.5, CID]}, {"a": [None, 1.5, CID]}),
    ("List", [1, "a"], [1, "a"]),
    ("Map", {"a": 1}, {"a": 1}),
    ("Null", None, None),
    ("Renamed", {"x": 1, "b": True, "c": 8, "d": "e"}, {"a": 1, "b": True, "c": 8, "d": "e"}),
    ("Renamed", {"x": 1, "d": None}, {"a": 1, "b": None, "c": 7, "d": None}),
    ("Maybe", {}, {}),
    ("Maybe", {"both": None}, {"both": None}),
    ("Maybe", {"both": 1}, {"both": 1}),
    ("Pair", [1, "a"], {"first": 1, "second": "a"}),
    ("Swapped", ["a", 1], {"first": 1, "second": "a"}),
    ("Copied", [1, "a"], {"first": 1, "second": "a"}),
    ("Joined", "localhost:80:true", {"host": "localhost", "port": 80, "open": True}),
    ("Joined", "1:-2:false", {"host": "1", "port": -2, "open": False}),
    ("Pairs", "a=1,b=x", {"a": 1, "b": "x"}),
    ("Pairs", "a=1", {"a": 1, "b": None}),
    ("Listed", [["a", 1], ["b", "x"]], {"a": 1, "b": "x"}),
    ("Counts", {"a": 1}, {"a": 1}),
    ("TextCounts", "a=1;b=2", {"a": 1, "b": 2}),
    ("TextCounts", "", {}),
    ("ListCounts", [["a", 1], ["b", None]], {"a": 1, "b": None}),
    ("Colour", "r", "Red"),
    ("Colour", "Green", "Green"),
    ("Level", 9, "High"),
    ("ByColour", {"r": 1, "Green": 2}, {"Red": 1, "Green": 2}),
    ("Inline", {"tag": "foo", "froz": True}, {"Foo": {"froz": True}}),
    ("Inline", {"tag": "bar", "bral": "zot"}, {"Bar": {"bral": "zot"}}),
    ("Keyed", {"n": 5}, {"Number": 5}),
    ("Keyed", {"l": CID}, {"&Foo": CID}),
    ("Envelope", {"is": "n", "what": 5}, {"Number": 5}),
    ("Envelope", {"is": "t", "what": "5"}, {"Text": "5"}),
    ("Kinded", 5, {"Number": 5}),
    ("Kinded", {"froz": False}, {"Foo": {"froz": False}}),
    ("Kinded", CID, {"&Foo": CID}),
    ("Prefixed", "t:c:r", {"Text": "c:r"}),
    ("Prefixed", "c:r", {"Colour": "Red"}),
    ("Signature", b"\x01abc", {"Bls": b"abc"}),
    ("Nothing", None, None),
    ("Marker", {}, None),
    ("Yes", True, None),
    ("Tree", {"value": 1, "below": [{"value": 2, "below": []}]}, {"value": 1, "below": [{"value": 2, "below": []}]}),
]


@pytest.mark.parametrize(("name", "data", "value"), GOOD)
def test_data_are_read_as_values_and_values_written_as_data(name: str, data: Any, value: Any) -> None:
    assert SCHEMA.read(name, data) == value
    written = SCHEMA.write(name, value)
    assert written == data
    assert type(written) is type(data)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("Int", True, "expected an integer, found a bool"),
        ("Int", 1.0, "expected an integer, found a float"),
        ("Float", 1, "expected a float, found an integer"),
        ("Bool", 1, "expected a bool, found an integer"),
        ("String", b"a", "expected a string, found bytes"),
        ("Bytes", "a", "expected bytes, found a string"),
        ("Link", b"\x00\x01", "expected a link, found bytes"),
        ("Map", [], "expected a map, found a list"),
        ("List", {}, "expected a list, found a map"),
        ("Null", False, "expected null, found a bool"),
        ("Marker", {"a": 1}, "expected emptymap"),
        ("Yes", 1, "expected true"),
        ("Renamed", {"x": 1}, "the field d is missing"),
        ("Renamed", {"a": 1, "d": None}, "unknown field 'a'"),
        ("Renamed", {"x": 1, "d": None, "c": 7}, "c: the implicit value must be omitted"),
        ("Renamed", {"x": 1, "d": None, "b": None}, "b: expected a bool, found null"),
        ("Pair", [1], "expected a list of 2 values, found 1"),
        ("Pair", {"first": 1, "second": "a"}, "expected a list of 2 values, found a map"),
        ("Pair", [1, 2], "second: expected a string"),
        ("Joined", "localhost:80", "expected a list of 3 values, found 2"),
        ("Joined", "localhost:08:true", "port: '08' is not a valid text form"),
        ("Joined", 5, "expected a string"),
        ("Pairs", "a", "'a' has no '='"),
        ("Pairs", "a=1,a=2", "duplicate key"),
        ("Pairs", "b=1", "the field a is missing"),
        ("Listed", [["a"]], "0: expected [key, value]"),
        ("Listed", [["a", 1], ["a", 1]], "duplicate key"),
        ("ListCounts", [["a", 1], ["a", 1]], "a: duplicate key"),
        ("Colour", "Red", "'Red' is none of 'r', 'Green'"),
        ("Level", True, "True is none of 0, 9"),
        ("ByColour", {"x": 1}, "x: 'x' is none of"),
        ("Inline", {"froz": True}, "the key 'tag' is missing"),
        ("Inline", {"tag": "foo"}, "the field froz is missing"),
        ("Inline", {"tag": "foo", "bral": "zot"}, "unknown field 'bral'"),
        ("Inline", {"tag": ["foo"], "froz": True}, "is none of 'foo', 'bar'"),
        ("Keyed", {}, "expected a map of one entry, found 0"),
        ("Keyed", {"n": 1, "l": CID}, "expected a map of one entry, found 2"),
        ("Keyed", {"x": 1}, "'x' is none of 'n', 'l'"),
        ("Keyed", {"n": "1"}, "n: expected an integer"),
        ("Envelope", {"is": "n"}, "expected a map with the keys 'is' and 'what'"),
        ("Envelope", {"is": "n", "what": "5"}, "what: expected an integer"),
        ("Kinded", [], "expected an integer or a map or a link or a string, found a list"),
        ("Prefixed", "x:1", "has none of the prefixes"),
        ("Prefixed", "c:x", "'x' is none of"),
        ("Signature", b"\x02", "has none of the prefixes"),
        ("Tree", {"value": 1, "below": [{"value": 2, "below": [{"value": "3", "below": []}]}]},
         "below/0/below/0/value: expected an integer, found a string"),
        ("Absent", 1, "the schema has no type Absent"),
    ],
)  # fmt: skip
def test_other_data_are_refused_with_the_path(name: str, data: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)):
        SCHEMA.read(name, data)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Pair", {"first": 1}, "the field second is missing"),
        ("Pair", {"first": 1, "second": "a", "third": 1}, "unknown field 'third': expected one of first, second"),
        ("Pair", [1, "a"], "expected a map, found list"),
        ("List", "ab", "expected a list, found str"),
        ("Tree", {"value": 1, "below": [{"value": 1}]}, "below/0: the field below is missing"),
        ("Colour", "r", "'r' is none of Red, Green"),
        ("Keyed", {}, "expected a map with one of Number, &Foo"),
        ("Keyed", {"Number": "1"}, "Number: expected an integer"),
        ("Nothing", 1, "the only value of a unit is None"),
        ("Joined", {"host": "a:b", "port": 1, "open": True}, "'a:b' contains ':'"),
        ("Pairs", {"a": 1, "b": "x,y"}, "'x,y' contains ','"),
        ("TextCounts", {"a=": 1}, "'a=' contains '='"),
        ("Absent", 1, "the schema has no type Absent"),
    ],
)
def test_other_values_are_refused_with_the_path(name: str, value: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(said)):
        SCHEMA.write(name, value)


def test_records_are_views_by_name() -> None:
    pair = SCHEMA.read("Pair", [1, "a"])
    assert isinstance(pair, Record)
    assert (pair.first, pair["second"]) == (1, "a")
    with pytest.raises(AttributeError, match="third"):
        _ = pair.third
    assert SCHEMA.read("Inline", {"tag": "foo", "froz": True}).Foo.froz is True


DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from([1.5, "foo", "t:a", "a=1", b"\x00", CID])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["n", "l", "tag", "froz", "a", "b", "is", "what", "value", "below"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.sampled_from(sorted(SCHEMA.types)), DATA)
@settings(max_examples=samples(400), deadline=None)
def test_accepted_data_round_trips_and_only_schema_errors_occur(name: str, data: Any) -> None:
    try:
        value = SCHEMA.read(name, data)
    except SchemaError:
        return
    assert SCHEMA.write(name, value) == data
