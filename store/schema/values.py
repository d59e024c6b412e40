"""Conversion between data and values by schema: a reader and a writer for each type, with the same checks.

A reader is a pure function of the data. Error paths are built while an exception propagates, so that valid data has no
overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from store.codec import PLAIN_KINDS, kind_of
from store.schema.language import resolve
from store.schema.types import (
    Advanced,
    Bytes,
    Enum,
    Envelope,
    Field,
    Inline,
    Keyed,
    Kinded,
    Link,
    List,
    ListPairs,
    Map,
    Prefix,
    Record,
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
    member_name,
)

Read = Callable[[Any], Any]

UNIT_DATA: Final[Mapping[str, Any]] = {"null": None, "true": True, "false": False, "emptymap": {}}

_ABSENT: Final = object()


class SchemaReader:
    """The readers of a schema's types."""

    def __init__(self, types: Mapping[str, Type]) -> None:
        self._types = types
        self._readers: dict[str, Read] = {}

    def named(self, name: str) -> Read:
        """Return the reader of a type. Raises SchemaError if the schema has no such type."""
        reader = self._readers.get(name)
        if reader is None:
            if name not in self._types:
                raise SchemaError(f"the schema has no type {name}")
            # a recursive type may refer to itself before its reader exists
            self._readers[name] = lambda data: self._readers[name](data)
            reader = self._readers[name] = self._make(self._types[name])
        return reader

    def _term(self, term: Term, nullable: bool = False) -> Read:
        read = self.named(term) if isinstance(term, str) else self._make(term)
        return _or_null(read) if nullable else read

    def _make(self, kind: Type) -> Read:
        kind = resolve(self._types, kind)
        match kind:
            case Simple("any") | Bytes(str()) | List(advanced=str()) | Map(representation=Advanced()):
                return lambda data: data  # the data of an advanced layout is not validated
            case Simple(name):
                return _of_kind(name)
            case Bytes():
                return _of_kind("bytes")
            case Link():
                return _link
            case List(value, nullable):
                return _list(self._term(value, nullable))
            case Map():
                return self._map(kind)
            case Struct():
                return self._struct(kind)
            case Enum(members, values):
                return _enum({values.get(member, member): member for member in members}, kind.integers)
            case Unit(representation):
                return _unit(representation)
            case Union():
                return self._union(kind)
            case _:
                raise TypeError(kind)

    def _map(self, kind: Map) -> Read:
        key, value = self.named(kind.key), self._term(kind.value, kind.nullable)
        if isinstance(kind.representation, StringPairs):
            return _string_pairs_map(key, self._from_text(kind.value), kind.representation)
        pairs = _list_pairs if isinstance(kind.representation, ListPairs) else _map_items

        def read(data: Any) -> Any:
            result: dict[Any, Any] = {}
            for name, item in pairs(data):
                try:
                    read_key = key(name)
                    if read_key in result:
                        raise SchemaError("duplicate key")
                    result[read_key] = value(item)
                except SchemaError as error:
                    raise error.below(name) from None
            return result

        return read

    def _struct(self, kind: Struct) -> Read:
        fields = {name: (self._term(field.type, field.nullable), field) for name, field in kind.fields.items()}
        match kind.representation:
            case Tuple(order):
                return _tuple(list(fields), [fields[name][0] for name in order or fields], order or tuple(fields))
            case StructMap(rename, implicit):
                return _struct_map(fields, rename, implicit)
            case ListPairs():
                by_map = _struct_map(fields, {}, {})
                return lambda data: by_map(_unique(_list_pairs(data)))
            case StringPairs() as pairs:
                texts = {name: (self._from_text(field.type), field) for name, field in kind.fields.items()}
                by_map = _struct_map(texts, {}, {})
                return lambda data: by_map(_unique(_split_pairs(data, pairs)))
            case StringJoin(join, order):
                texts = {name: (self._from_text(field.type), field) for name, field in kind.fields.items()}
                order = order or tuple(texts)
                by_tuple = _tuple(list(texts), [texts[name][0] for name in order], order)
                return lambda data: by_tuple(_expect(data, "string").split(join))

    def _from_text(self, term: Term) -> Read:
        """Return the reader of a value that is part of a string."""
        read = self._term(term)

        def from_text(text: str) -> Any:
            for candidate in _from_string(text):
                try:
                    return read(candidate)
                except SchemaError:
                    continue
            raise SchemaError(f"{text!r} is not a valid text form of the value")

        return from_text

    def _union(self, kind: Union) -> Read:
        members = {
            discriminant: (member_name(member), self._term(member)) for discriminant, member in kind.members.items()
        }
        match kind.representation:
            case Kinded():
                return _read_kinded(members)
            case Keyed():
                return _read_keyed(members)
            case Prefix(of_bytes):
                return _prefix(members, of_bytes)
            case Inline(key):
                return _inline(members, key)
            case Envelope(discriminant, content):
                return _envelope(members, discriminant, content)


