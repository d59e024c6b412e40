"""The types of a schema and their representations in the data model.

Names are those of the schema-schema (https://ipld.io/specs/schemas/schema-schema.ipldsch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Term: TypeAlias = "str | Map | List | Link"
"""A use of a type: the name of one, or an inline map, list or link."""

Scalar: TypeAlias = "bool | int | float | str | bytes"


class SchemaError(ValueError):
    """Raised for an invalid schema, or for data that does not match it; `path` leads to the error."""

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(what, path)
        self.what = what
        self.path = path

    def __str__(self) -> str:
        return f"{'/'.join(self.path)}: {self.what}" if self.path else self.what

    def below(self, step: object) -> SchemaError:
        return SchemaError(self.what, (str(step), *self.path))


class Record(dict[str, Any]):
    """The value of a struct or union: a dict whose entries are also attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Simple:
    """One of bool, int, float, string and any."""

    kind: str


@dataclass(frozen=True, slots=True)
class Bytes:
    """A byte string, or an advanced layout that yields one."""

    advanced: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A CID; the type of the linked data is not checked."""

    expected: str = "Any"


@dataclass(frozen=True, slots=True)
class List:
    """A list of values of one type."""

    value: Term
    nullable: bool = False
    advanced: str | None = None


@dataclass(frozen=True, slots=True)
class StringPairs:
    """Keys and values joined into a string."""

    inner: str
    entry: str


@dataclass(frozen=True, slots=True)
class ListPairs:
    """A list of [key, value]."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """An advanced layout, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Map:
    """A map from string-represented keys to values of one type; `representation` None is a plain map."""

    key: str
    value: Term
    nullable: bool = False
    representation: StringPairs | ListPairs | Advanced | None = None


@dataclass(frozen=True, slots=True)
class StructMap:
    """A map with a key per field, which may be renamed or have an implicit value when absent."""

    rename: Mapping[str, str] = field(default_factory=dict)
    implicit: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuple:
    """A list of the fields' values, in declaration order or in `order`."""

    order: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StringJoin:
    """The fields' values joined into a string."""

    join: str
    order: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct: an optional one may be absent, a nullable one may be null."""

    type: Term
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields by name, and their representation."""

    fields: Mapping[str, Field]
    representation: StructMap | Tuple | StringJoin | StringPairs | ListPairs


@dataclass(frozen=True, slots=True)
class Enum:
    """A choice of names; `values` maps members to other representations, and is complete for integers."""

    members: tuple[str, ...]
    values: Mapping[str, str | int]
    integers: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """A map with a single entry: {discriminant: value}."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A map with two entries: {discriminant key: discriminant, content key: value}."""

    discriminant: str
    content: str


@dataclass(frozen=True, slots=True)
class Inline:
    """The member's own map, with the discriminant as an additional entry."""

    discriminant: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The discriminant, followed by the member's string or bytes (`of_bytes`: discriminants are hexadecimal)."""

    of_bytes: bool


@dataclass(frozen=True, slots=True)
class Kinded:
    """The member's value alone; its kind identifies the member."""


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types; `members` is keyed by discriminant (for kinded unions, by kind)."""

    members: Mapping[str, str | Link]
    representation: Keyed | Envelope | Inline | Prefix | Kinded


@dataclass(frozen=True, slots=True)
class Unit:
    """A single value, represented by null, true, false or an empty map."""

    representation: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of another type."""

    source: str


Type: TypeAlias = "Simple | Bytes | Link | List | Map | Struct | Enum | Union | Unit | Copy"

PRELUDE: Final[Mapping[str, Type]] = {
    "Bool": Simple("bool"),
    "Int": Simple("int"),
    "Float": Simple("float"),
    "String": Simple("string"),
    "Bytes": Bytes(),
    "Any": Simple("any"),
    "Map": Map("String", "Any"),
    "List": List("Any"),
    "Link": Link(),
    "Null": Unit("null"),
}
"""The predefined types (https://ipld.io/specs/schemas/prelude/)."""


def member_name(member: str | Link) -> str:
    """Return the name of a union's member in a value: its type's name, or `&T` for an inline link."""
    return member if isinstance(member, str) else f"&{member.expected}"
