"""IPLD selectors, declarative descriptions of walks over data and through links; and the walks.

A selector is itself data (DAG-CBOR or DAG-JSON) and is parsed by `parse_selector`. All clauses of the specification are
supported; of its conditions, which are unfinished, only the one that stops a recursion at a link. `~` opens the
advanced layouts of `store.trees.paths`. Source: https://ipld.io/specs/selectors/

In a walk a node comes before its children. Children come in the order in which the selector names them, else in the
order of the data. Byte keys of layouts are written in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from store.blocks.memory import RecordingBlockstore
from store.blockstore import Blockstore
from store.cid import RAW, Cid, codec_of
from store.codec import kind_of, unlink
from store.trees.paths import Layout, LayoutError, load

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


MAX_NODES: Final = 1 << 20
"""Default maximum number of nodes that a walk visits."""

Segment: TypeAlias = "str | int"


@dataclass(frozen=True, slots=True)
class Visit:
    """A visited node: its path, its value (None for an opened layout), and the selector that applies to it."""

    path: tuple[Segment, ...]
    value: Any
    selector: Selector


def walk(store: Blockstore, root: Cid, selector: Selector, limit: int = MAX_NODES) -> Iterator[Visit]:
    """Walk from the block `root`, and yield each visited node.

    Raises SelectorError after `limit` nodes, BlockNotFound, StoreCorrupt, LayoutError and TreeNodeError.
    """
    return _SelectorWalk(store, limit, once=False).walk(_SelectedNode.of_block(store, root), selector)


def selected_blocks(
    store: Blockstore, root: Cid, selector: Selector, limit: int = MAX_NODES
) -> Iterator[tuple[Cid, bytes]]:
    """Iterate over the blocks that a walk reads, each once, in reading order, e.g. to export a partial state.

    A link is not followed twice with the same selector. Raises the same errors as `walk`.
    """
    recorder = RecordingBlockstore(store)
    steps = _SelectorWalk(recorder, limit, once=True)
    for _ in steps.walk(_SelectedNode.of_block(recorder, root), selector):
        yield from recorder.take()
    yield from recorder.take()


@dataclass(frozen=True, slots=True)
class _SelectedNode:
    """A node: its value, its CID if it is the root of a block, and its layout if it was opened as one."""

    value: Any
    block: Cid | None = None
    layout: Layout | None = None

    @classmethod
    def of_block(cls, store: Blockstore, cid: Cid) -> Self:
        return cls(store.get(cid) if codec_of(cid) == RAW else load(store, cid), cid)


class _SelectorWalk:
    def __init__(self, store: Blockstore, limit: int, once: bool) -> None:
        self._store = store
        self._limit = self._left = limit
        self._followed: set[tuple[Cid, Selector]] | None = set() if once else None

    def walk(self, node: _SelectedNode, selector: Selector) -> Iterator[Visit]:
        path: list[Segment] = []
        node, selector = self._open(node, selector)
        yield self._visit(node, selector, path)
        todo = [self._children(node, selector)]
        while todo:
            found = next(todo[-1], None)
            if found is None:
                todo.pop()
                if path:
                    path.pop()
                continue
            segment, node, selector = found
            path.append(segment)
            node, selector = self._open(node, selector)
            yield self._visit(node, selector, path)
            todo.append(self._children(node, selector))

    def _visit(self, node: _SelectedNode, selector: Selector, path: list[Segment]) -> Visit:
        self._left -= 1
        if self._left < 0:
            raise SelectorError(f"the walk visits more than {self._limit:,} nodes: use a narrower selector")
        return Visit(tuple(path), None if node.layout is not None else node.value, selector)

    def _open(self, node: _SelectedNode, selector: Selector) -> tuple[_SelectedNode, Selector]:
        """Open the node as the advanced layout that the selector names."""
        current = selector.current if isinstance(selector, Recursive) else selector
        if not isinstance(current, InterpretAs):
            return node, selector
        if node.block is None:
            raise SelectorError(f"cannot open a {current.layout} here: it must start at the root of a block")
        opened = _SelectedNode(None, node.block, Layout(current.layout))
        if isinstance(selector, Recursive):
            return opened, Recursive(selector.sequence, current.next, selector.depth, selector.stop_at)
        return opened, current.next

    def _children(self, node: _SelectedNode, selector: Selector) -> Iterator[tuple[Segment, _SelectedNode, Selector]]:
        interests = _interests(selector)
        entries = self._entries(node) if interests is None else self._select(node, interests)
        for segment, value in entries:
            below = _explore(selector, segment, value, self._is_list(node))
            if below is None:
                continue
            if kind_of(value) != "link":
                yield segment, _SelectedNode(value), below
                continue
            cid = unlink(value)
            if self._followed is not None:
                if (cid, below) in self._followed:
                    continue
                self._followed.add((cid, below))
            yield segment, _SelectedNode.of_block(self._store, cid), below

    def _is_list(self, node: _SelectedNode) -> bool:
        return type(node.value) is list if node.layout is None else node.layout.is_list

    def _entries(self, node: _SelectedNode) -> Iterator[tuple[Segment, Any]]:
        if node.layout is not None:
            assert node.block is not None
            for key, value in node.layout.items(self._store, node.block):
                yield (key.hex() if isinstance(key, bytes) else key), value
        elif type(node.value) is list:
            yield from enumerate(node.value)
        elif type(node.value) is dict:
            yield from node.value.items()

    def _select(self, node: _SelectedNode, interests: list[str | range]) -> Iterator[tuple[Segment, Any]]:
        for interest in interests:
            if isinstance(interest, str):
                yield from self._entries_of(node, interest)
            elif node.layout is not None and node.layout.is_list:
                for key, value in self._entries(node):
                    if key in interest:
                        yield key, value
            elif type(node.value) is list:
                for index in range(interest.start, min(interest.stop, len(node.value))):
                    yield index, node.value[index]

    def _entries_of(self, node: _SelectedNode, name: str) -> Iterator[tuple[Segment, Any]]:
        if node.layout is not None:
            assert node.block is not None
            try:
                key: bytes | int = int(name) if node.layout.is_list else bytes.fromhex(name)
            except ValueError:
                return
            found, value = node.layout.get(self._store, node.block, key)
            if found:
                yield name, value
        elif type(node.value) is dict and name in node.value:
            yield name, node.value[name]
        elif type(node.value) is list and name.isdecimal() and int(name) < len(node.value):
            yield int(name), node.value[int(name)]


def _interests(selector: Selector) -> list[str | range] | None:
    """Return the children that a selector names, or None for all children."""
    match selector:
        case All():
            return None
        case Fields(fields):
            return [name for name, _ in fields]
        case Range(start, end):
            return [range(start, end)]
        case Recursive(current=current):
            return _interests(current)
        case AnyOf(members):
            wanted: list[str | range] = []
            for member in members:
                more = _interests(member)
                if more is None:
                    return None
                wanted += [interest for interest in more if interest not in wanted]
            return wanted
        case _:
            return []


def _explore(selector: Selector, segment: Segment, value: Any, of_list: bool) -> Selector | None:
    match selector:
        case All(below):
            return below
        case Fields(fields):
            return next((below for name, below in fields if name == str(segment)), None)
        case Range(start, end, below):
            return below if of_list and isinstance(segment, int) and start <= segment < end else None
        case Recursive():
            return _explore_recursive(selector, segment, value, of_list)
        case AnyOf(members):
            explored = (_explore(member, segment, value, of_list) for member in members)
            return _union([below for below in explored if below is not None])
        case _:
            return None


def _explore_recursive(selector: Recursive, segment: Segment, value: Any, of_list: bool) -> Selector | None:
    if selector.stop_at is not None and kind_of(value) == "link" and unlink(value) == selector.stop_at:
        return None
    below = _explore(selector.current, segment, value, of_list)
    if below is None:
        return None
    if not _at_edge(below):
        return Recursive(selector.sequence, below, selector.depth, selector.stop_at)
    if selector.depth is not None and selector.depth < 2:
        return _replace_edge(below, None)
    depth = None if selector.depth is None else selector.depth - 1
    current = _replace_edge(below, selector.sequence)
    assert current is not None
    return Recursive(selector.sequence, current, depth, selector.stop_at)


def _at_edge(selector: Selector) -> bool:
    return isinstance(selector, Edge) or (isinstance(selector, AnyOf) and any(map(_at_edge, selector.members)))


def _replace_edge(selector: Selector, replacement: Selector | None) -> Selector | None:
    if isinstance(selector, Edge):
        return replacement
    if isinstance(selector, AnyOf):
        replaced = (_replace_edge(member, replacement) for member in selector.members)
        return _union([member for member in replaced if member is not None])
    return selector


def _union(members: Iterable[Selector]) -> Selector | None:
    """Combine selectors into one without duplicates, which would otherwise double at each level of a recursion."""
    different = tuple(dict.fromkeys(_flat(members)))
    if len(different) < 2:
        return different[0] if different else None
    return AnyOf(different)


def _flat(members: Iterable[Selector]) -> Iterator[Selector]:
    """Iterate over the members, expanding nested unions."""
    for member in members:
        if isinstance(member, AnyOf):
            yield from _flat(member.members)
        else:
            yield member
