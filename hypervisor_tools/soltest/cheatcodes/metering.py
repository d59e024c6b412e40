"""Gas cheatcodes: pausing of metering, measurement, gas snapshots, and snapshots of the state within a test."""

from __future__ import annotations

from typing import Final

from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fork_access import undo_reverted
from hypervisor_tools.soltest.cheatcodes.state import (
    FAILED_SLOT,
    VM_ADDRESS,
    ActorSnapshot,
    CallGas,
    GasMeter,
    StateSnapshot,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from runtimes.evm.revm import Snapshot

_OWN_COST: Final = 171
"""Gas that forge attributes to starting a measurement."""


def _gas_used(context: Context) -> int:
    return context.calls.gas.used if context.run is None else context.run.gas_used()


@cheatcode("pauseGasMetering()", partial="without effect with `--evm py-evm` and in the debugger")
def _pause(context: Context) -> None:
    context.state.pauses_gas = context.run is not None


@cheatcode("resumeGasMetering()")
def _resume(context: Context) -> None:
    context.state.pauses_gas = False


@cheatcode("resetGasMetering()")
def _reset(context: Context) -> None:
    context.state.pauses_gas = False
    if context.run is not None:
        context.run.reset_gas()


# --- named measurements, stored in files under snapshots/ ----------------------------------------------------------


@cheatcode("startSnapshotGas(string)")
def _start_gas(context: Context, name: str) -> None:
    _start_meter(context, context.settings.contract, name)


@cheatcode("startSnapshotGas(string,string)")
def _start_gas_group(context: Context, group: str, name: str) -> None:
    _start_meter(context, group, name)


def _start_meter(context: Context, group: str, name: str) -> None:
    state = context.state
    if state.active_meter is not None:
        group, name = state.active_meter
        raise CheatcodeFailure(f"gas snapshot was already started with group: {group} and name: {name}")
    used = _gas_used(context)
    # as in forge: from the end of the previous measurement, if there was one
    before = max(0, used - state.last_measured) if context.fork is not None and state.last_measured else 0
    state.meters[group, name] = GasMeter(group, name, used - before)
    state.active_meter = group, name


@cheatcode("stopSnapshotGas()", returns="uint256")
def _stop_gas(context: Context) -> int:
    active = context.state.active_meter
    if active is None:
        raise CheatcodeFailure("no active gas snapshot; call `startGasSnapshot` first")
    return _stop_meter(context, *active)


@cheatcode("stopSnapshotGas(string)", returns="uint256")
def _stop_gas_name(context: Context, _name: str) -> int:
    """Stop the active measurement: forge ignores a name without a group."""
    return _stop_gas(context)


@cheatcode("stopSnapshotGas(string,string)", returns="uint256")
def _stop_gas_group(context: Context, group: str, name: str) -> int:
    return _stop_meter(context, group, name)


def _stop_meter(context: Context, group: str, name: str) -> int:
    state = context.state
    meter = state.meters.pop((group, name), None)
    if meter is None:
        raise CheatcodeFailure(f"no gas snapshot was started with the name: {name} in group: {group}")
    used = _gas_used(context)
    fork = context.fork
    if fork is not None:  # excludes the call of this cheatcode, which is warm
        used -= fork.gas.warm
        state.last_measured = used
    if state.active_meter == (group, name):
        state.active_meter = None
    return _note(context, group, name, max(0, used - meter.used - (0 if fork is None else _OWN_COST)))


@cheatcode("snapshotValue(string,uint256)")
def _snapshot_value(context: Context, name: str, value: int) -> None:
    _note(context, context.settings.contract, name, value)


@cheatcode("snapshotValue(string,string,uint256)")
def _snapshot_value_group(context: Context, group: str, name: str, value: int) -> None:
    _note(context, group, name, value)


def _note(context: Context, group: str, name: str, value: int) -> int:
    """Store a value for the snapshot files. The group is used as a file name."""
    if "/" in group or "\0" in group:
        raise CheatcodeFailure(f"the group '{group}' is not the name of a file")
    context.state.measured[group, name] = value
    return value


# --- the last call --------------------------------------------------------------------------------------------------


@cheatcode("lastCallGas()", returns="(uint64,uint64,uint64,int64,uint64)")
def _last_call_gas(context: Context) -> tuple[int, int, int, int, int]:
    return _fields(_last(context))


@cheatcode("snapshotGasLastCall(string)", returns="uint256")
def _snapshot_last(context: Context, name: str) -> int:
    return _note(context, context.settings.contract, name, _last(context).used)


@cheatcode("snapshotGasLastCall(string,string)", returns="uint256")
def _snapshot_last_group(context: Context, group: str, name: str) -> int:
    return _note(context, group, name, _last(context).used)


@cheatcode("lastFrameGas()", returns="(uint64,uint64,uint64,int64,uint64)")
def _last_frame_gas(context: Context) -> tuple[int, int, int, int, int]:
    return _fields(_last_frame(context))


@cheatcode("snapshotGasLastFrame(string)", returns="uint256")
def _snapshot_last_frame(context: Context, name: str) -> int:
    return _note(context, context.settings.contract, name, _last_frame(context).used)


@cheatcode("snapshotGasLastFrame(string,string)", returns="uint256")
def _snapshot_last_frame_group(context: Context, group: str, name: str) -> int:
    return _note(context, group, name, _last_frame(context).used)


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


@cheatcode("snapshotState()", "snapshot()", returns="uint256")
def _snapshot(context: Context) -> int:
    state = context.state
    number = state.next_snapshot
    state.next_snapshot += 1
    if context.run is not None:
        held: Snapshot | ActorSnapshot = context.run.snapshot()
    else:
        held = ActorSnapshot(context.calls.tree.image(), context.calls.journal.image())
    state.snapshots = *state.snapshots, (number, StateSnapshot(held, context.machine.context, state.block))
    return number


@cheatcode("revertToState(uint256)", "revertTo(uint256)", returns="bool")
def _revert(context: Context, number: int) -> bool:
    return _restore(context, number)


@cheatcode("revertToStateAndDelete(uint256)", "revertToAndDelete(uint256)", returns="bool")
def _revert_and_delete(context: Context, number: int) -> bool:
    found = _restore(context, number)
    _delete(context, number)
    return found


@cheatcode("deleteStateSnapshot(uint256)", "deleteSnapshot(uint256)", returns="bool")
def _delete(context: Context, number: int) -> bool:
    before = context.state.snapshots
    context.state.snapshots = tuple(each for each in before if each[0] != number)
    return len(context.state.snapshots) < len(before)


@cheatcode("deleteStateSnapshots()", "deleteSnapshots()")
def _delete_all(context: Context) -> None:
    context.state.snapshots = ()


def _restore(context: Context, number: int) -> bool:
    saved = dict(context.state.snapshots).get(number)
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
