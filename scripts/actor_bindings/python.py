"""The Python modules of `bridge.bindings`, from the IPLD schemas; and what all generators read from the schemas.

The description of a type is the comment before it, without the lines about method numbers. The first comment of a
schema describes the actor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bridge.actors.binding import field_name
from bridge.actors.exported_methods import EXIT_CODES, SMALL_NUMBERS_ONLY, exported_methods
from bridge.actors.schemas import EVENT_ENTRIES, FIXED_NUMBERS, ActorMethod, actor_schema, methods
from bridge.filecoin.method_numbers import method_number
from hypervisor.builtin_actors.schemas import NAMES, SHARED, file_text
from store.schema import Schema
from store.schema.types import Bytes, Copy, Kinded, Link, List, Map, Simple, Struct, Term, Type, Union, Unit

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


FOLDER: Final = Path("bridge/bindings")
SCALARS: Final = {
    "ActorID": "ActorID",
    "ChainEpoch": "ChainEpoch",
    "MethodNum": "MethodNumber",
    "TokenAmount": "TokenAmount",
    "BigInt": "int",
    "DataCap": "int",
    "Address": "Address",
}
"""Mapping from schema types to Python types."""

_WRAPPED: Final = ("ActorID", "ChainEpoch", "MethodNumber", "TokenAmount")
"""Number types of the schemas; functions accept plain integers for them."""
_SINGLE: Final = {"Address": "address", "ActorID": "actor", "DealID": "deal", "SectorNumber": "sector"}


@dataclass(frozen=True, slots=True)
class Argument:
    """A function parameter: its name, its type, and the expression of the dataclass field."""

    name: str
    type: str
    value: str
    unit: str | None


def write(project: Path) -> None:
    """Write the modules of all actors in a project's folder, and delete other modules there."""
    folder = project / FOLDER
    for name in (SHARED, *NAMES):
        (folder / f"{name}.py").write_text("\n".join(_module(name)).rstrip() + "\n", encoding="utf-8")
    for path in folder.glob("*.py"):
        if path.stem not in ("__init__", SHARED, *NAMES):
            path.unlink()


def _module(actor: str) -> Iterator[str]:
    body = [line for part in (_numbers(actor), _exits(actor), _classes(actor), _calls(actor)) for line in part]
    text = "\n".join(body)
    about = schema_comments(actor).get(actor, "Types and methods shared by all actors.").rstrip(".")
    source = f"hypervisor/builtin_actors/schemas/{actor}.ipldsch"
    yield f'"""{about}.\n\nGenerated from {source}: `make bindings`.\n"""\n'
    yield "from __future__ import annotations\n"
    yield from _imports(actor, text)
    shared = "" if actor == SHARED else ", common.CODEC"
    yield f'\nCODEC: Final = Codec("{actor}"{shared})\n'
    yield text


def _imports(actor: str, text: str) -> Iterator[str]:
    def used(*names: str) -> str:
        return ", ".join(sorted(name for name in names if re.search(rf"\b{name}\b", text)))

    if used("Sequence"):
        yield "from collections.abc import Sequence"
    if used("dataclass"):
        yield "from dataclasses import dataclass"
    if used("IntEnum"):
        yield "from enum import IntEnum"
    yield "from typing import Final\n"
    yield f"from bridge.actors.binding import {', '.join(filter(None, [used('Call'), 'Codec', used('Struct')]))}"
    if actor != SHARED:
        yield "from bridge.bindings import common"
        shared = used(*structs(SHARED))
        if shared:
            yield f"from bridge.bindings.common import {shared}"
    for module, names in (
        ("hypervisor.messages.address", ("Address",)),
        ("hypervisor.types", _WRAPPED),
        ("store.cid", ("Cid",)),
    ):
        if used(*names):
            yield f"from {module} import {used(*names)}"


@cache
def _actor_methods(actor: str) -> tuple[tuple[int, ActorMethod], ...]:
    known = {method.name: method for method in methods(actor).values()}
    small = {name: int(number) for number, name in (row.split() for row in FIXED_NUMBERS.get(actor, "0 -").split(", "))}
    exported = () if actor in SMALL_NUMBERS_ONLY else exported_methods(actor)
    numbers = {"Constructor": 1} if actor != SHARED else {}
    declared = {
        name.removesuffix(end) for end in ("Params", "Return") for name in own_types(actor) if name.endswith(end)
    }
    for name in declared | {"Receive"} if actor == SHARED else declared:
        if name in known:
            numbers[name] = int(method_number(name))
    numbers |= {name: number for name, number in small.items() if number} | {
        method.name: int(method.number) for method in exported
    }
    return tuple((number, known[name]) for name, number in sorted(numbers.items(), key=lambda item: item[1]))


def _numbers(actor: str) -> Iterator[str]:
    for number, method in _actor_methods(actor):
        yield f"{_constant(method.name)}: Final = MethodNumber({number})"
    yield "\n"


def _exits(actor: str) -> Iterator[str]:
    if actor in EXIT_CODES:
        yield "class Exit(IntEnum):"
        yield '    """Exit codes specific to this actor; `hypervisor.exit_codes.ExitCode` has the common ones."""\n'
        yield from (f"    {name} = {number}" for name, number in EXIT_CODES[actor].items())
        yield "\n"


