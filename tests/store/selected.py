"""Nodes matched by a selector, as listed in the specification's examples; CAR export does not need the matches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from store.blockstore import Blockstore
from store.car.selectors import MAX_NODES, AnyOf, Matcher, Recursive, Segment, Selector, parse_selector, walk
from store.cid import Cid

EVERYTHING: Final[Selector] = parse_selector({"R": {"l": {"none": {}}, ":>": {"a": {">": {"@": {}}}}}})
"""Selector of every node below the root, through every link."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A visited node, whether it was matched, and its label; the value is the matched part."""

    path: tuple[Segment, ...]
    value: Any
    matched: bool
    label: str | None


def select(store: Blockstore, root: Cid, selector: Selector, most: int = MAX_NODES) -> Iterator[Selected]:
    """Return the nodes of a walk."""
    for visit in walk(store, root, selector, most):
        matcher, value = _matcher(visit.selector), visit.value
        if matcher is not None and matcher.subset is not None:
            value = _slice(visit.value, matcher.subset)
            if value is None:
                matcher, value = None, visit.value
        yield Selected(visit.path, value, matcher is not None, None if matcher is None else matcher.label)


def _matcher(selector: Selector) -> Matcher | None:
    """Return the matcher that applies to a node, or None."""
    match selector:
        case Matcher():
            return selector
        case Recursive(current=current):
            return _matcher(current)
        case AnyOf(members):
            return next((found for member in members if (found := _matcher(member)) is not None), None)
        case _:
            return None


def _slice(value: Any, subset: tuple[int, int]) -> Any:
    """Return the part of a string or of bytes that a subset selects, or None if it is out of range."""
    if not isinstance(value, str | bytes):
        return None
    start, end = (offset + len(value) if offset < 0 else offset for offset in subset)
    start = max(start, 0)
    return None if start > len(value) or end < start else value[start:end]
