"""IPLD selectors: what a walk over data and through links looks at, and what it picks out.

A selector is data itself (DAG-CBOR or DAG-JSON), which `parse_selector` reads; `store.selection` walks. Known are all
of the specification's clauses; of its conditions, which it leaves unfinished, the one that stops a recursion at a link.
`~` opens the advanced layouts of `store.layouts`. Rules: https://ipld.io/specs/selectors/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from store.cid import Cid
from store.codec import kind_of, unlink
from store.layouts import Layout, LayoutError

MAX_CLAUSES: Final = 64
"""How deep clauses may be nested in a selector."""


class SelectorError(ValueError):
    """Data that are no selector, or a walk that it cannot make or that goes beyond its limits."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """This node is selected; of strings and bytes, the part from one offset to another."""

    label: str | None = None
    subset: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Every child."""

    next: Selector


@dataclass(frozen=True, slots=True)
class Fields:
    """The children with these names, in this order."""

    fields: tuple[tuple[str, Selector], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The children of a list from one index up to another."""

    start: int
    end: int
    next: Selector


@dataclass(frozen=True, slots=True)
class Recursive:
    """`sequence`, and where it comes to an edge, the same again; `current` is what is left of the present round."""

    sequence: Selector
    current: Selector
    depth: int | None
    stop_at: Cid | None


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a recursion begins again."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several selectors at once."""

    members: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class InterpretAs:
    """The node is the root of an advanced layout, whose entries are its children."""

    layout: str
    next: Selector


Selector: TypeAlias = "Matcher | All | Fields | Range | Recursive | Edge | AnyOf | InterpretAs"


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_selector(data: Any) -> Selector:
    """The selector that some data describe, in an envelope {"selector": ...} or without; SelectorError."""
    if type(data) is dict and data.keys() == {"selector"}:
        data = data["selector"]
    return _parse(data, MAX_CLAUSES, recursive=False)


def _parse(data: Any, depth: int, recursive: bool) -> Selector:
    if depth == 0:
        raise SelectorError(f"more than {MAX_CLAUSES} clauses in one another")
    if type(data) is not dict or len(data) != 1:
        raise SelectorError("a clause is a map of one entry")
    ((name, body),) = data.items()
    if name == "|":
        if type(body) is not list or not body:
            raise SelectorError("a union is a list of clauses")
        return AnyOf(tuple(_parse(item, depth - 1, recursive) for item in body))
    if type(body) is not dict:
        raise SelectorError(f"the body of the clause '{name}' is a map")
    if name == "@":
        if not recursive:
            raise SelectorError("an edge outside a recursion")
        return Edge()
    parse = _CLAUSES.get(name)
    if parse is None:
        raise SelectorError(f"the clause {name!r:.60} is not known")
    clause = _Clause(name, body, depth, recursive)
    selector = parse(clause)
    clause.done()
    return selector


class _Clause:
    """The body of a clause while it is read: what is taken from it, and what is left over."""

    def __init__(self, name: str, body: dict[str, Any], depth: int, recursive: bool) -> None:
        self.name = name
        self._left = dict(body)
        self._depth = depth
        self._recursive = recursive

    def take(self, key: str, kind: str, optional: bool = False) -> Any:
        """An entry of a kind."""
        if key not in self._left:
            if optional:
                return None
            raise SelectorError(f"the clause '{self.name}' lacks '{key}'")
        value = self._left.pop(key)
        if kind_of(value) != kind:
            raise SelectorError(f"'{key}' of the clause '{self.name}' is {kind_of(value)}, not {kind}")
        return value

    def next(self, key: str = ">", recursive: bool | None = None) -> Selector:
        """The clause that follows."""
        return self.below(self.take(key, "map"), recursive)

    def below(self, data: Any, recursive: bool | None = None) -> Selector:
        """A clause inside this one."""
        return _parse(data, self._depth - 1, self._recursive if recursive is None else recursive)

    def done(self) -> None:
        """SelectorError if an entry was not understood."""
        if self._left:
            raise SelectorError(f"the clause '{self.name}' has no '{min(self._left)}'")


def _matcher(clause: _Clause) -> Selector:
    subset = clause.take("subset", "map", optional=True)
    if subset is not None:
        if subset.keys() != {"[", "]"} or not all(kind_of(end) == "int" for end in subset.values()):
            raise SelectorError("a subset has two offsets, '[' and ']'")
        subset = (subset["["], subset["]"])
    return Matcher(clause.take("label", "string", optional=True), subset)


def _fields(clause: _Clause) -> Selector:
    return Fields(tuple((name, clause.below(data)) for name, data in clause.take("f>", "map").items()))


def _index(clause: _Clause) -> Selector:
    index = clause.take("i", "int")
    if index < 0:
        raise SelectorError(f"{index} is not an index")
    return Range(index, index + 1, clause.next())


def _range(clause: _Clause) -> Selector:
    start, end = clause.take("^", "int"), clause.take("$", "int")
    if not 0 <= start < end:
        raise SelectorError(f"a range from {start} to {end}")
    return Range(start, end, clause.next())


def _recursive(clause: _Clause) -> Selector:
    limit = clause.take("l", "map")
    depth = limit.get("depth")
    if limit != {"none": {}} and (limit.keys() != {"depth"} or type(depth) is not int or depth < 0):
        raise SelectorError('the limit of a recursion is {"none": {}} or {"depth": number}')
    stop = clause.take("!", "map", optional=True)
    if stop is not None and (stop.keys() != {"/"} or kind_of(stop["/"]) != "link"):
        raise SelectorError("the only condition to stop at is a link")
    sequence = clause.next(":>", recursive=True)
    if not _mentions_edge(sequence):
        raise SelectorError("a recursion without an edge")
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
    """Whether the edge of this recursion, not that of one inside it, is somewhere in a selector."""
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