def _classes(actor: str) -> Iterator[str]:
    schema, notes = schema_of(actor), schema_comments(actor)
    for name in structs(actor):
        kind = schema.types[name]
        assert isinstance(kind, Struct)
        fields = {field: _argument(actor, field, part.type, part.nullable) for field, part in kind.fields.items()}
        yield "@dataclass(frozen=True, slots=True)"
        yield f"class {name}(Struct, codec=CODEC):"
        yield f'    """{_about(name, notes.get(name), list(fields.values()))}"""\n'
        for field, part in kind.fields.items():
            yield f"    {field_name(field)}: {_type(actor, part.type, part.nullable)}"
        yield "\n"


def _about(name: str, note: str | None, arguments: list[Argument]) -> str:
    if note is None:
        note = f"Parameters of {name[:-6]}." if name.endswith("Params") else f"Return value of {name[:-6]}."
        if not name.endswith(("Params", "Return")):
            note = f"{name}, used in parameters and return values."
    return _wrap(note + _units(arguments))


def _units(arguments: list[Argument]) -> str:
    by_unit: dict[str, list[str]] = {}
    for argument in arguments:
        if argument.unit:
            by_unit.setdefault(argument.unit, []).append(f"`{argument.name}`")
    return "".join(f" {', '.join(names)}: {unit}." for unit, names in by_unit.items())


def _wrap(text: str) -> str:
    """Wrap a docstring's text; a long one is split into a summary line and a body."""
    if len(text) <= 105:
        return text
    first, _, rest = text.partition(". ")
    lines = [""]
    for word in rest.split():
        if len(lines[-1]) + len(word) > 112:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join([f"{first}.", "", *(f"    {line}" for line in lines), "    "])


def _calls(actor: str) -> Iterator[str]:
    for number, method in _actor_methods(actor):
        arguments, value = _arguments(actor, method)
        return_type = _type(actor, method.returns) if method.returns else "None"
        signature = ", ".join(f"{argument.name}: {argument.type}" for argument in arguments)
        names = [_quote(method.params), value, _quote(method.returns)]
        yield f"def {_snake(method.name)}({signature}) -> Call[{return_type}]:"
        yield f'    """{_wrap(_call_note(actor, method, number) + _units(arguments))}"""'
        yield f"    return CODEC.call({_constant(method.name)}, {', '.join(names)})\n\n"


def _call_note(actor: str, method: ActorMethod, number: int) -> str:
    numbers = {int(key) for key, known in methods(actor).items() if known.name == method.name}
    own = [key for key in numbers if key != method_number(method.name) and key != number]
    among = f" ({own[0]} between actors)" if own else ""
    return f"Call {method.name}, method {number}{among}."


def _arguments(actor: str, method: ActorMethod) -> tuple[list[Argument], str]:
    """Return a function's parameters and the expression that is passed to the codec."""
    if method.params is None:
        return [], "None"
    schema = schema_of(actor)
    kind = schema.type_of(method.params)
    if not isinstance(kind, Struct):
        base = schema.name_of(method.params)
        argument = _argument(actor, _SINGLE.get(base, "value"), base)
        return [argument], argument.value
    arguments = [_argument(actor, name, part.type, part.nullable) for name, part in kind.fields.items()]
    return arguments, f"{schema.name_of(method.params)}({', '.join(argument.value for argument in arguments)})"


def _argument(actor: str, field: str, term: Term, nullable: bool = False) -> Argument:
    name, kind = field_name(field), _type(actor, term, nullable)
    base = schema_of(actor).name_of(term) if isinstance(term, str) else ""
    unit = UNITS.get(base)
    if kind in _WRAPPED:
        return Argument(name, "int", f"{kind}({name})", unit)
    if kind.startswith("tuple[") and not nullable:
        return Argument(name, f"Sequence[{kind[6:-6]}]", f"tuple({name})", unit)
    return Argument(name, kind, name, unit)


def _type(actor: str, term: Term, nullable: bool = False) -> str:
    if nullable:
        return f"{_type(actor, term)} | None"
    schema = schema_of(actor)
    if isinstance(term, str):
        name = schema.name_of(term)
        if name in SCALARS:
            return SCALARS[name]
        kind = schema.type_of(name)
        if isinstance(kind, Struct):
            return name
    else:
        kind = schema.type_of(term)
    match kind:
        case Simple(name):
            return {"int": "int", "bool": "bool", "string": "str"}[name]
        case Bytes():
            return "bytes"
        case Link():
            return "Cid"
        case Unit("null"):
            return "None"
        case List(value, inner):
            return f"tuple[{_type(actor, value, inner)}, ...]"
        case Union(members, Kinded()):
            return " | ".join(_type(actor, member) for member in members.values())
        case _:
            raise TypeError(f"{term} has no type in Python")


def _quote(name: str | None) -> str:
    return "None" if name is None else f'"{name}"'


def _snake(name: str) -> str:
    """Convert a name to snake case: `GetPeerID` is `get_peer_id`, `SubmitWindowedPoSt` is `submit_windowed_post`."""
    name = name.replace("PoSt", "Post").replace("EVM", "Evm").replace("KPI", "Kpi").replace("NI", "Ni")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _constant(method: str) -> str:
    return _snake(method).upper()


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2])
