"""Conversion of values to data: the inverse of `store.schema.values`, with the same checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from store.schema.check import resolve
from store.schema.types import (
    Advanced,
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
    SchemaError,
    StringJoin,
    StringPairs,
    Struct,
    StructMap,
    Term,
    Tuple,
    Type,
    Union,
    Unit,
    member_name,
)
from store.schema.values import UNIT_DATA, SchemaReader

Write = Callable[[Any], Any]


class SchemaWriter:
    """The writers of a schema's types."""

    def __init__(self, types: Mapping[str, Type]) -> None:
        self._types = types
        self._made: dict[str, Write] = {}
        self._reader = SchemaReader(types)

    def named(self, name: str) -> Write:
        """Return the writer of a type. Raises SchemaError if the schema has no such type."""
        made = self._made.get(name)
        if made is None:
            if name not in self._types:
                raise SchemaError(f"the schema has no type {name}")
            self._made[name] = lambda value: self._made[name](value)
            made = self._made[name] = self._make(self._types[name], name)
        return made

    def _term(self, term: Term, nullable: bool = False) -> Write:
        write = self.named(term) if isinstance(term, str) else self._make(term, None)
        if not nullable:
            return write
        return lambda value: None if value is None else write(value)

    def _make(self, kind: Type, name: str | None) -> Write:
        kind = resolve(self._types, kind)
        match kind:
            case List(advanced=str()) | Map(representation=Advanced()):
                return lambda value: value
            case List(value, nullable):
                return _write_list(self._term(value, nullable))
            case Map():
                return self._map(kind)
            case Struct():
                return self._struct(kind)
            case Enum(members, values):
                return _write_enum({member: values.get(member, member) for member in members})
            case Unit(representation):
                return _write_unit(UNIT_DATA[representation])
            case Union():
                return self._union(kind)
            case Link():
                return self._reader.named("Link")
            case _:  # plain types are read and written alike
                if name is None:
                    raise TypeError(kind)
                return self._reader.named(name)

    def _map(self, kind: Map) -> Write:
        key, value = self.named(kind.key), self._term(kind.value, kind.nullable)

        def write(values: Any) -> dict[Any, Any]:
            data: dict[Any, Any] = {}
            for name, item in _mapping(values).items():
                try:
                    data[key(name)] = value(item)
                except SchemaError as error:
                    raise error.below(name) from None
            return data

        return _write_shape(write, kind.representation)

    def _struct(self, kind: Struct) -> Write:
        fields = {name: (self._term(field.type, field.nullable), field) for name, field in kind.fields.items()}
        rename: Mapping[str, str] = {}
        implicit: Mapping[str, Any] = {}
        if isinstance(kind.representation, StructMap):
            rename, implicit = kind.representation.rename, kind.representation.implicit

        def write(values: Any) -> dict[str, Any]:
            unknown = _mapping(values).keys() - fields.keys()
            if unknown:
                raise SchemaError(
                    f"unknown field {min(map(str, unknown))!r}: expected one of {', '.join(fields) or 'none'}"
                )
            data = {}
            for name, (writer, field) in fields.items():
                item = values.get(name)
                if item is None and field.optional and (not field.nullable or name not in values):
                    continue
                if name not in values:
                    raise SchemaError(f"the field {name} is missing")
                try:
                    written = writer(item)
                except SchemaError as error:
                    raise error.below(name) from None
                if name not in implicit or type(written) is not type(implicit[name]) or written != implicit[name]:
                    data[rename.get(name, name)] = written
            return data

        return _write_shape(write, kind.representation)

    def _union(self, kind: Union) -> Write:
        members = {
            member_name(member): (discriminant, self._term(member)) for discriminant, member in kind.members.items()
        }
        wrap = _wrapper(kind)

        def write(value: Any) -> Any:
            if len(_mapping(value)) != 1 or not value.keys() <= members.keys():
                raise SchemaError(f"expected a map with one of {', '.join(members)}")
            ((name, item),) = value.items()
            discriminant, writer = members[name]
            try:
                return wrap(discriminant, writer(item))
            except SchemaError as error:
                raise error.below(name) from None

        return write


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise SchemaError(f"expected a map, found {type(value).__name__}")
    return value


def _write_list(write: Write) -> Write:
    def write_list(values: Any) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise SchemaError(f"expected a list, found {type(values).__name__}")
        data = []
        for index, item in enumerate(values):
            try:
                data.append(write(item))
            except SchemaError as error:
                raise error.below(index) from None
        return data

    return write_list


def _write_enum(members: Mapping[str, Any]) -> Write:
    def write(value: Any) -> Any:
        if not isinstance(value, str) or value not in members:
            raise SchemaError(f"{value!r:.60} is none of {', '.join(members)}")
        return members[value]

    return write


def _write_unit(data: Any) -> Write:
    def write(value: Any) -> Any:
        if value is not None:
            raise SchemaError("the only value of a unit is None")
        return dict(data) if isinstance(data, dict) else data

    return write


def _write_shape(write: Write, representation: object) -> Write:
    """Return a writer that converts the map of `write` to the given representation."""
    match representation:
        case Tuple(order):
            return lambda value: [data for _, data in _order(write(value), order)]
        case ListPairs():
            return lambda value: [[key, data] for key, data in write(value).items()]
        case StringPairs(inner, entry):
            signs = (inner, entry)
            return lambda value: entry.join(
                _text(key, signs) + inner + _text(data, (entry,)) for key, data in write(value).items()
            )
        case StringJoin(join, order):
            return lambda value: join.join(_text(data, (join,)) for _, data in _order(write(value), order))
        case _:
            return write


def _order(data: dict[str, Any], order: tuple[str, ...] | None) -> list[tuple[str, Any]]:
    return list(data.items()) if order is None else [(name, data[name]) for name in order]


def _text(data: Any, signs: tuple[str, ...]) -> str:
    text = str(data).lower() if isinstance(data, bool) else str(data)
    for sign in signs:
        if sign in text:
            raise SchemaError(f"{text!r} contains {sign!r}, which separates values")
    return text


def _wrapper(kind: Union) -> Callable[[str, Any], Any]:
    match kind.representation:
        case Kinded():
            return lambda _, data: data
        case Keyed():
            return lambda discriminant, data: {discriminant: data}
        case Envelope(key, content):
            return lambda discriminant, data: {key: discriminant, content: data}
        case Inline(key):
            return lambda discriminant, data: {key: discriminant, **data}
        case Prefix(of_bytes):
            return lambda discriminant, data: (bytes.fromhex(discriminant) if of_bytes else discriminant) + data
