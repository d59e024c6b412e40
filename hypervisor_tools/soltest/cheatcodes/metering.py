"""Gas cheatcodes: measurement, gas snapshots, and snapshots of the state within a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.state import (
    FAILED_SLOT,
    VM_ADDRESS,
    ActorSnapshot,
    CallGas,
    StateSnapshot,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode, selector
from runtimes.evm.revm import CheatContext, Snapshot

_OWN_COST: Final = 171
"""Gas that forge attributes to starting a measurement."""


def _gas_used(context: Context) -> int:
    return context.calls.gas.used if context.run is None else context.run.gas_used()


# --- named measurements, stored in files under snapshots/ ----------------------------------------------------------


def _key(context: Context, names: Sequence[str]) -> tuple[str, str]:
    """Return group and name; the group is by default the test contract."""
    group, name = names if len(names) == 2 else (context.settings.contract, *names)
    return group, name


@cheatcode("startSnapshotGas(string)", "startSnapshotGas(string,string)")
def _start_meter(context: Context, *names: str) -> None:
    group, name = _key(context, names)
    state = context.state
    if state.active_meter is not None:
        group, name = state.active_meter
        raise CheatcodeFailure(f"gas snapshot was already started with group: {group} and name: {name}")
    used = _gas_used(context)
    # as in forge: from the end of the previous measurement, if there was one
    before = max(0, used - state.last_measured) if context.fork is not None and state.last_measured else 0
    state.meters[group, name] = used - before
    state.active_meter = group, name


@cheatcode("stopSnapshotGas()", "stopSnapshotGas(string)", "stopSnapshotGas(string,string)", returns="uint256")
def _stop_meter(context: Context, *names: str) -> int:
    """Stop a measurement: without a group, forge stops the active one, whatever its name."""
    state = context.state
    started = names if len(names) == 2 else state.active_meter
    if started is None:
        raise CheatcodeFailure("no active gas snapshot; call `startGasSnapshot` first")
    group, name = started
    before = state.meters.pop((group, name), None)
    if before is None:
        raise CheatcodeFailure(f"no gas snapshot was started with the name: {name} in group: {group}")
    used = _gas_used(context)
    fork = context.fork
    if fork is not None:  # excludes the call of this cheatcode, which is warm
        used -= fork.gas.warm
        state.last_measured = used
    if state.active_meter == (group, name):
        state.active_meter = None
    return _note(context, group, name, max(0, used - before - (0 if fork is None else _OWN_COST)))


@cheatcode("snapshotValue(string,uint256)", "snapshotValue(string,string,uint256)")
def _snapshot_value(context: Context, *values: Any) -> None:
    *names, value = values
    _note(context, *_key(context, names), value)


def _note(context: Context, group: str, name: str, value: int) -> int:
    """Store a value for the snapshot files. The group is used as a file name."""
    if "/" in group or "\0" in group:
        raise CheatcodeFailure(f"the group '{group}' is not the name of a file")
    context.state.measured[group, name] = value
    return value


# --- the last call --------------------------------------------------------------------------------------------------


def _gas_of(what: str, last: Callable[[Context], CallGas]) -> None:
    cheatcode(f"last{what}Gas()", returns="(uint64,uint64,uint64,int64,uint64)")(lambda context: _fields(last(context)))
    cheatcode(f"snapshotGasLast{what}(string)", f"snapshotGasLast{what}(string,string)", returns="uint256")(
        lambda context, *names: _note(context, *_key(context, names), last(context).used)
    )


def _fields(found: CallGas) -> tuple[int, int, int, int, int]:
    return found.limit, found.used, 0, found.refunded, found.limit - found.used


def _last(context: Context) -> CallGas:
    context.require_ethereum("gas of the last call: use filecoinGas")
    state = context.state
    found = state.call_before if context.cheats.interception.refresh().has_caught else state.last_call
    if found is None:
        raise CheatcodeFailure("no external call was made yet")
    return found


def _last_frame(context: Context) -> CallGas:
    context.require_ethereum("gas of the last call or creation: use filecoinGas")
    has_caught = context.cheats.interception.refresh().has_caught  # as in forge 1.8, an expected revert leaves none
    found = None if has_caught else context.state.last_frame
    if found is None:
        raise CheatcodeFailure("no external call or create was made yet")
    return found


_gas_of("Call", _last)
_gas_of("Frame", _last_frame)


_IMAGES: Final = count(1 << 31)
"""Numbers of snapshots of which the guest has no copy."""


@cheatcode("snapshotState()", "snapshot()", returns="uint256")
def _snapshot(context: Context) -> int:
    """Take a snapshot where the guest does not: on forks, with the kernel, and under Filecoin's rules."""
    if context.run is not None:
        held: Snapshot | ActorSnapshot | None = context.run.snapshot()
    else:
        held = ActorSnapshot(context.calls.tree.image(), context.calls.journal.image())
    if held is None:
        raise CheatcodeFailure(
            "the snapshots of this test take more than 512 MiB of memory: delete those that it does not need any more, "
            "with vm.deleteStateSnapshot or vm.revertToStateAndDelete"
        )
    copy = None if isinstance(held, ActorSnapshot) else held.copy
    taken = StateSnapshot(held, context.machine.context, context.state.block)
    return context.cheats.interception.add_snapshot(next(_IMAGES) if copy is None else copy, taken)


@cheatcode("revertToStateAndDelete(uint256)", "revertToAndDelete(uint256)", returns="bool")
def _revert_and_delete(context: Context, number: int) -> bool:
    found = _restore(context, number)
    called = CheatContext(context.caller, context.origin, context.depth, None)
    context.cheats.interception.execute(called, selector("deleteSnapshot(uint256)") + number.to_bytes(32, "big"))
    return found


@cheatcode("revertToState(uint256)", "revertTo(uint256)", returns="bool")
def _restore(context: Context, number: int) -> bool:
    saved: StateSnapshot | None = context.cheats.interception.snapshot(number)
    if saved is None:
        return False
    state, machine, held = context.state, context.machine, saved.held
    state.has_failed |= state.may_have_failed and context.ledger.load(VM_ADDRESS, FAILED_SLOT) != 0
    if isinstance(held, Snapshot):
        context.require_ethereum("snapshot of a session").restore(held)
        undo_reverted(context.cheats, context.run)
    else:
        context.calls.tree.restore_image(held.tree)
        undo_reverted(context.cheats, context.calls)
        context.calls.journal.restore_image(held.journal)
    if machine.context is not saved.context or state.block is not saved.block:
        machine.context, state.block = saved.context, saved.block
        context.renew()
    return True
