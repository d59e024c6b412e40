"""IPLD schemas.

- The schema language: declarations and their data model form from the specification, and invalid schemas.
- Schemas as data (the DMT of the specification), in which the specification's examples state the parsed types.
- Data by schema: accepted and rejected data for each representation, error paths, and writing as the inverse.
"""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.cid import RAW, cid_of
from store.codec import link
from store.schema import Record, Schema, SchemaError
from store.schema.types import (
    Advanced,
    Bytes,
    Copy,
    Enum,
    Envelope,
    Inline,
    Keyed,
    Kinded,
    Link,
    List,
    ListPairs,
    Map,
    Prefix,
    Simple,
    StringJoin,
    StringPairs,
    Struct,
    StructMap,
    Term,
    Tuple,
    Type,
    Union,
    Unit,
)
from tests.conftest import samples

# Texts and their types as data, from https://ipld.io/specs/schemas/ and the schema-schema.
DECLARATIONS: list[tuple[str, str]] = [
    ("type A bool", '{"A": {"bool": {}}}'),
    ("type A int type B float type C string type D any type E bytes",
     '{"A": {"int": {}}, "B": {"float": {}}, "C": {"string": {}}, "D": {"any": {}}, "E": {"bytes": {}}}'),
    ("type A &Any", '{"A": {"link": {"expectedType": "Any"}}}'),
    ("type A [nullable String]", '{"A": {"list": {"valueType": "String", "valueNullable": true}}}'),
    ("type A {String:nullable &A}",
     '{"A": {"map": {"keyType": "String", "valueType": {"link": {"expectedType": "A"}}, "valueNullable": true}}}'),
    ("type A [[{String:[Bytes]}]]",
     '{"A": {"list": {"valueType": {"list": {"valueType": {"map": {"keyType": "String", "valueType": {"list":'
     ' {"valueType": "Bytes"}}}}}}}}}'),
    ("type A {String:String} representation listpairs",
     '{"A": {"map": {"keyType": "String", "valueType": "String", "representation": {"listpairs": {}}}}}'),
    ('type A {String:Int} representation stringpairs { innerDelim "=" entryDelim "," }',
     '{"A": {"map": {"keyType": "String", "valueType": "Int", "representation": {"stringpairs":'
     ' {"innerDelim": "=", "entryDelim": ","}}}}}'),
    ("type A struct {}", '{"A": {"struct": {"fields": {}, "representation": {"map": {}}}}}'),
    ('type A struct {\n f optional Int # a comment\n g nullable [Int]\n h Int (rename "H" implicit 7)\n}',
     '{"A": {"struct": {"fields": {"f": {"type": "Int", "optional": true}, "g": {"type": {"list": {"valueType":'
     ' "Int"}}, "nullable": true}, "h": {"type": "Int"}}, "representation": {"map": {"fields": {"h": {"rename":'
     ' "H", "implicit": 7}}}}}}}'),
    ("type A struct { optional optional Bool type Int representation String } representation map",
     '{"A": {"struct": {"fields": {"optional": {"type": "Bool", "optional": true}, "type": {"type": "Int"},'
     ' "representation": {"type": "String"}}, "representation": {"map": {}}}}}'),
    ("type A struct { a Int } representation tuple",
     '{"A": {"struct": {"fields": {"a": {"type": "Int"}}, "representation": {"tuple": {}}}}}'),
    ('type A struct { a Int b Int } representation tuple { fieldOrder ["b", "a"] }',
     '{"A": {"struct": {"fields": {"a": {"type": "Int"}, "b": {"type": "Int"}}, "representation": {"tuple":'
     ' {"fieldOrder": ["b", "a"]}}}}}'),
    ('type A struct { a Int } representation stringjoin { join ":" }',
     '{"A": {"struct": {"fields": {"a": {"type": "Int"}}, "representation": {"stringjoin": {"join": ":"}}}}}'),
    ("type A struct { a Int } representation listpairs",
     '{"A": {"struct": {"fields": {"a": {"type": "Int"}}, "representation": {"listpairs": {}}}}}'),
    ('type A enum { | Foo ("f") | Bar }',
     '{"A": {"enum": {"members": ["Foo", "Bar"], "representation": {"string": {"Foo": "f"}}}}}'),
    ('type A enum { | Foo ("0") | Bar ("100") } representation int',
     '{"A": {"enum": {"members": ["Foo", "Bar"], "representation": {"int": {"Foo": 0, "Bar": 100}}}}}'),
    ('type A union { | Int "i" | &Bytes "b" } representation keyed',
     '{"A": {"union": {"members": ["Int", {"link": {"expectedType": "Bytes"}}], "representation": {"keyed":'
     ' {"i": "Int", "b": {"link": {"expectedType": "Bytes"}}}}}}}'),
    ("type A union { | Int int | &Any link } representation kinded",
     '{"A": {"union": {"members": ["Int", {"link": {"expectedType": "Any"}}], "representation": {"kinded":'
     ' {"int": "Int", "link": {"link": {"expectedType": "Any"}}}}}}}'),
    ('type A union { | Int "i" } representation envelope { discriminantKey "tag" contentKey "is" }',
     '{"A": {"union": {"members": ["Int"], "representation": {"envelope": {"discriminantKey": "tag", "contentKey":'
     ' "is", "discriminantTable": {"i": "Int"}}}}}}'),
    ('type S struct {} type A union { | S "s" } representation inline { discriminantKey "tag" }',
     '{"S": {"struct": {"fields": {}, "representation": {"map": {}}}}, "A": {"union": {"members": ["S"],'
     ' "representation": {"inline": {"discriminantKey": "tag", "discriminantTable": {"s": "S"}}}}}}'),
    ('type A union { | String "s:" } representation stringprefix',
     '{"A": {"union": {"members": ["String"], "representation": {"stringprefix": {"prefixes": {"s:": "String"}}}}}}'),
    ('type A union { | Bytes "0A" } representation bytesprefix',
     '{"A": {"union": {"members": ["Bytes"], "representation": {"bytesprefix": {"prefixes": {"0A": "Bytes"}}}}}}'),
    ("type A unit representation emptymap", '{"A": {"unit": {"representation": "emptymap"}}}'),
    ("type B {String:Any} type A = B",
     '{"B": {"map": {"keyType": "String", "valueType": "Any"}}, "A": {"copy": {"fromType": "B"}}}'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "described"), DECLARATIONS)
