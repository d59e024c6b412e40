"""Consistency checks of a schema.

Every name must be declared, every representation must be possible, and a type may refer to itself only through a list,
map, struct or link, so that reading data always terminates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from store.schema.language import KINDS
from store.schema.types import (
    Advanced,
    Bytes,
    Copy,
    Enum,
    Inline,
    Kinded,
    Link,
    List,
    Map,
    Prefix,
    SchemaError,
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

Types = Mapping[str, Type]


def check(types: Types, advanced: tuple[str, ...]) -> None:
    """Raise SchemaError, with the name of the type, if the schema is inconsistent."""
    for step in (_check_names, _check_cycle, _check_type):  # each step relies on the previous ones, for all types
        for name in types:
            try:
                step(types, name)
            except SchemaError as error:
                raise error.below(name) from None
    for name, kind in types.items():
        for layout in _layouts(kind):
            if layout not in advanced:
                raise SchemaError(f"undeclared advanced layout {layout}").below(name)


def resolve(types: Types, term: Term | Type) -> Type:
    """Return the type that a term stands for, following copies."""
    kind = types[term] if isinstance(term, str) else term
    while isinstance(kind, Copy):
        kind = types[kind.source]
    return kind


def kinds_of(types: Types, term: Term) -> frozenset[str]:
    """Return the data model kinds that represent a type; a kinded union has several, `any` has all."""
    kind = resolve(types, term)
    match kind:
        case Simple(name):
            return frozenset(KINDS) if name == "any" else frozenset({name})
        case Bytes(str()) | List(advanced=str()) | Map(representation=Advanced()):
            return frozenset(KINDS)  # the data of an advanced layout is not validated
        case Bytes():
            return frozenset({"bytes"})
        case Link():
            return frozenset({"link"})
        case List():
            return frozenset({"list"})
        case Map(representation=representation) | Struct(representation=representation):
            return frozenset({_kind_of(representation)})
        case Enum():
            return frozenset({"int" if kind.integers else "string"})
        case Unit(representation):
            return frozenset({{"null": "null", "emptymap": "map"}.get(representation, "bool")})
        case Union(members, Kinded()):
            return frozenset(members)
        case Union(_, Prefix(of_bytes)):
            return frozenset({"bytes" if of_bytes else "string"})
        case _:
            return frozenset({"map"})


def _kind_of(representation: object) -> str:
    if representation is None or isinstance(representation, StructMap):
        return "map"
    return "string" if isinstance(representation, StringPairs | StringJoin) else "list"


def _names(kind: Type) -> Iterator[str]:
    """Iterate over the names that a type uses, including the expected types of links."""
    match kind:
        case Copy(source):
            yield source
        case Link(expected):
            yield expected
        case List(value):
            yield from _term_names(value)
        case Map(key, value):
            yield key
            yield from _term_names(value)
        case Struct(fields):
            for field in fields.values():
                yield from _term_names(field.type)
        case Union(members):
            for member in members.values():
                yield from _term_names(member)


def _term_names(term: Term) -> Iterator[str]:
    if isinstance(term, str):
        yield term
    else:
        yield from _names(term)


def _layouts(kind: Type) -> Iterator[str]:
    match kind:
        case Bytes(str(name)) | List(advanced=str(name)) | Map(representation=Advanced(name)):
            yield name


def _check_names(types: Types, name: str) -> None:
    if not name[:1].isalpha():
        raise SchemaError("a type name must begin with a letter")
    for used in _names(types[name]):
        if used not in types:
            raise SchemaError(f"undeclared type {used}")


def _check_cycle(types: Types, name: str) -> None:
    """Raise SchemaError if a type directly contains itself."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop()
        for used in _immediate(types[current]):
            if used == name:
                raise SchemaError("the type contains itself")
            if used not in seen:
                seen.add(used)
                todo.append(used)


def _immediate(kind: Type) -> Iterator[str]:
    """Iterate over the types that are read from the same data as this one, or from its required fields."""
    match kind:
        case Copy(source):
            yield source
        case Union(members, Kinded() | Prefix() | Inline()):
            yield from (member for member in members.values() if isinstance(member, str))
        case Struct(fields):
            yield from (
                field.type
                for field in fields.values()
                if isinstance(field.type, str) and not field.optional and not field.nullable
            )