# --- plain data -------------------------------------------------------------------------------------------------------


def _expect(data: Any, kind: str) -> Any:
    if kind_of(data) != kind:
        raise SchemaError(f"expected {_with_article(kind)}, found {_with_article(kind_of(data))}")
    return data


def _with_article(kind: str) -> str:
    return {"bytes": "bytes", "int": "an integer", "null": "null"}.get(kind, f"a {kind}")


def _of_kind(kind: str) -> Read:
    python = next(python for python, name in PLAIN_KINDS.items() if name == kind)

    def read(data: Any) -> Any:
        return data if type(data) is python else _expect(data, kind)

    return read


def _link(data: Any) -> Any:
    return _expect(data, "link")


def _or_null(read: Read) -> Read:
    return lambda data: None if data is None else read(data)


def _unit(representation: str) -> Read:
    expected = UNIT_DATA[representation]

    def read(data: Any) -> None:
        if type(data) is not type(expected) or data != expected:
            raise SchemaError(f"expected {representation}, found {_with_article(kind_of(data))}")

    return read


def _enum(members: Mapping[Any, str], integers: bool) -> Read:
    kind = int if integers else str

    def read(data: Any) -> str:
        member = members.get(data) if type(data) is kind else None
        if member is None:
            raise SchemaError(f"{data!r:.60} is none of {', '.join(map(repr, members))}")
        return member

    return read


# --- collections and structs ------------------------------------------------------------------------------------------


def _list(read: Read) -> Read:
    def read_list(data: Any) -> list[Any]:
        values = []
        for index, item in enumerate(_expect(data, "list")):
            try:
                values.append(read(item))
            except SchemaError as error:
                raise error.below(index) from None
        return values

    return read_list


def _map_items(data: Any) -> Any:
    return _expect(data, "map").items()


def _list_pairs(data: Any) -> list[tuple[Any, Any]]:
    pairs = []
    for index, item in enumerate(_expect(data, "list")):
        if type(item) is not list or len(item) != 2 or type(item[0]) is not str:
            raise SchemaError("expected [key, value]", (str(index),))
        pairs.append((item[0], item[1]))
    return pairs


def _split_pairs(data: Any, by: StringPairs) -> list[tuple[str, str]]:
    text = _expect(data, "string")
    pairs = []
    for entry in text.split(by.entry) if text else []:
        name, sign, value = entry.partition(by.inner)
        if not sign:
            raise SchemaError(f"{entry!r} has no {by.inner!r}")
        pairs.append((name, value))
    return pairs


