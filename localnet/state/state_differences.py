"""Differences between two states: actor, path, value before and after. Blocks that both states share are not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState
from localnet.state.actor_interfaces import ActorSchemas, no_schemas
from localnet.state.inspection import StateInspector, StateValue, child_term, key_text, value_of_entry, value_text
from store.blockstore import Blockstore, get_object
from store.cid import Cid, show
from store.codec import kind_of, unlink
from store.schema.types import List, Map
from store.trees.nodes import MISSING
from store.trees.paths import Layout

_ACTORS: Final = Layout("HAMT5")
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class StateChange:
    """A difference: the actor, the path in its state, and the text before and after; None for no value."""

    actor: str
    type: str
    path: str
    before: str | None
    after: str | None


def state_differences(
    store: Blockstore, before: Cid, after: Cid, schemas: ActorSchemas = no_schemas
) -> Iterator[StateChange]:
    """Yield the differences of two states by actor ID. Raises BlockNotFound and StoreCorrupt as an inspector does."""
    inspectors = StateInspector(store, before, schemas), StateInspector(store, after, schemas)
    roots = (unlink(get_object(store, root)[1]) for root in (before, after))
    found = [(Address.from_bytes(bytes(key)), pair) for key, *pair in _ACTORS.differences(store, *roots)]
    for address, pair in sorted(found, key=lambda item: item[0].actor_id() or 0):
        old, new = (None if fields is MISSING else ActorState.from_fields(fields) for fields in pair)
        present = new or old
        assert present is not None, "a difference has a state on at least one side"
        kind = inspectors[new is not None].type_of(present.code)
        for path, *texts in _actor(inspectors, old, new):
            yield StateChange(str(address), kind, path, texts[0], texts[1])


_Change = tuple[str, str | None, str | None]


def _actor(
    inspectors: tuple[StateInspector, StateInspector], old: ActorState | None, new: ActorState | None
) -> Iterator[_Change]:
    texts = [{} if state is None else _fields(state) for state in (old, new)]
    for name in texts[1] or texts[0]:
        pair = texts[0].get(name), texts[1].get(name)
        if pair[0] != pair[1]:
            yield name, *pair
    if old is not None and new is not None and old.head == new.head and old.code == new.code:
        return
    locations = [
        None if state is None else inspector.state_value(state)
        for inspector, state in zip(inspectors, (old, new), strict=True)
    ]
    yield from _StateComparison(inspectors).differences("state", *locations)


def _fields(state: ActorState) -> dict[str, str]:
    delegated = {} if state.delegated_address is None else {"delegated_address": str(state.delegated_address)}
    return {"code": show(state.code), "balance": str(state.balance), "nonce": str(state.nonce), **delegated}


class _StateComparison:
    """Compares two values recursively."""

    def __init__(self, inspectors: tuple[StateInspector, StateInspector]) -> None:
        self._inspectors = inspectors

    def differences(self, path: str, old: StateValue | None, new: StateValue | None) -> Iterator[_Change]:
        """Yield the differences at a path and below. A value added or removed as a whole is one difference."""
        if old is None or new is None:
            yield path, _value_text(old), _value_text(new)
            return
        if _same(old, new):
            return
        old, new = self._inspectors[0].follow_link(old), self._inspectors[1].follow_link(new)
        if old.layout is not None and old.layout == new.layout:
            yield from self._entries(path, old, new)
        elif old.layout is None and new.layout is None and isinstance(old.value, dict) and isinstance(new.value, dict):
            for key in {**old.value, **new.value}:
                yield from self.differences(f"{path}/{key}", _child(old, key), _child(new, key))
        elif old.layout is None and new.layout is None and isinstance(old.value, list) and isinstance(new.value, list):
            for number, pair in enumerate(zip_longest(old.value, new.value, fillvalue=_NOTHING)):
                steps = (_item(node, number, value) for node, value in zip((old, new), pair, strict=True))
                yield from self.differences(f"{path}/{number}", *steps)
        else:
            texts = _value_text(old), _value_text(new)
            if texts[0] != texts[1]:
                yield path, *texts

    def _entries(self, path: str, old: StateValue, new: StateValue) -> Iterator[_Change]:
        assert old.layout is not None
        kinds = [node.schema.type_of(node.term) for node in (old, new)]
        assert all(isinstance(kind, Map | List) for kind in kinds)
        store = self._inspectors[1].store
        for key, *pair in Layout(old.layout).differences(store, old.value, new.value):
            entries = (
                None if value is MISSING else value_of_entry(node.schema, kind, value)  # type: ignore[arg-type]  # `kinds` is checked above
                for node, kind, value in zip((old, new), kinds, pair, strict=True)
            )
            name = key_text(new.schema, kinds[1], key)  # type: ignore[arg-type]  # `kinds` is checked above
            yield from self.differences(f"{path}/{name}", *entries)


def _same(old: StateValue, new: StateValue) -> bool:
    return old.layout is None and new.layout is None and old.value == new.value


def _child(node: StateValue, key: Any) -> StateValue | None:
    if key not in node.value:
        return None
    return StateValue(node.schema, child_term(node, str(key)), node.value[key])


def _item(node: StateValue, number: int, value: Any) -> StateValue | None:
    return None if value is _NOTHING else StateValue(node.schema, child_term(node, str(number)), value)


def _value_text(node: StateValue | None) -> str | None:
    if node is None:
        return None
    if node.layout is not None:
        return show(node.value)
    if kind_of(node.value) == "link":
        return show(unlink(node.value))
    return value_text(node)
