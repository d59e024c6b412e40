"""Undo of fork changes by failed calls. Imports no other module of forks, since every test uses it."""

from __future__ import annotations

from dataclasses import replace

from fvm_hypervisor.soltest.cheatcodes.context import Cheats
from hypervisor.machine.call_manager import CallManager


def undo_reverted(cheats: Cheats, calls: CallManager) -> None:
    """Revert the block and the fork records to the state tree, after a failed call."""
    records = cheats.state.forks
    if not records.changes or cheats.origin is None:
        return
    undone = records.undo_after(cheats.origin.last_change)
    if undone is not None:
        cheats.machine.context = undone.context
        cheats.state.block = replace(cheats.state.block, prevrandao=undone.randomness, hashes=undone.hashes)
        cheats.renew(calls)
