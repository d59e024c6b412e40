"""Cheatcodes about gas: pausing its metering, and measuring it."""

from __future__ import annotations

from typing import Final

from devtools.soltest.cheatcodes.context import Context
from devtools.soltest.cheatcodes.failures import CheatcodeFailure
from devtools.soltest.cheatcodes.state import CallGas, GasMeter
from devtools.soltest.cheatcodes.table import cheatcode, selector


def _used(context: Context) -> int:
    if context.host is not None:
        context.host.gas.settle()
        used = context.calls.gas.used
        context.host.gas.refill()
        return used
    return context.calls.gas.used


@cheatcode("pauseGasMetering()")
def _pause(context: Context) -> None:
    context.state.paused_gas[context.depth] = _used(context)


@cheatcode("resumeGasMetering()", partial="gas that was paused in another frame stays used")
def _resume(context: Context) -> None:
    paused = context.state.paused_gas.pop(context.depth, None)
    if paused is not None and context.host is not None:
        context.host.gas.settle()
        context.calls.gas.used = min(paused, context.calls.gas.used)
        context.host.gas.refill()


@cheatcode("resetGasMetering()")
def _reset(context: Context) -> None:
    if context.host is not None:
        context.host.gas.settle()
        context.calls.gas.used = 0
        context.host.gas.refill()


@cheatcode("startSnapshotGas(string)", partial="no file is written under snapshots/")
def _start_gas(context: Context, name: str) -> None:
    _start_meter(context, "", name)


@cheatcode("startSnapshotGas(string,string)", partial="no file is written under snapshots/")
def _start_gas_group(context: Context, group: str, name: str) -> None:
    _start_meter(context, group, name)


def _start_meter(context: Context, group: str, name: str) -> None:
    if (group, name) in context.state.meters:
        raise CheatcodeFailure(f"gas snapshot already active: {name} in group: {group}")
    context.state.meters[group, name] = GasMeter(group, name, _used(context))
    context.state.last_meter = group, name


@cheatcode("stopSnapshotGas()", returns="uint256", partial="no file is written under snapshots/")
def _stop_gas(context: Context) -> int:
    if context.state.last_meter is None:
        raise CheatcodeFailure("no gas snapshot was started yet, please use `startSnapshotGas` to start one")
    return _stop_meter(context, *context.state.last_meter)


@cheatcode("stopSnapshotGas(string)", returns="uint256", partial="no file is written under snapshots/")
def _stop_gas_name(context: Context, name: str) -> int:
    return _stop_meter(context, "", name)


@cheatcode("stopSnapshotGas(string,string)", returns="uint256", partial="no file is written under snapshots/")
def _stop_gas_group(context: Context, group: str, name: str) -> int:
    return _stop_meter(context, group, name)


def _stop_meter(context: Context, group: str, name: str) -> int:
    meter = context.state.meters.pop((group, name), None)
    if meter is None:
        raise CheatcodeFailure(f"no gas snapshot was started with the name: {name} in group: {group}")
    return _used(context) - meter.used


@cheatcode("snapshotValue(string,uint256)", partial="no file is written under snapshots/")
def _snapshot_value(_context: Context, _name: str, _value: int) -> None:
    """Only files would show it."""


@cheatcode("snapshotValue(string,string,uint256)", partial="no file is written under snapshots/")
def _snapshot_value_group(_context: Context, _group: str, _name: str, _value: int) -> None:
    """Only files would show it."""


# --- the last call --------------------------------------------------------------------------------------------------


@cheatcode("lastCallGas()", returns="(uint64,uint64,uint64,int64,uint64)")
def _last_call_gas(context: Context) -> tuple[int, int, int, int, int]:
    found = _last(context)
    return found.limit, found.used, 0, found.refunded, found.limit - found.used


@cheatcode("snapshotGasLastCall(string)", returns="uint256", partial="no file is written under snapshots/")
def _snapshot_last(context: Context, _name: str) -> int:
    return _last(context).used


@cheatcode("snapshotGasLastCall(string,string)", returns="uint256", partial="no file is written under snapshots/")
def _snapshot_last_group(context: Context, _group: str, _name: str) -> int:
    return _last(context).used


_ASKING: Final = tuple(
    selector(signature).hex()
    for signature in ("lastCallGas()", "snapshotGasLastCall(string)", "snapshotGasLastCall(string,string)")
)


def asks_for_gas(code: str) -> bool:
    """Whether code, in hex, mentions a cheatcode that looks back at the last call: only then calls are measured."""
    return any(found in code for found in _ASKING)


def _last(context: Context) -> CallGas:
    context.ethereum("gas of the last call: use filecoinGas")
    found = context.state.last_call
    if found is None:
        raise CheatcodeFailure("no external call was made yet")
    return found
