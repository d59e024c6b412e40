"""Parser for the IPLD schema language, and the consistency checks of a schema.

Hand-written, with one method per construct. Grammar: https://ipld.io/specs/schemas/ (the DSL).

Every name must be declared, every representation must be possible, and a type may refer to itself only through a list,
map, struct or link, so that reading data always terminates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from store.schema.types import (
    Advanced,
    Bytes,
    Copy,
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
    Scalar,
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

SIMPLE: Final = ("bool", "int", "float", "string", "any")
KINDS: Final = ("bool", "string", "bytes", "int", "float", "map", "list", "link", "null")
UNITS: Final = ("null", "true", "false", "emptymap")
MAX_NESTING: Final = 64
"""Maximum nesting depth of inline type definitions."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*) | (?P<line>\n) | (?P<string>"(?:[^"\\\n]|\\.)*") | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*) | (?P<sign>[{}\[\]()&|:=,])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A token: `kind` is string, number, word, sign or end; `text` has no quotes and escapes."""

    kind: str
    text: str
    line: int


def parse(text: str) -> tuple[dict[str, Type], tuple[str, ...]]:
    """Return the types and the names of the advanced layouts that a text declares. Raises SchemaError with the line."""
    return _Parser(text).schema()


def _tokens(text: str) -> Iterator[Token]:
    line, at = 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SchemaError(f"line {line}: unexpected character {text[at]!r}")
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "line":
            line += 1
        elif kind == "string":
            try:
                yield Token(kind, json.loads(match[0]), line)
            except ValueError:
                raise SchemaError(f"line {line}: unknown escape in the string {match[0]}") from None
        elif kind != "space":
            yield Token(kind, match[0], line)
    yield Token("end", "the end", line)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    # --- tokens -----------------------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _wrong(self, expected: str) -> SchemaError:
        return SchemaError(f"line {self._next.line}: expected {expected}, found {self._next.text!r}")

    def _take(self, kind: str, expected: str) -> str:
        if self._next.kind != kind:
            raise self._wrong(expected)
        self._at += 1
        return self._tokens[self._at - 1].text

    def _is(self, text: str, kind: str = "sign") -> bool:
        return self._next.kind == kind and self._next.text == text

    def _skip(self, text: str, kind: str = "sign") -> bool:
        if self._is(text, kind):
            self._at += 1
            return True
        return False

    def _need(self, text: str, kind: str = "sign") -> None:
        if not self._skip(text, kind):
            raise self._wrong(f"'{text}'")

    def _word(self, expected: str) -> str:
        return self._take("word", expected)

    def _string(self) -> str:
        return self._take("string", "a string in quotes")

    # --- declarations -----------------------------------------------------------------------------------------

    def schema(self) -> tuple[dict[str, Type], tuple[str, ...]]:
        types: dict[str, Type] = {}
        advanced: list[str] = []
        while self._next.kind != "end":
            line = self._next.line
            if self._skip("advanced", "word"):
                name = self._word("the name of an advanced layout")
                again = name in advanced
                advanced.append(name)
            else:
                self._need("type", "word")
                name = self._word("the name of a type")
                again = name in types
                types[name] = self._definition()
            if again:
                raise SchemaError(f"line {line}: {name} is declared twice")
        return types, tuple(advanced)

    def _definition(self) -> Type:
        if self._skip("="):
            return Copy(self._word("the name of a type"))
        if self._next.kind == "sign":
            return self._inline(declared=True)
        word = self._word("a kind of type")
        if word in SIMPLE:
            return Simple(word)
        forms: dict[str, Callable[[], Type]] = {
            "bytes": lambda: Bytes(self._parse_advanced()),
            "struct": self._struct,
            "enum": self._enum,
            "union": self._union,
            "unit": self._unit,
        }
        if word not in forms:
            self._at -= 1
            raise self._wrong("a kind of type")
        return forms[word]()

    def _term(self) -> tuple[Term, bool]:
        """Parse the use of a type; return it and whether it is nullable."""
        nullable = self._skip("nullable", "word")
        return (self._inline() if self._next.kind == "sign" else self._word("a type")), nullable

    def _inline(self, declared: bool = False) -> Map | List | Link:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise SchemaError(f"line {self._next.line}: types are nested deeper than {MAX_NESTING} levels")
        try:
            return self._collection(declared)
        finally:
            self._depth -= 1

    def _collection(self, declared: bool) -> Map | List | Link:
        if self._skip("&"):
            return Link(self._word("the type behind the link"))
        if self._skip("["):
            value, nullable = self._term()
            self._need("]")
            return List(value, nullable, self._parse_advanced() if declared else None)
        self._need("{")
        key = self._word("the type of the keys")
        self._need(":")
        value, nullable = self._term()
        self._need("}")
        return Map(key, value, nullable, self._map_representation() if declared else None)

    # --- representations --------------------------------------------------------------------------------------

    def _representation(self) -> str | None:
        return self._word("a representation") if self._skip("representation", "word") else None

    def _unknown_representation(self, representation: str, kind: str) -> SchemaError:
        self._at -= 1
        return SchemaError(f"line {self._next.line}: {kind}s have no representation '{representation}'")

    def _parse_advanced(self) -> str | None:
        representation = self._representation()
        if representation is None or representation in ("bytes", "list"):
            return None
        if representation != "advanced":
            raise self._unknown_representation(representation, "such type")
        return self._word("the name of an advanced layout")

    def _map_representation(self) -> StringPairs | ListPairs | Advanced | None:
        match self._representation():
            case None | "map":
                return None
            case "listpairs":
                return ListPairs()
            case "stringpairs":
                return self._string_pairs()
            case "advanced":
                return Advanced(self._word("the name of an advanced layout"))
            case other:
                raise self._unknown_representation(other, "map")

    def _string_pairs(self) -> StringPairs:
        options = self._options({"innerDelim", "entryDelim"})
        return StringPairs(_text(options, "innerDelim"), _text(options, "entryDelim"))

    def _options(self, allowed: set[str]) -> dict[str, str | tuple[str, ...]]:
        """Parse the options in braces after a representation: names with strings or lists of strings."""
        options: dict[str, str | tuple[str, ...]] = {}
        if not self._skip("{"):
            return options
        while not self._skip("}"):
            if self._next.text not in allowed:
                raise self._wrong(f"one of {', '.join(sorted(allowed))}")
            name = self._word("an option")
            options[name] = self._strings() if self._is("[") else self._string()
        return options

    def _strings(self) -> tuple[str, ...]:
        self._need("[")
        found = []
        while not self._skip("]"):
            found.append(self._string())
            self._skip(",")
        return tuple(found)

    # --- structs ----------------------------------------------------------------------------------------------

    def _struct(self) -> Struct:
        fields: dict[str, Field] = {}
        rename: dict[str, str] = {}
        implicit: dict[str, Scalar] = {}
        self._need("{")
        while not self._skip("}"):
            line = self._next.line
            name = self._word("the name of a field")
            if name in fields:
                raise SchemaError(f"line {line}: the field {name} is declared twice")
            optional = nullable = False
            # a field may have the name of a modifier, but its type may not
            while self._is("optional", "word") or self._is("nullable", "word"):
                optional, nullable = optional or self._is("optional", "word"), nullable or self._is("nullable", "word")
                self._at += 1
            fields[name] = Field(self._term()[0], optional, nullable)
            if self._skip("("):
                self._field_options(name, rename, implicit)
        return Struct(fields, self._struct_representation(rename, implicit))

    def _field_options(self, name: str, rename: dict[str, str], implicit: dict[str, Scalar]) -> None:
        while not self._skip(")"):
            if self._skip("rename", "word"):
                rename[name] = self._string()
            elif self._skip("implicit", "word"):
                implicit[name] = self._scalar()
            else:
                raise self._wrong("'rename' or 'implicit'")

    def _scalar(self) -> Scalar:
        if self._next.kind == "string":
            return self._string()
        if self._next.kind == "number":
            text = self._take("number", "a number")
            return float(text) if "." in text else int(text)
        word = self._word("a value")
        if word not in ("true", "false"):
            self._at -= 1
            raise self._wrong("a value")
        return word == "true"

    def _struct_representation(
        self, rename: Mapping[str, str], implicit: Mapping[str, Scalar]
    ) -> StructMap | Tuple | StringJoin | StringPairs | ListPairs:
        representation = self._representation()
        if representation in (None, "map"):
            return StructMap(rename, implicit)
        if rename or implicit:
            raise SchemaError(f"line {self._next.line}: rename and implicit require the map representation")
        match representation:
            case "tuple":
                return Tuple(_order(self._options({"fieldOrder"})))
            case "stringjoin":
                options = self._options({"join", "fieldOrder"})
                return StringJoin(_text(options, "join"), _order(options))
            case "stringpairs":
                return self._string_pairs()
            case "listpairs":
                return ListPairs()
            case other:
                raise self._unknown_representation(str(other), "struct")

    # --- enums, unions, units ---------------------------------------------------------------------------------

    def _enum(self) -> Enum:
        members: list[str] = []
        texts: dict[str, str] = {}
        self._need("{")
        while self._skip("|"):
            name = self._word("the name of a member")
            if name in members:
                raise SchemaError(f"line {self._next.line}: duplicate member {name}")
            members.append(name)
            if self._skip("("):
                texts[name] = self._string()
                self._need(")")
        self._need("}")
        match self._representation():
            case None | "string":
                return Enum(tuple(members), texts)
            case "int":
                return Enum(tuple(members), self._integers(members, texts), integers=True)
            case other:
                raise self._unknown_representation(other, "enum")

    def _integers(self, members: list[str], texts: Mapping[str, str]) -> dict[str, int]:
        try:
            return {name: int(texts[name]) for name in members}
        except (KeyError, ValueError):
            raise SchemaError(
                f'line {self._next.line}: an enum of integers needs a number for each member, such as Foo ("1")'
            ) from None

    def _union(self) -> Union:
        members: dict[str, str | Link] = {}
        self._need("{")
        while self._skip("|"):
            member = Link(self._word("the type behind the link")) if self._skip("&") else self._word("a type")
            if self._next.kind == "string":
                discriminant = self._string()
            else:
                discriminant = self._word("a discriminant: a string in quotes, or a kind")
            if discriminant in members:
                raise SchemaError(f"line {self._next.line}: duplicate discriminant {discriminant!r}")
            members[discriminant] = member
        self._need("}")
        self._need("representation", "word")
        return Union(members, self._union_representation(self._word("a representation")))

    def _union_representation(self, name: str) -> Keyed | Envelope | Inline | Prefix | Kinded:
        match name:
            case "keyed":
                return Keyed()
            case "kinded":
                return Kinded()
            case "stringprefix" | "bytesprefix":
                return Prefix(of_bytes=name == "bytesprefix")
            case "inline":
                return Inline(_text(self._options({"discriminantKey"}), "discriminantKey"))
            case "envelope":
                options = self._options({"discriminantKey", "contentKey"})
                return Envelope(_text(options, "discriminantKey"), _text(options, "contentKey"))
            case other:
                raise self._unknown_representation(other, "union")

    def _unit(self) -> Unit:
        self._need("representation", "word")
        name = self._word("a representation")
        if name not in UNITS:
            raise self._unknown_representation(name, "unit")
        return Unit(name)


def _text(options: Mapping[str, str | tuple[str, ...]], name: str) -> str:
    value = options.get(name)
    if not isinstance(value, str):
        raise SchemaError(f"the representation requires {name} with a string")
    return value


def _order(options: Mapping[str, str | tuple[str, ...]]) -> tuple[str, ...] | None:
    value = options.get("fieldOrder")
    if isinstance(value, str):
        raise SchemaError('fieldOrder must be a list of names, such as ["foo", "bar"]')
    return value


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
