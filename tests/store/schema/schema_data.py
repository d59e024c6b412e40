"""Schemas as data (the DMT of the specification), in which the specification's examples state the parsed types."""

from typing import Any

from store.schema import Schema
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


def schema_data(schema: Schema) -> dict[str, Any]:
    """Return the data model form of a schema."""
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
