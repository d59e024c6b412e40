"""Comments, methods and units in the IPLD schemas, used by the generators.

The description of a type is the comment before it, without the lines about method numbers. The first comment of a
schema describes the actor.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from bridge.actors.schemas import EVENT_ENTRIES, actor_schema
from hypervisor.builtin_actors.schemas import NAMES, SHARED, file_text
from store.schema import Schema
from store.schema.types import Copy, Link, List, Map, Struct, Term, Type, Union

UNITS: Final = {
    "TokenAmount": "attoFIL",
    "DataCap": "bytes of data",
    "ChainEpoch": "an epoch",
    "PaddedPieceSize": "bytes, padded",
    "BitField": "a set of numbers in RLE+",
    "RawBytes": "CBOR or empty",
    "Signature": "a type byte, then the signature",
}
"""Unit of a type whose name does not state it."""

_TYPE: Final = re.compile(r"^type (\w+)")


def own_types(actor: str) -> tuple[str, ...]:
    """Return the names of the types that an actor's own schema declares, in order."""
    return tuple(found[1] for line in file_text(actor).splitlines() if (found := _TYPE.match(line)))


@cache
def schema_comments(actor: str) -> dict[str, str]:
    """Return descriptions by type, and the actor's under the actor's name."""
    found: dict[str, str] = {}
    lines: list[str] = []
    for line in file_text(actor).splitlines():
        if line.startswith("#"):
            lines.append(line.removeprefix("#").strip())
            continue
        text = " ".join(part for part in lines if not part.startswith("method"))
        if text and (declared := _TYPE.match(line)):
            found[declared[1]] = text[:1].upper() + text[1:].rstrip(".") + "."
        if lines and not found.get(actor) and actor != SHARED:
            found[actor] = lines[0]
        lines = []
    return found


def schema_of(actor: str) -> Schema:
    """Return an actor's parsed schema, including the shared types; for `common`, only the shared types."""
    return actor_schema(actor if actor in NAMES else "placeholder")


def structs(actor: str) -> list[str]:
    """Return the structs used by an actor's methods, in order, without those used only by its state and events."""
    schema, own = schema_of(actor), own_types(actor)
    others = [name for name in own if name.startswith("State") or name == EVENT_ENTRIES]
    of_others = set().union(*(_reachable_types(schema, name) for name in others))
    roots = [name for name in own if name not in of_others or name.endswith(("Params", "Return"))]
    wanted = set().union(*(_reachable_types(schema, name) for name in roots)) - set(others)
    return [name for name in own if name in wanted and isinstance(schema.types[name], Struct)]


def _reachable_types(schema: Schema, name: str) -> set[str]:
    found: set[str] = set()
    waiting: list[Term] = [name]
    while waiting:
        term = waiting.pop()
        if not isinstance(term, str):
            waiting += _parts(term)
        elif term in schema.types and term not in found:
            found.add(term)
            waiting += _parts(schema.types[term])
    return found


def _parts(kind: Type) -> list[Term]:
    match kind:
        case Struct(fields):
            return [field.type for field in fields.values()]
        case Union(members):
            return list(members.values())
        case Copy(part) | Link(part) | List(part) | Map(_, part):
            return [part]
        case _:
            return []
