"""The schema language: declarations and their data model form from the specification, and invalid schemas."""

import json
from typing import Any

import pytest

from store.schema import Schema, SchemaError
from tests.store.schema.schema_data import schema_data

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