def _string_pairs_map(key: Read, value: Read, by: StringPairs) -> Read:
    return lambda data: {key(name): value(text) for name, text in _unique(_split_pairs(data, by)).items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SchemaError("duplicate key")
    return found


def _struct_map(
    fields: Mapping[str, tuple[Read, Field]], rename: Mapping[str, str], implicit: Mapping[str, Any]
) -> Read:
    keys = {rename.get(name, name): name for name in fields}

    def read(data: Any) -> Record:
        for key in _expect(data, "map"):
            if key not in keys:
                raise SchemaError(f"unknown field {key!r:.60}")
        values = Record()
        for key, name in keys.items():
            item = data.get(key, _ABSENT)
            reader, field = fields[name]
            if item is _ABSENT:
                absent = _absent_value(name, field, implicit)
                if absent is not None or not field.nullable:  # if None is a value, an absent field is omitted
                    values[name] = absent
                continue
            try:
                values[name] = reader(item)
            except SchemaError as error:
                raise error.below(name) from None
            if name in implicit and type(item) is type(implicit[name]) and item == implicit[name]:
                raise SchemaError("the implicit value must be omitted", (name,))
        return values

    return read


def _absent_value(name: str, field: Field, implicit: Mapping[str, Any]) -> Any:
    if name in implicit:
        return implicit[name]
    if not field.optional:
        raise SchemaError(f"the field {name} is missing")
    return None


def _tuple(names: list[str], readers: list[Read], order: tuple[str, ...]) -> Read:
    in_order = list(order) == names

    def read(data: Any) -> Record:
        if type(data) is not list or len(data) != len(readers):
            length = len(data) if type(data) is list else _with_article(kind_of(data))
            raise SchemaError(f"expected a list of {len(readers)} values, found {length}")
        values = Record()
        try:
            for name, reader, item in zip(order, readers, data, strict=True):
                values[name] = reader(item)
        except SchemaError as error:
            raise error.below(name) from None
        return values if in_order else Record((name, values[name]) for name in names)

    return read


def _from_string(text: str) -> list[Any]:
    """Return the values that a part of a string may represent: the string, an integer or a boolean."""
    candidates: list[Any] = [text]
    if text in ("true", "false"):
        candidates.append(text == "true")
    elif text.removeprefix("-").isdecimal() and str(int(text)) == text:
        candidates.append(int(text))
    return candidates


# --- unions -----------------------------------------------------------------------------------------------------------

_Members = Mapping[str, tuple[str, Read]]


def _member(members: _Members, discriminant: Any) -> tuple[str, Read]:
    found = members.get(discriminant) if type(discriminant) is str else None
    if found is None:
        raise SchemaError(f"{discriminant!r:.60} is none of {', '.join(map(repr, members))}")
    return found


def _read_member(member: tuple[str, Read], step: object, data: Any) -> Record:
    name, read = member
    try:
        return Record({name: read(data)})
    except SchemaError as error:
        raise error.below(step) from None


def _read_kinded(members: _Members) -> Read:
    def read(data: Any) -> Record:
        kind = kind_of(data)
        if kind not in members:
            raise SchemaError(
                f"expected {' or '.join(_with_article(name) for name in members)}, found {_with_article(kind)}"
            )
        name, reader = members[kind]
        return Record({name: reader(data)})

    return read


def _read_keyed(members: _Members) -> Read:
    def read(data: Any) -> Record:
        if len(_expect(data, "map")) != 1:
            raise SchemaError(f"expected a map of one entry, found {len(data)}")
        ((key, value),) = data.items()
        return _read_member(_member(members, key), key, value)

    return read


def _envelope(members: _Members, discriminant: str, content: str) -> Read:
    def read(data: Any) -> Record:
        if _expect(data, "map").keys() != {discriminant, content}:
            raise SchemaError(f"expected a map with the keys {discriminant!r} and {content!r}")
        return _read_member(_member(members, data[discriminant]), content, data[content])

    return read


def _inline(members: _Members, discriminant: str) -> Read:
    def read(data: Any) -> Record:
        if discriminant not in _expect(data, "map"):
            raise SchemaError(f"the key {discriminant!r} is missing")
        name, reader = _member(members, data[discriminant])
        return Record({name: reader({key: value for key, value in data.items() if key != discriminant})})

    return read


def _prefix(members: _Members, of_bytes: bool) -> Read:
    prefixes: list[tuple[Any, tuple[str, Read]]] = [
        (bytes.fromhex(discriminant) if of_bytes else discriminant, member) for discriminant, member in members.items()
    ]
    kind = "bytes" if of_bytes else "string"

    def read(data: Any) -> Record:
        _expect(data, kind)
        for prefix, (name, reader) in prefixes:
            if data.startswith(prefix):
                return Record({name: reader(data[len(prefix) :])})
        raise SchemaError(f"{data!r:.60} has none of the prefixes {', '.join(map(repr, members))}")

    return read


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