def test_a_declaration_is_described_as_the_specification_does(text: str, described: str) -> None:
    assert schema_data(Schema.parse(text)) == {"types": json.loads(described)}


def test_advanced_layouts_are_declared_and_used() -> None:
    text = """
    advanced ShardedMap
    type Big bytes representation advanced ShardedMap
    type Sharded {String:&Big} representation advanced ShardedMap
    type Long [&Big] representation advanced ShardedMap
    """
    described = schema_data(Schema.parse(text))
    assert described["advanced"] == {"ShardedMap": {"advanced": {}}}
    assert described["types"]["Sharded"]["map"]["representation"] == {"advanced": "ShardedMap"}
    assert described["types"]["Big"] == {"bytes": {"representation": {"advanced": "ShardedMap"}}}
    assert described["types"]["Long"]["list"]["representation"] == {"advanced": "ShardedMap"}


# The part of the schema-schema that describes the types used here: a schema of schemas in its own language.
SELF = """
type Schema struct { types {TypeName:TypeDefn} }
type TypeName string
type TypeDefn union {
    | Empty "bool" | Empty "string" | Empty "int" | TypeDefnMap "map" | TypeDefnList "list" | TypeDefnLink "link"
    | TypeDefnUnion "union" | TypeDefnStruct "struct"
} representation keyed
type Empty struct {}
type TypeDefnMap struct { keyType TypeName valueType TypeNameOrInlineDefn valueNullable Bool (implicit false) }
type TypeDefnList struct { valueType TypeNameOrInlineDefn valueNullable Bool (implicit false) }
type TypeDefnLink struct { expectedType TypeName (implicit "Any") }
type TypeDefnUnion struct { members [UnionMember] representation UnionRepresentation }
type UnionMember union { | TypeName string | UnionMemberInlineDefn map } representation kinded
type UnionMemberInlineDefn union { | TypeDefnLink "link" } representation keyed
type UnionRepresentation union { | ByKind "kinded" | ByKey "keyed" } representation keyed
type ByKind {String:UnionMember}
type ByKey {String:UnionMember}
type TypeDefnStruct struct { fields {String:StructField} representation StructRepresentation }
type StructField struct {
    type TypeNameOrInlineDefn
    optional Bool (implicit false)
    nullable Bool (implicit false)
}
type TypeNameOrInlineDefn union { | TypeName string | InlineDefn map } representation kinded
type InlineDefn union { | TypeDefnMap "map" | TypeDefnList "list" | TypeDefnLink "link" } representation keyed
type StructRepresentation union { | StructMap "map" } representation keyed
type StructMap struct { fields optional {String:FieldDetails} }
type FieldDetails struct { rename optional String implicit optional AnyScalar }
type AnyScalar union { | Bool bool | String string | Int int } representation kinded
"""


