"""Cheatcodes that take and restore snapshots of the state within a test."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.fork_undo import undo_reverted
from fvm_hypervisor.soltest.cheatcodes.state import FAILED_SLOT, VM_ADDRESS, StateSnapshot
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode


@cheatcode("snapshotState()", "snapshot()", returns="uint256")
def _snapshot(context: Context) -> int:
    calls, state = context.calls, context.state
    number = state.next_snapshot
    state.next_snapshot += 1
    state.snapshots[number] = StateSnapshot(
        calls.tree.image(), calls.journal.image(), context.machine.context, state.block
    )
    return number


@cheatcode("revertToState(uint256)", "revertTo(uint256)", returns="bool")
def _revert(context: Context, number: int) -> bool:
    return _restore(context, number)


@cheatcode("revertToStateAndDelete(uint256)", "revertToAndDelete(uint256)", returns="bool")
def _revert_and_delete(context: Context, number: int) -> bool:
    found = _restore(context, number)
    context.state.snapshots.pop(number, None)
    return found


@cheatcode("deleteStateSnapshot(uint256)", "deleteSnapshot(uint256)", returns="bool")
def _delete(context: Context, number: int) -> bool:
    return context.state.snapshots.pop(number, None) is not None


@cheatcode("deleteStateSnapshots()", "deleteSnapshots()")
def _delete_all(context: Context) -> None:
    context.state.snapshots.clear()


def _restore(context: Context, number: int) -> bool:
    saved = context.state.snapshots.get(number)
    if saved is None:
        return False
    calls = context.calls
    context.state.has_failed |= context.ledger.load(VM_ADDRESS, FAILED_SLOT) != 0
    calls.tree.restore_image(saved.tree)
    undo_reverted(context.cheats, calls)
    names: dict[Hashable, Any] = {
        key: value for key, value in calls.journal.items() if isinstance(key, tuple) and key[0] == "address"
    }
    calls.journal.restore_image({**names, **saved.journal})  # addresses remain known, for recorded logs
    context.machine.context = saved.context
    context.state.block = saved.block
    context.cheats.renew(calls)
    return True
