"""Cheatcodes that expect reverts, logs, calls and creations, mocks, and recorded logs.

The guest executes them (`guests/revm/src/cheats/codes.rs`).
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import Cheatcode, guest_cheatcodes, overloads
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.cheatcodes.wording import text_of
from runtimes.evm.revm import Executed, Facts, FailureReason

_REASONS: Final = ("bytes4",), ("bytes",)
_CHECKS: Final = ("bool",) * 4
_PAYLOADS: Final = ("bytes",), ("bytes4",)

guest_cheatcodes(
    *overloads("expectRevert", (), *_REASONS, ("address",), *((*reason, "address") for reason in _REASONS)),
    *overloads("expectRevert", ("uint64",), *((*reason, "uint64") for reason in _REASONS), ("address", "uint64")),
    *overloads("expectRevert", *((*reason, "address", "uint64") for reason in _REASONS)),
    *overloads("expectPartialRevert", ("bytes4",), ("bytes4", "address")),
    *overloads("_expectCheatcodeRevert", (), *_REASONS),
    *overloads("expectEmit", (), ("address",), ("uint64",), ("address", "uint64")),
    *overloads("expectEmit", _CHECKS, (*_CHECKS, "address"), (*_CHECKS, "uint64"), (*_CHECKS, "address", "uint64")),
    *overloads("expectEmitAnonymous", (), ("address",), (*_CHECKS, "bool"), (*_CHECKS, "bool", "address")),
    *overloads("expectCall", ("address", "bytes"), ("address", "bytes", "uint64")),
    *overloads("expectCall", ("address", "uint256", "bytes"), ("address", "uint256", "bytes", "uint64")),
    *overloads("expectCall", ("address", "uint256", "uint64", "bytes")),
    *overloads("expectCall", ("address", "uint256", "uint64", "bytes", "uint64")),
    *overloads("expectCallMinGas", ("address", "uint256", "uint64", "bytes")),
    *overloads("expectCallMinGas", ("address", "uint256", "uint64", "bytes", "uint64")),
    "expectDelegateCall(address,bytes)",
    "expectCreate(bytes,address)",
    "expectCreate2(bytes,address)",
    *overloads("mockCall", *(("address", *payload, "bytes") for payload in _PAYLOADS)),
    *overloads("mockCall", *(("address", "uint256", *payload, "bytes") for payload in _PAYLOADS)),
    *overloads("mockCall", ("address", "bytes", "bytes", "bool")),
    *overloads("mockCalls", ("address", "bytes", "bytes[]"), ("address", "uint256", "bytes", "bytes[]")),
    *overloads("mockCallRevert", *(("address", *payload, "bytes") for payload in _PAYLOADS)),
    *overloads("mockCallRevert", *(("address", "uint256", *payload, "bytes") for payload in _PAYLOADS)),
    "mockFunction(address,address,bytes)",
    "clearMockedCalls()",
    "recordLogs()",
    *overloads("assumeNoRevert", (), ("(address,bool,bytes)",), ("(address,bool,bytes)[]",)),
    *overloads("prank", ("address",), ("address", "address"), ("address", "bool"), ("address", "address", "bool")),
    *overloads("startPrank", ("address",), ("address", "address"), ("address", "bool")),
    *overloads("startPrank", ("address", "address", "bool")),
    "stopPrank()",
)
guest_cheatcodes("getRecordedLogs()", returns="(bytes32[],bytes,address)[]")
guest_cheatcodes("readCallers()", returns="uint8,address,address")


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
    facts = Facts(context.caller, context.origin, context.depth, has_code)
    return take_executed(context, entry, data, context.cheats.interception.execute(facts, data))


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
