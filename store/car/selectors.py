"""IPLD selectors: declarative descriptions of walks over data and through links.

A selector is itself data (DAG-CBOR or DAG-JSON) and is parsed by `parse_selector`; `store.selection` implements the
walk. All clauses of the specification are supported; of its conditions, which are unfinished, only the one that stops a
recursion at a link. `~` opens the advanced layouts of `store.layouts`. Source: https://ipld.io/specs/selectors/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from store.cid import Cid
from store.codec import kind_of, unlink
from store.layouts import Layout, LayoutError

MAX_CLAUSES: Final = 64
"""Maximum nesting depth of clauses."""


class SelectorError(ValueError):
    """Raised for an invalid selector, or for a walk that is not possible or exceeds its limits."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Select this node; for strings and bytes, optionally the range between two offsets."""

    label: str | None = None
    subset: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Select every child."""

    next: Selector


@dataclass(frozen=True, slots=True)
class Fields:
    """Select the children with these names, in this order."""

    fields: tuple[tuple[str, Selector], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Select the children of a list with indices from `start` to `end` (exclusive)."""

    start: int
    end: int
    next: Selector


@dataclass(frozen=True, slots=True)
class Recursive:
    """Apply `sequence` recursively at each edge; `current` is the rest of the current iteration."""

    sequence: Selector
    current: Selector
    depth: int | None
    stop_at: Cid | None


@dataclass(frozen=True, slots=True)
class Edge:
    """The point at which a recursion repeats its sequence."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The union of several selectors."""

    members: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class InterpretAs:
    """Interpret the node as the root of an advanced layout, whose entries are its children."""

    layout: str
    next: Selector


Selector: TypeAlias = "Matcher | All | Fields | Range | Recursive | Edge | AnyOf | InterpretAs"


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_selector(data: Any) -> Selector:
    """Parse a selector, with or without an envelope {"selector": ...}. Raises SelectorError."""
    if type(data) is dict and data.keys() == {"selector"}:
        data = data["selector"]
    return _parse(data, MAX_CLAUSES, recursive=False)


def _parse(data: Any, depth: int, recursive: bool) -> Selector:
    if depth == 0:
        raise SelectorError(f"clauses are nested deeper than {MAX_CLAUSES} levels")
    if type(data) is not dict or len(data) != 1:
        raise SelectorError("a clause must be a map with one entry")
    ((name, body),) = data.items()
    if name == "|":
        if type(body) is not list or not body:
            raise SelectorError("a union must be a nonempty list of clauses")
        return AnyOf(tuple(_parse(item, depth - 1, recursive) for item in body))
    if type(body) is not dict:
        raise SelectorError(f"the body of the clause '{name}' must be a map")
    if name == "@":
        if not recursive:
            raise SelectorError("recursion edge outside a recursion")
        return Edge()
    parse = _CLAUSES.get(name)
    if parse is None:
        raise SelectorError(f"unknown clause {name!r:.60}")
    clause = _Clause(name, body, depth, recursive)
    selector = parse(clause)
    clause.require_end()
    return selector


class _Clause:
    """The body of a clause being parsed; tracks the entries not yet consumed."""

    def __init__(self, name: str, body: dict[str, Any], depth: int, recursive: bool) -> None:
        self.name = name
        self._left = dict(body)
        self._depth = depth
        self._recursive = recursive

    def take(self, key: str, kind: str, optional: bool = False) -> Any:
        if key not in self._left:
            if optional:
                return None
            raise SelectorError(f"the clause '{self.name}' requires '{key}'")
        value = self._left.pop(key)
        if kind_of(value) != kind:
            raise SelectorError(f"'{key}' of the clause '{self.name}' must be {kind}, not {kind_of(value)}")
        return value

    def next(self, key: str = ">", recursive: bool | None = None) -> Selector:
        return self.below(self.take(key, "map"), recursive)

    def below(self, data: Any, recursive: bool | None = None) -> Selector:
        return _parse(data, self._depth - 1, self._recursive if recursive is None else recursive)

    def require_end(self) -> None:
        """Raise SelectorError if there are unknown entries."""
        if self._left:
            raise SelectorError(f"unknown entry '{min(self._left)}' in the clause '{self.name}'")


def _matcher(clause: _Clause) -> Selector:
    subset = clause.take("subset", "map", optional=True)
    if subset is not None:
        if subset.keys() != {"[", "]"} or not all(kind_of(end) == "int" for end in subset.values()):
            raise SelectorError("a subset must have two integer offsets, '[' and ']'")
        subset = (subset["["], subset["]"])
    return Matcher(clause.take("label", "string", optional=True), subset)


def _fields(clause: _Clause) -> Selector:
    return Fields(tuple((name, clause.below(data)) for name, data in clause.take("f>", "map").items()))


def _index(clause: _Clause) -> Selector:
    index = clause.take("i", "int")
    if index < 0:
        raise SelectorError(f"{index} is not a valid index")
    return Range(index, index + 1, clause.next())


def _range(clause: _Clause) -> Selector:
    start, end = clause.take("^", "int"), clause.take("$", "int")
    if not 0 <= start < end:
        raise SelectorError(f"invalid range from {start} to {end}")
    return Range(start, end, clause.next())


def _recursive(clause: _Clause) -> Selector:
    limit = clause.take("l", "map")
    depth = limit.get("depth")
    if limit != {"none": {}} and (limit.keys() != {"depth"} or type(depth) is not int or depth < 0):
        raise SelectorError('the limit of a recursion must be {"none": {}} or {"depth": number}')
    stop = clause.take("!", "map", optional=True)
    if stop is not None and (stop.keys() != {"/"} or kind_of(stop["/"]) != "link"):
        raise SelectorError("unsupported stop condition: only links are supported")
    sequence = clause.next(":>", recursive=True)
    if not _mentions_edge(sequence):
        raise SelectorError("a recursion must contain an edge")
    return Recursive(sequence, sequence, depth, None if stop is None else unlink(stop["/"]))


def _interpret(clause: _Clause) -> Selector:
    name = clause.take("as", "string")
    try:
        Layout(name)
    except LayoutError as error:
        raise SelectorError(str(error)) from None
    return InterpretAs(name, clause.next())


_CLAUSES: Final[Mapping[str, Callable[[_Clause], Selector]]] = {
    ".": _matcher,
    "a": lambda clause: All(clause.next()),
    "f": _fields,
    "i": _index,
    "r": _range,
    "R": _recursive,
    "~": _interpret,
}


def _mentions_edge(selector: Selector) -> bool:
    """Return True if the selector contains the edge of this recursion (not of a nested one)."""
    match selector:
        case Edge():
            return True
        case All(next) | Range(next=next) | InterpretAs(next=next):
            return _mentions_edge(next)
        case Fields(fields):
            return any(_mentions_edge(next) for _, next in fields)
        case AnyOf(members):
            return any(_mentions_edge(member) for member in members)
        case _:
            return False
