"""Planted defects in the merge of workers' results, which a comparison with serial execution finds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hypervisor.machine import parallel
from hypervisor.machine.speculation import PackedEffects
from hypervisor.state.state_tree import StateTree


def _lose_a_write(apply_effects: Callable[..., None]) -> Callable[..., None]:
    def lost(tree: StateTree, effects: PackedEffects) -> None:
        reads, lookups, have_changed, writes, credited = effects
        apply_effects(tree, (reads, lookups, have_changed, writes[:-1], credited))

    return lost


def _lose_a_credit(apply_effects: Callable[..., None]) -> Callable[..., None]:
    def lost(tree: StateTree, effects: PackedEffects) -> None:
        reads, lookups, have_changed, writes, credited = effects
        apply_effects(tree, (reads, lookups, have_changed, writes, credited[:-1]))

    return lost


def _see_no_conflict(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *_: None


def _look_at_no_change(conflict_of: Callable[..., Any]) -> Callable[..., Any]:
    """Read the block's initial state, regardless of writes in the meantime."""

    def unchecked(message: int, tree: StateTree, begun: Any, effects: PackedEffects) -> Any:
        reads, _, _, writes, credited = effects
        changed = [each for each in reads if each[2]]
        return conflict_of(message, tree, begun, (changed, [], False, writes, credited))

    return unchecked


PLANTS: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "a write is lost": ("apply_effects", _lose_a_write),
    "a fee is lost": ("apply_effects", _lose_a_credit),
    "no conflict is seen": ("conflict_of", _see_no_conflict),
    "changes by other messages are not seen": ("conflict_of", _look_at_no_change),
}
"""Name in `hypervisor.machine.parallel` and factory of the defective replacement."""


def plant(name: str) -> None:
    """Install the named defect in this process."""
    what, make = PLANTS[name]
    setattr(parallel, what, make(getattr(parallel, what)))


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Install the named defect inside the context; none for None."""
    if name is None:
        yield
        return
    what, _ = PLANTS[name]
    sound = getattr(parallel, what)
    plant(name)
    try:
        yield
    finally:
        setattr(parallel, what, sound)
