"""Sequences are shortened by delta debugging (Zeller and Hildebrandt), long ones in few tries."""

from collections.abc import Sequence

import pytest

from fvm_hypervisor.soltest.shrinking import shrink


def needs(*wanted: int) -> tuple[list[int], list[int]]:
    """Return what 500 steps are shortened to if these fail together, in this order, and an entry for each try."""
    tries: list[int] = []

    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        tries.append(len(steps))
        found = iter(steps)
        if not all(step in found for step in wanted):
            return None
        return len(steps) - len(list(found)), "why"

    best, reason = shrink(list(range(500)), "why", fails, 5000)
    assert reason == "why"
    return list(best), tries


@pytest.mark.parametrize("wanted", [(499,), (0,), (249, 250), (3, 77, 499), (10, 11, 12, 13)])
def test_shrinking_leaves_only_necessary_calls(wanted: tuple[int, ...]) -> None:
    best, tries = needs(*wanted)
    assert best == list(wanted)
    assert len(tries) < 100  # one by one it would be 500


def test_shrinking_drops_steps_needed_only_by_removed_ones() -> None:
    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        pairs = all((2 * pair in steps) == (2 * pair + 1 in steps) or 2 * pair not in steps for pair in range(4))
        return (len(steps), "why") if 9 in steps and pairs else None  # an even step needs the next

    assert shrink(list(range(10)), "why", fails, 5000)[0] == [9]


def test_the_tries_are_bounded() -> None:
    tries: list[int] = []

    def fails(steps: Sequence[int]) -> tuple[int, str] | None:
        tries.append(len(steps))
        return None

    assert shrink(list(range(500)), "why", fails, 7) == (list(range(500)), "why")
    assert len(tries) == 7