def test_a_schema_of_schemas_reads_and_writes_itself() -> None:
    text = SELF.replace('| Empty "bool" | Empty "string" | Empty "int"', '| Empty "string"')
    schema = Schema.parse(text)
    described = schema_data(schema)
    value = schema.read("Schema", described)
    assert value.types["Empty"].TypeDefnStruct.fields == {}
    assert schema.write("Schema", value) == described


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("typ A int", "line 1: expected 'type', found 'typ'"),
        ("type A", "line 1: expected a kind of type, found 'the end'"),
        ("type A number", "line 1: expected a kind of type, found 'number'"),
        ("type A int\n\ntype A bool", "line 3: A is declared twice"),
        ("advanced A\nadvanced A", "line 2: A is declared twice"),
        ("type A struct { a Int\n a Int }", "line 2: the field a is declared twice"),
        ("type A struct { a Int (default 3) }", "expected 'rename' or 'implicit'"),
        ("type A struct { a Int", "expected the name of a field, found 'the end'"),
        ("type A struct { a Int (implicit yes) }", "expected a value, found 'yes'"),
        ("type A struct { a Int (implicit 0) } representation tuple", "rename and implicit require"),
        ("type A struct { a Int } representation list", "structs have no representation 'list'"),
        ("type A struct { a Int } representation stringjoin", "requires join"),
        ('type A struct { a Int } representation tuple { fieldOrder "a" }', "fieldOrder must be a list"),
        ('type A struct { a Int } representation tuple { order ["a"] }', "expected one of fieldOrder"),
        ("type A {String:Int} representation tuple", "maps have no representation 'tuple'"),
        ("type A bytes representation string", "have no representation 'string'"),
        ("type A union { | Int int }", "expected 'representation'"),
        ("type A union { | Int int } representation tagged", "unions have no representation 'tagged'"),
        ('type A union { | Int "a" | Bool "a" } representation keyed', "duplicate discriminant 'a'"),
        ("type A union { | Int } representation keyed", "expected a discriminant"),
        ("type A unit", "expected 'representation'"),
        ("type A unit representation nothing", "units have no representation 'nothing'"),
        ("type A enum { | B | B }", "duplicate member B"),
        ("type A enum { | B } representation int", "a number for each member"),
        ('type A enum { | B ("x") } representation int', "a number for each member"),
        ("type A enum { | B } representation float", "enums have no representation 'float'"),
        ("type A [Int", "expected ']'"),
        ("type A {Int}", "expected ':'"),
        ("type A = [Int]", "expected the name of a type"),
        ("type A int;", "unexpected character ';'"),
        ('type A union { | Int "\\x" } representation keyed', "unknown escape"),
        ("type A " + "[" * 10_000 + "Int" + "]" * 10_000, "deeper than 64 levels"),
    ],
)  # fmt: skip
def test_invalid_schema_error_names_line(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said.replace("[", r"\[").replace("(", r"\(")):
        Schema.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type A [B]", "A: undeclared type B"),
        ("type A &B", "A: undeclared type B"),
        ("type A = B", "A: undeclared type B"),
        ("type A = B\ntype B = C", "B: undeclared type C"),
        ("type A [Int] representation advanced X", "A: undeclared advanced layout X"),
        ("type A = B type B = A", "A: the type contains itself"),
        ("type A struct { a A }", "contains itself"),
        ("type A union { | B map } representation kinded type B union { | A map } representation kinded", "contains"),
        ("type A {Int:Int}", "map keys must be"),
        ('type A {String:[Int]} representation stringpairs { innerDelim "=" entryDelim "," }', "the values must be"),
        ('type A struct { a Int (rename "b") b Int }', "two fields have the same key"),
        ("type A struct { a optional Int } representation tuple", "cannot have optional fields"),
        ('type A struct { a Int b Int } representation tuple { fieldOrder ["a"] }', "must name each"),
        ('type A struct { a [Int] } representation stringjoin { join ":" }', "the field a must be"),
        ('type A struct { a nullable Int } representation stringjoin { join ":" }', "cannot be nullable"),
        ('type A struct { a Int } representation stringjoin { join "" }', "must not be empty"),
        ('type A struct { a Int } representation stringpairs { innerDelim "" entryDelim "," }', "must not be empty"),
        ('type A {String:Int} representation stringpairs { innerDelim "=" entryDelim "" }', "must not be empty"),
        ("type A enum {}", "an enum must have members"),
        ('type A enum { | B ("x") | C ("x") }', "distinct values"),
        ("type A union {} representation keyed", "a union must have members"),
        ("type A union { | Int string } representation kinded", "the member Int is never of the kind string"),
        ("type A union { | Int number } representation kinded", "'number' is not a data model kind"),
        ('type A union { | Int "i:" } representation stringprefix', "not represented by a string"),
        ('type A union { | Bytes "0a" } representation bytesprefix', "upper-case hexadecimal"),
        ('type A union { | String "a" | String "ab" } representation stringprefix', "a prefix of another one"),
        ('type A union { | Map "m" } representation inline { discriminantKey "t" }', "must be a struct"),
        ('type S struct { t Int } type A union { | S "s" } representation inline { discriminantKey "t" }',
         "the discriminant key 't'"),
    ],
)  # fmt: skip
def test_inconsistent_schema_is_refused_naming_the_type(text: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        Schema.parse(text)


def test_types_may_recurse_via_collections_links_and_optionals() -> None:
    schema = Schema.parse("type Tree struct { left optional Tree right nullable Tree up optional &Tree more [Tree] }")
    leaf: dict[str, Any] = {"right": None, "more": []}
    tree = leaf | {"right": leaf, "more": [leaf, leaf | {"left": leaf}]}
    assert schema.write("Tree", schema.read("Tree", tree)) == tree


def schema_data(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {"types": {name: type_dmt(kind) for name, kind in schema.types.items()}}
    if schema.advanced:
        found["advanced"] = {name: {"advanced": {}} for name in schema.advanced}
    return found


def type_dmt(kind: Type) -> dict[str, Any]:
    """Return the data model form of a type."""
    match kind:
        case Simple(name):
            return {name: {}}
        case Bytes(advanced):
            return {"bytes": _advanced(advanced)}
        case Copy(source):
            return {"copy": {"fromType": source}}
        case Unit(representation):
            return {"unit": {"representation": representation}}
        case Map() | List() | Link():
            return _inline(kind)
        case Enum():
            values = {"int" if kind.integers else "string": dict(kind.values)}
            return {"enum": {"members": list(kind.members), "representation": values}}
        case Struct():
            return {"struct": _struct(kind)}
        case Union():
            return {"union": _union(kind)}


def _advanced(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"representation": {"advanced": name}}


def _term(term: Term) -> Any:
    return term if isinstance(term, str) else _inline(term)


def _inline(term: Map | List | Link) -> dict[str, Any]:
    match term:
        case Link(expected):
            return {"link": {"expectedType": expected}}
        case List(value, nullable, advanced):
            return {"list": {"valueType": _term(value), **_nullable(nullable), **_advanced(advanced)}}
        case Map(key, value, nullable, representation):
            described = {"keyType": key, "valueType": _term(value), **_nullable(nullable)}
            if representation is not None:
                described["representation"] = _pairs(representation)
            return {"map": described}


def _nullable(nullable: bool) -> dict[str, Any]:
    return {"valueNullable": True} if nullable else {}


def _pairs(representation: StringPairs | ListPairs | Advanced) -> dict[str, Any]:
    match representation:
        case StringPairs(inner, entry):
            return {"stringpairs": {"innerDelim": inner, "entryDelim": entry}}
        case ListPairs():
            return {"listpairs": {}}
        case Advanced(name):
            return {"advanced": name}


def _struct(struct: Struct) -> dict[str, Any]:
    fields = {
        name: {
            "type": _term(field.type),
            **({"optional": True} if field.optional else {}),
            **({"nullable": True} if field.nullable else {}),
        }
        for name, field in struct.fields.items()
    }
    return {"fields": fields, "representation": _struct_representation(struct)}


def _struct_representation(struct: Struct) -> dict[str, Any]:
    match struct.representation:
        case StructMap(rename, implicit):
            details = {
                name: {
                    **({"rename": rename[name]} if name in rename else {}),
                    **({"implicit": implicit[name]} if name in implicit else {}),
                }
                for name in struct.fields
                if name in rename or name in implicit
            }
            return {"map": {"fields": details} if details else {}}
        case Tuple(order):
            return {"tuple": {} if order is None else {"fieldOrder": list(order)}}
        case StringJoin(join, order):
            return {"stringjoin": {"join": join} if order is None else {"join": join, "fieldOrder": list(order)}}
        case StringPairs() | ListPairs() as pairs:
            return _pairs(pairs)


def _union(union: Union) -> dict[str, Any]:
    members = {discriminant: _term(member) for discriminant, member in union.members.items()}
    match union.representation:
        case Keyed():
            representation: dict[str, Any] = {"keyed": members}
        case Kinded():
            representation = {"kinded": members}
        case Prefix(of_bytes):
            representation = {"bytesprefix" if of_bytes else "stringprefix": {"prefixes": members}}
        case Inline(discriminant):
            representation = {"inline": {"discriminantKey": discriminant, "discriminantTable": members}}
        case Envelope(discriminant, content):
            representation = {
                "envelope": {
                    "discriminantKey": discriminant,
                    "contentKey": content,
                    "discriminantTable": members,
                }
            }
    return {"members": list(members.values()), "representation": representation}


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
