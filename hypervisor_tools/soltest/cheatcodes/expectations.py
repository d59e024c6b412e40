"""Cheatcodes that expect reverts, logs, calls and creations, mocks, pranks, recorded logs, and pauses of gas metering.

The guest executes them (`guests/revm/src/cheats/codes.rs`).
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import Cheatcode, cheatcode
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.cheatcodes.wording import text_of
from runtimes.evm.revm import CHEATCODES, CheatContext, Executed, FailureReason

_RETURNS: Final = {
    "getRecordedLogs()": "(bytes32[],bytes,address)[]",
    "readCallers()": "uint8,address,address",
    "deleteStateSnapshot(uint256)": "bool",
    "deleteSnapshot(uint256)": "bool",
}
_PARTIAL: Final = {"pauseGasMetering()": "without effect with `--evm py-evm` and in the debugger"}

for _signature in CHEATCODES:
    cheatcode(_signature, returns=_RETURNS.get(_signature, ""), partial=_PARTIAL.get(_signature, ""))(None)


def execute_in_guest(context: Context, entry: Cheatcode, data: bytes) -> bytes:
    """Execute a cheatcode that the guest knows, and return its output. Raises CheatcodeFailure."""
    has_code = None
    if entry.name == "mockFunction":
        context.require_ethereum("contract that runs as another")
    if entry.name in ("prank", "startPrank") or entry.name.startswith("mockCall"):
        account = EthAddress(data[16:36].ljust(20, b"\0"))
        has_code = bool(context.ledger.code(account))
        if entry.name.startswith("mock"):
            has_code = has_code or account in context.precompiles
        else:
            context.state.may_have_failed |= account == VM_ADDRESS
            if context.run is not None:
                context.run.touch(account)  # as in forge, the account is warm from here on
    called = CheatContext(context.caller, context.origin, context.depth, has_code)
    return take_executed(context, entry, data, context.cheats.interception.execute(called, data))


def take_executed(context: Context, entry: Cheatcode, data: bytes, executed: Executed | FailureReason | None) -> bytes:
    """Return the output of a cheatcode, and do what it asks for. Raises CheatcodeFailure."""
    if executed is None:
        decode(entry.parameters, data[4:])
        raise CheatcodeFailure("the arguments are not encoded as Solidity does")
    if isinstance(executed, FailureReason):
        raise CheatcodeFailure(text_of(executed, context.settings.events, context.settings.errors))
    if executed.origin is not None:
        context.set_origin(executed.origin)
    if executed.needs_code is not None:
        context.ledger.set_code(executed.needs_code, b"\0")
    return executed.output