def _check_type(types: Types, name: str) -> None:
    kind = types[name]
    match kind:
        case Map():
            _check_map(types, kind)
        case Struct():
            _check_struct(types, kind)
        case Enum(members, values):
            represented = [values.get(member, member) for member in members]
            if not members or len(set(represented)) != len(represented):
                raise SchemaError("an enum must have members with distinct values")
        case Union():
            _check_union(types, kind)


def _check_map(types: Types, kind: Map) -> None:
    if isinstance(kind.representation, Advanced):
        return  # the layout defines its keys
    if kinds_of(types, kind.key) != {"string"}:
        raise SchemaError(f"map keys must be represented by strings, which {kind.key} is not")
    if isinstance(kind.representation, StringPairs):
        _check_delimiters(kind.representation)
        _check_text(types, "the values", kind.value)


def _check_delimiters(representation: StringPairs | StringJoin) -> None:
    signs = (
        (representation.join,)
        if isinstance(representation, StringJoin)
        else (representation.inner, representation.entry)
    )
    if not all(signs):
        raise SchemaError("a delimiter must not be empty")


def _check_text(types: Types, what: str, term: Term) -> None:
    if not kinds_of(types, term) <= {"string", "int", "bool"}:
        raise SchemaError(f"{what} must be strings, integers or booleans in a string representation")


def _check_struct(types: Types, kind: Struct) -> None:
    match kind.representation:
        case StructMap(rename):
            keys = [rename.get(name, name) for name in kind.fields]
            if len(set(keys)) != len(keys):
                raise SchemaError("two fields have the same key")
        case Tuple(order) | StringJoin(order=order):
            if any(field.optional for field in kind.fields.values()):
                raise SchemaError("a struct with tuple or stringjoin representation cannot have optional fields")
            if order is not None and sorted(order) != sorted(kind.fields):
                raise SchemaError("fieldOrder must name each field exactly once")
    if isinstance(kind.representation, StringJoin | StringPairs):
        _check_delimiters(kind.representation)
        for name, field in kind.fields.items():
            _check_text(types, f"the field {name}", field.type)
            if field.nullable:
                raise SchemaError(f"the field {name} cannot be nullable in a string representation")


def _check_union(types: Types, kind: Union) -> None:
    if not kind.members:
        raise SchemaError("a union must have members")
    for discriminant, member in kind.members.items():
        kinds = kinds_of(types, member)
        match kind.representation:
            case Kinded():
                if discriminant not in KINDS:
                    raise SchemaError(f"'{discriminant}' is not a data model kind (one of {', '.join(KINDS)})")
                if discriminant not in kinds:
                    raise SchemaError(f"the member {member} is never of the kind {discriminant}")
            case Prefix(of_bytes):
                expected = "bytes" if of_bytes else "string"
                if kinds != {expected}:
                    raise SchemaError(f"the member {member} is not represented by a {expected}")
                if of_bytes and not _is_hex(discriminant):
                    raise SchemaError(f"'{discriminant}' is not bytes in upper-case hexadecimal")
            case Inline(key):
                _check_inline(types, member, key)
    if isinstance(kind.representation, Prefix):
        _check_prefixes(list(kind.members))


def _check_inline(types: Types, member: str | Link, key: str) -> None:
    struct = resolve(types, member)
    if not isinstance(struct, Struct) or not isinstance(struct.representation, StructMap):
        raise SchemaError(f"the member {member} of an inline union must be a struct with map representation")
    if key in {struct.representation.rename.get(name, name) for name in struct.fields}:
        raise SchemaError(f"the member {member} has a field with the discriminant key '{key}'")


def _check_prefixes(prefixes: list[str]) -> None:
    for prefix in prefixes:
        if not prefix or any(other != prefix and other.startswith(prefix) for other in prefixes):
            raise SchemaError(f"the prefix '{prefix}' is empty or a prefix of another one")


def _is_hex(text: str) -> bool:
    try:
        return bytes.fromhex(text).hex().upper() == text
    except ValueError:
        return False
