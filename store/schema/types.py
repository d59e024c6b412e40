"""What a schema consists of: its types, and how each is represented in the data model.

Names are those of the schema-schema (https://ipld.io/specs/schemas/schema-schema.ipldsch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Term: TypeAlias = "str | Map | List | Link"
"""A type where it is used: the name of one, or a map, list or link that is defined in place."""

Scalar: TypeAlias = "bool | int | float | str | bytes"


class SchemaError(ValueError):
    """A schema that cannot be, or data that are not what a schema says; `path` are the steps to where it is so."""

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(what, path)
        self.what = what
        self.path = path

    def __str__(self) -> str:
        return f"{'/'.join(self.path)}: {self.what}" if self.path else self.what

    def below(self, step: object) -> SchemaError:
        """The same, seen from one step further up."""
        return SchemaError(self.what, (str(step), *self.path))


class Record(dict[str, Any]):
    """A struct's or union's value: a dict whose entries are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class Simple:
    """bool, int, float, string, or any."""

    kind: str


@dataclass(frozen=True, slots=True)
class Bytes:
    """Byte strings, or an advanced layout that gives them."""

    advanced: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A CID; what is expected behind it is not looked at here."""

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
    """A map from strings (or what is represented by strings) to values of one type; None: as a plain map."""

    key: str
    value: Term
    nullable: bool = False
    representation: StringPairs | ListPairs | Advanced | None = None


@dataclass(frozen=True, slots=True)
class StructMap:
    """A map by field: some have another key there, or a value that stands for absence."""

    rename: Mapping[str, str] = field(default_factory=dict)
    implicit: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuple:
    """A list of the fields' values, in the order of the fields or another one."""

    order: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StringJoin:
    """The fields' values joined into a string."""

    join: str
    order: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct. Optional: may be absent; nullable: may be null."""

    type: Term
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields by name."""

    fields: Mapping[str, Field]
    representation: StructMap | Tuple | StringJoin | StringPairs | ListPairs


@dataclass(frozen=True, slots=True)
class Enum:
    """A choice of names; `values` are what represents them, where it is not the name. Ints have values for all."""

    members: tuple[str, ...]
    values: Mapping[str, str | int]
    integers: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """{discriminant: value}"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """{discriminant key: discriminant, content key: value}"""

    discriminant: str
    content: str


@dataclass(frozen=True, slots=True)
class Inline:
    """The member's own map, with the discriminant as one more entry."""

    discriminant: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The discriminant, then the member's string or bytes (`of_bytes`: discriminants are in hexadecimal digits)."""

    of_bytes: bool


@dataclass(frozen=True, slots=True)
class Kinded:
    """The member alone: its kind tells which one it is."""


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types; `members` by discriminant (for kinded ones, by kind)."""

    members: Mapping[str, str | Link]
    representation: Keyed | Envelope | Inline | Prefix | Kinded


@dataclass(frozen=True, slots=True)
class Unit:
    """A single value, represented by null, true, false or an empty map."""

    representation: str


@dataclass(frozen=True, slots=True)
class Copy:
    """What another type is."""

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
"""The types that every schema knows (https://ipld.io/specs/schemas/prelude/)."""


def member_name(member: str | Link) -> str:
    """The name of a union's member in a value: that of its type, `&T` for a link that is defined in place."""
    return member if isinstance(member, str) else f"&{member.expected}"
