"""IPLD schemas: a parser for the schema language, and validation, reading and writing of data by schema.

`Schema.parse(text)` returns a schema; `read` converts data of the IPLD data model to typed values with the schema's
names, and `write` converts them back; both validate. Source: https://ipld.io/docs/schemas/ and
https://ipld.io/specs/schemas/.

Read `language`, `types` and `values` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.schema.language import check, parse, resolve
from store.schema.types import PRELUDE, Copy, Record, SchemaError, Term, Type
from store.schema.values import SchemaReader, SchemaWriter

__all__ = ["Record", "Schema", "SchemaError"]


class Schema:
    """A validated set of types. Readers and writers of a type are created on first use."""

    def __init__(self, types: Mapping[str, Type], advanced: tuple[str, ...] = ()) -> None:
        """Create a schema of `types` and the prelude's types. Raises SchemaError if it is inconsistent."""
        self.types: dict[str, Type] = dict(types)
        self.advanced = advanced
        self._known = {**PRELUDE, **self.types}
        check(self._known, advanced)
        self._reader = SchemaReader(self._known)
        self._writer = SchemaWriter(self._known)

    @classmethod
    def parse(cls, text: str) -> Schema:
        """Parse a text in the schema language. Raises SchemaError with the line of the error."""
        return cls(*parse(text))

    def read(self, name: str, data: Any) -> Any:
        """Convert `data` to a value of the type `name`. Raises SchemaError, with the path, if it does not match.

        Structs become `Record`s with all fields: an absent optional field is None, or omitted if it is nullable too.
        Enums become member names, unions a `Record` with one member's name and value, and units None. Everything else
        is returned as it is in the data model.
        """
        return self._reader.named(name)(data)

    def write(self, name: str, value: Any) -> Any:
        """Convert a value of the type `name` to data, the inverse of `read`. Raises SchemaError, with the path."""
        return self._writer.named(name)(value)

    def type_of(self, term: Term) -> Type:
        """Return the type that a term stands for, following copies. Raises KeyError for an unknown name."""
        return resolve(self._known, term)

    def name_of(self, name: str) -> str:
        """Return the name of the type that `name` is a copy of, or `name` itself."""
        kind = self._known[name]
        return self.name_of(kind.source) if isinstance(kind, Copy) else name
