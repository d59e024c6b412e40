"""IPLD schemas: the language is parsed, the schema checked, data read and written by it.

`Schema.parse(text)` gives a schema; `read` turns data of the IPLD data model into values with the schema's names (typed
views), `write` turns them back; both validate. Rules: https://ipld.io/docs/schemas/ and https://ipld.io/specs/schemas/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.schema.check import check, resolve
from store.schema.language import parse
from store.schema.reading import SchemaReader
from store.schema.types import PRELUDE, Copy, Record, SchemaError, Term, Type
from store.schema.writing import SchemaWriter

__all__ = ["Record", "Schema", "SchemaError"]


class Schema:
    """A set of types that has been checked. Readers and writers of a type are made when they are first needed."""

    def __init__(self, types: Mapping[str, Type], advanced: tuple[str, ...] = ()) -> None:
        """A schema of these types; SchemaError if they do not make sense. The prelude's types may be left out."""
        self.types: dict[str, Type] = dict(types)
        self.advanced = advanced
        self._known = {**PRELUDE, **self.types}
        check(self._known, advanced)
        self._reader = SchemaReader(self._known)
        self._writer = SchemaWriter(self._known)

    @classmethod
    def parse(cls, text: str) -> Schema:
        """The schema that a text in the schema language declares; SchemaError with the line of what is wrong."""
        return cls(*parse(text))

    def read(self, name: str, data: Any) -> Any:
        """The value of a type that `data` represents; SchemaError, with the path, if it represents none.

        Structs become `Record`s with every field (None for an optional one that is absent, unless null is a value of
        it: then it is left out); enums the names of their members; unions a `Record` of one member's name and value;
        units None. Everything else is as it is in the data model.
        """
        return self._reader.named(name)(data)

    def write(self, name: str, value: Any) -> Any:
        """The data that represent a value of a type: the inverse of `read`. SchemaError, with the path."""
        return self._writer.named(name)(value)

    def type_of(self, term: Term) -> Type:
        """The type that a term stands for, copies followed; KeyError for a name that is none."""
        return resolve(self._known, term)

    def name_of(self, name: str) -> str:
        """The name of the type that a name is a copy of, else the name itself."""
        kind = self._known[name]
        return self.name_of(kind.source) if isinstance(kind, Copy) else name
