"""Gas cheatcodes: pausing of metering, measurement, gas snapshots, and snapshots of the state within a test."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Final

from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.fork_access import undo_reverted
from fvm_hypervisor.soltest.cheatcodes.state import FAILED_SLOT, VM_ADDRESS, CallGas, GasMeter, State, StateSnapshot
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from runtimes.evm.ethereum import CannotObserve, EthereumCalls, EthereumHost

GAS_OPCODE_PRICE: Final = 2
_OWN_COST: Final = 171
"""Gas that forge attributes to starting a measurement."""


def _gas_used(context: Context) -> int:
    if context.run is not None:
        return context.run.gas_used()
    if context.host is not None:
        context.host.gas.settle()
        used = context.calls.gas.used
        context.host.gas.refill()
        return used
    return context.calls.gas.used


def undo_unmetered(state: State, host: EthereumHost, spent: int = 0) -> None:
    """While metering is paused, set a frame's gas and the refunds to the pause's, except for the last `spent` gas."""
    if state.pauses_gas:
        gas, accounts = host.calls.gas, host.accounts
        host.gas.settle()
        used, refund = state.paused_gas.setdefault(host.calls.depth, (gas.used - spent, accounts.refund))
        gas.used = min(gas.used, used + spent)
        accounts.add_refund(refund - accounts.refund)
        host.gas.refill()


def without_metering(state: State, calls: CallManager, call: Call, send: Callable[[Call], CallResult]) -> CallResult:
    """Make a call; while metering is paused, it uses no gas, and the caller's gas is what it was at the pause."""
    gas, callee = calls.gas, calls.depth + 1
    outside = gas.used if call.gas_limit is not None else 0  # with a limit, the callee's gas is counted from 0
    accounts = calls.accounts if isinstance(calls, EthereumCalls) else None
    if state.pauses_gas and accounts is not None:
        state.paused_gas[callee] = gas.used - outside, accounts.refund
    result = send(call)
    if state.pauses_gas and accounts is not None:
        used, refund = state.paused_gas.pop(callee, (gas.used, accounts.refund))
        gas.used = min(gas.used, outside + used)
        accounts.add_refund(refund - accounts.refund)
        state.paused_gas.setdefault(calls.depth, (gas.used, accounts.refund))
    return result


@cheatcode("pauseGasMetering()")
def _pause(context: Context) -> None:
    state = context.state
    if context.fork is not None and not state.pauses_gas:
        refund = 0 if context.run is not None or context.host is None else context.host.accounts.refund
        state.pauses_gas, state.paused_gas = True, {context.depth: (_gas_used(context), refund)}


@cheatcode("resumeGasMetering()")
def _resume(context: Context) -> None:
    context.state.pauses_gas = False


@cheatcode("resetGasMetering()")
def _reset(context: Context) -> None:
    context.state.pauses_gas = False
    if context.run is not None:
        context.run.reset_gas()
    elif context.host is not None:
        context.host.gas.settle()
        context.calls.gas.used = 0
        context.host.gas.refill()


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
    found = context.state.last_call
    if found is None:
        raise CheatcodeFailure("no external call was made yet")
    return found


def _last_frame(context: Context) -> CallGas:
    context.require_ethereum("gas of the last call or creation: use filecoinGas")
    found = context.state.last_frame
    if found is None:
        raise CheatcodeFailure("no external call or create was made yet")
    return found


@cheatcode("snapshotState()", "snapshot()", returns="uint256")
def _snapshot(context: Context) -> int:
    state = context.state
    number = state.next_snapshot
    state.next_snapshot += 1
    journal = {} if context.run is not None else context.calls.journal.image()
    with context.written_tree() as tree:
        warmth = b"" if context.run is None else context.run.warmth()
        state.snapshots[number] = StateSnapshot(tree.image(), journal, context.machine.context, state.block, warmth)
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
    context.state.has_failed |= context.ledger.load(VM_ADDRESS, FAILED_SLOT) != 0
    if context.run is not None:
        if saved.journal:
            raise CannotObserve
        with context.run.exchange() as tree:
            tree.restore_image(saved.tree)
            context.run.set_warmth(saved.warmth)
        undo_reverted(context.cheats, context.run)
        context.machine.context, context.state.block = saved.context, saved.block
        context.renew()
        return True
    calls = context.calls
    calls.tree.restore_image(saved.tree)
    undo_reverted(context.cheats, calls)
    names: dict[Hashable, Any] = {
        key: value for key, value in calls.journal.items() if isinstance(key, tuple) and key[0] == "address"
    }
    calls.journal.restore_image({**names, **saved.journal})  # addresses remain known, for recorded logs
    context.machine.context = saved.context
    block, context.state.block = context.state.block, saved.block
    if isinstance(calls, EthereumCalls):  # what was not set then has its default again
        around = calls.environment
        if block.gas_price is not None:
            around = replace(around, context=replace(around.context, gas_price=0))
        if block.blob_hashes is not None:
            around = replace(around, blob_hashes=())
        calls.environment = around
    context.cheats.renew(calls)
    return True
