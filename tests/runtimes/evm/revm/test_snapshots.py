"""Snapshots of the state that an observer restores in the same call, and in later ones."""

import pytest

from hypervisor.machine.machine import Hypervisor
from runtimes.evm import SubcallOutcome
from runtimes.evm.revm import InterceptedCall, ObservedCall, Snapshot
from tests.runtimes.evm.revm.test_observed import (
    COUNTS,
    OTHER,
    TO,
    WATCHED,
    Recorder,
    called,
    calling,
    machine,
    sequence,
    slot_of,
)

__all__ = ["machine"]  # a fixture

CODE = f"{calling(WATCHED)} {COUNTS}"


class Snapshots(Recorder):
    """Takes a snapshot at the first stop, and restores it at the others."""

    def __init__(self, at_once: bool = False) -> None:
        super().__init__(self.take_or_restore, at_once=at_once)
        self.taken: Snapshot | None = None

    def take_or_restore(self, run: ObservedCall, _: InterceptedCall) -> SubcallOutcome:
        if self.taken is None:
            self.taken = run.snapshot()
        else:
            run.restore(self.taken)
        return SubcallOutcome(True)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_call_restores_a_snapshot_from_before_the_tree_was_written(machine: Hypervisor, at_once: bool) -> None:
    recorder = Snapshots(at_once)
    for _ in range(3):
        called(machine, recorder, {TO: CODE} if recorder.taken is None else {})
        assert slot_of(machine, TO, 1) == 1
        machine.state_tree.settle()


def test_calls_that_follow_restore_a_snapshot(machine: Hypervisor) -> None:
    recorder = Snapshots(at_once=True)
    made, _ = sequence(machine, recorder, {TO: CODE, OTHER: COUNTS}, [TO, OTHER, TO])
    assert (made, slot_of(machine, TO, 1)) == (4, 1)
    assert not slot_of(machine, OTHER, 1)


def test_calls_that_have_restored_a_snapshot_are_undone_with_their_mark(machine: Hypervisor) -> None:
    recorder = Snapshots(at_once=True)
    called(machine, recorder, {TO: CODE})
    mark = machine.state_tree.begin()
    recorder.taken = None
    sequence(machine, recorder, {}, [TO] * 3)
    assert (slot_of(machine, TO, 1), len(recorder.seen)) == (2, 5)
    machine.state_tree.rollback(mark)
    assert slot_of(machine, TO, 1) == 1


def test_the_failure_of_a_frame_undoes_what_it_has_restored(machine: Hypervisor) -> None:
    recorder = Snapshots()
    called(machine, recorder, {
        TO: f"{calling(WATCHED)} 7 1 SSTORE {calling(OTHER)} 8 2 SSTORE STOP",
        OTHER: f"9 3 SSTORE {calling(WATCHED)} 0 0 REVERT",
    })  # fmt: skip
    assert (slot_of(machine, TO, 1), slot_of(machine, TO, 2), len(recorder.seen)) == (7, 8, 2)
    assert not slot_of(machine, OTHER, 3)


def test_a_snapshot_of_a_frame_that_has_failed_can_be_restored(machine: Hypervisor) -> None:
    recorder = Snapshots()
    called(machine, recorder, {
        TO: f"7 1 SSTORE {calling(OTHER)} 8 1 SSTORE {calling(WATCHED)} STOP",
        OTHER: f"9 3 SSTORE {calling(WATCHED)} 0 0 REVERT",
    })  # fmt: skip
    assert (slot_of(machine, TO, 1), slot_of(machine, OTHER, 3)) == (7, 9)
