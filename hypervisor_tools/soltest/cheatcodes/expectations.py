"""Cheatcodes that expect reverts, logs, calls and creations, and mocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes import emits
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import ExpectedCall, ExpectedCreate, ExpectedEmit, ExpectedRevert, Mock
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from runtimes.evm import CallKind

_STIPEND = 2300

# --- reverts --------------------------------------------------------------------------------------------------------


def _expect_revert(
    context: Context,
    reason: bytes | None = None,
    reverter: EthAddress | None = None,
    count: int = 1,
    *,
    partial: bool = False,
    of_cheatcode: bool = False,
) -> None:
    if context.state.revert is not None:
        raise CheatcodeFailure("you must call another function prior to expecting a second revert")
    depth = context.depth
    context.state.revert = ExpectedRevert(
        depth, reason, partial, reverter, count, cheatcode=of_cheatcode, deepest=depth
    )


@cheatcode("expectRevert()")
def _revert(context: Context) -> None:
    _expect_revert(context)


@cheatcode("expectRevert(bytes4)", "expectRevert(bytes)")
def _revert_reason(context: Context, reason: bytes) -> None:
    _expect_revert(context, reason)


@cheatcode("expectRevert(address)")
def _revert_by(context: Context, reverter: EthAddress) -> None:
    _expect_revert(context, None, reverter)


@cheatcode("expectRevert(bytes4,address)", "expectRevert(bytes,address)")
def _revert_reason_by(context: Context, reason: bytes, reverter: EthAddress) -> None:
    _expect_revert(context, reason, reverter)


@cheatcode("expectRevert(uint64)")
def _revert_count(context: Context, count: int) -> None:
    _expect_revert(context, None, None, count)


@cheatcode("expectRevert(bytes4,uint64)", "expectRevert(bytes,uint64)")
def _revert_reason_count(context: Context, reason: bytes, count: int) -> None:
    _expect_revert(context, reason, None, count)


@cheatcode("expectRevert(address,uint64)")
def _revert_by_count(context: Context, reverter: EthAddress, count: int) -> None:
    _expect_revert(context, None, reverter, count)


@cheatcode("expectRevert(bytes4,address,uint64)", "expectRevert(bytes,address,uint64)")
def _revert_reason_by_count(context: Context, reason: bytes, reverter: EthAddress, count: int) -> None:
    _expect_revert(context, reason, reverter, count)


@cheatcode("expectPartialRevert(bytes4)")
def _partial_revert(context: Context, reason: bytes) -> None:
    _expect_revert(context, reason, partial=True)


@cheatcode("expectPartialRevert(bytes4,address)")
def _partial_revert_by(context: Context, reason: bytes, reverter: EthAddress) -> None:
    _expect_revert(context, reason, reverter, partial=True)


@cheatcode("_expectCheatcodeRevert()")
def _cheatcode_revert(context: Context) -> None:
    _expect_revert(context, of_cheatcode=True)


@cheatcode("_expectCheatcodeRevert(bytes4)", "_expectCheatcodeRevert(bytes)")
def _cheatcode_revert_reason(context: Context, reason: bytes) -> None:
    _expect_revert(context, reason, of_cheatcode=True)


# --- logs -----------------------------------------------------------------------------------------------------------

_ALL = (True, True, True, True, True)


def _expect(
    context: Context,
    checks: tuple[bool, bool, bool, bool, bool] = _ALL,
    emitter: EthAddress | None = None,
    count: int = 1,
    *,
    anonymous: bool = False,
) -> None:
    emits.expect(context.state, ExpectedEmit(context.depth, checks, emitter, anonymous, count))


@cheatcode("expectEmit()")
def _emit(context: Context) -> None:
    _expect(context)


@cheatcode("expectEmit(address)")
def _emit_by(context: Context, emitter: EthAddress) -> None:
    _expect(context, emitter=emitter)


@cheatcode("expectEmit(uint64)")
def _emit_count(context: Context, count: int) -> None:
    _expect(context, count=count)


@cheatcode("expectEmit(address,uint64)")
def _emit_by_count(context: Context, emitter: EthAddress, count: int) -> None:
    _expect(context, emitter=emitter, count=count)


@cheatcode("expectEmit(bool,bool,bool,bool)")
def _emit_checks(context: Context, one: bool, two: bool, three: bool, data: bool) -> None:
    _expect(context, (True, one, two, three, data))


@cheatcode("expectEmit(bool,bool,bool,bool,address)")
def _emit_checks_by(context: Context, one: bool, two: bool, three: bool, data: bool, emitter: EthAddress) -> None:
    _expect(context, (True, one, two, three, data), emitter)


@cheatcode("expectEmit(bool,bool,bool,bool,uint64)")
def _emit_checks_count(context: Context, one: bool, two: bool, three: bool, data: bool, count: int) -> None:
    _expect(context, (True, one, two, three, data), count=count)


@cheatcode("expectEmit(bool,bool,bool,bool,address,uint64)")
def _emit_checks_by_count(
    context: Context, one: bool, two: bool, three: bool, data: bool, emitter: EthAddress, count: int
) -> None:
    _expect(context, (True, one, two, three, data), emitter, count)


@cheatcode("expectEmitAnonymous()")
def _anonymous(context: Context) -> None:
    _expect(context, anonymous=True)


@cheatcode("expectEmitAnonymous(address)")
def _anonymous_by(context: Context, emitter: EthAddress) -> None:
    _expect(context, emitter=emitter, anonymous=True)


@cheatcode("expectEmitAnonymous(bool,bool,bool,bool,bool)")
def _anonymous_checks(context: Context, zero: bool, one: bool, two: bool, three: bool, data: bool) -> None:
    _expect(context, (zero, one, two, three, data), anonymous=True)


@cheatcode("expectEmitAnonymous(bool,bool,bool,bool,bool,address)")
def _anonymous_checks_by(
    context: Context, zero: bool, one: bool, two: bool, three: bool, data: bool, emitter: EthAddress
) -> None:
    _expect(context, (zero, one, two, three, data), emitter, anonymous=True)


# --- calls ----------------------------------------------------------------------------------------------------------


def _expect_call(
    context: Context,
    callee: EthAddress,
    data: bytes,
    count: int | None = None,
    *,
    value: int | None = None,
    gas: int | None = None,
    min_gas: int | None = None,
    kind: CallKind | None = None,
) -> None:
    expectations = context.state.calls.setdefault(callee, {})
    stipend = _STIPEND if value else 0
    gas = None if gas is None else gas + stipend
    min_gas = None if min_gas is None else min_gas + stipend
    known = expectations.get((data, kind))
    if known is None:
        expectations[data, kind] = ExpectedCall(value, gas, min_gas, 1 if count is None else count, count is not None)
    elif count is not None:
        raise CheatcodeFailure("counted expected calls can only bet set once")
    elif known.exactly:
        raise CheatcodeFailure("cannot overwrite a counted expectCall with a non-counted expectCall")
    else:
        expectations[data, kind] = replace(known, count=known.count + 1)


@cheatcode("expectCall(address,bytes)")
def _call(context: Context, callee: EthAddress, data: bytes) -> None:
    _expect_call(context, callee, data)


@cheatcode("expectCall(address,bytes,uint64)")
def _call_count(context: Context, callee: EthAddress, data: bytes, count: int) -> None:
    _expect_call(context, callee, data, count)


@cheatcode("expectCall(address,uint256,bytes)")
def _call_value(context: Context, callee: EthAddress, value: int, data: bytes) -> None:
    _expect_call(context, callee, data, value=value)


@cheatcode("expectCall(address,uint256,bytes,uint64)")
def _call_value_count(context: Context, callee: EthAddress, value: int, data: bytes, count: int) -> None:
    _expect_call(context, callee, data, count, value=value)


@cheatcode("expectCall(address,uint256,uint64,bytes)")
def _call_gas(context: Context, callee: EthAddress, value: int, gas: int, data: bytes) -> None:
    _expect_call(context, callee, data, value=value, gas=gas)


@cheatcode("expectCall(address,uint256,uint64,bytes,uint64)")
def _call_gas_count(context: Context, callee: EthAddress, value: int, gas: int, data: bytes, count: int) -> None:
    _expect_call(context, callee, data, count, value=value, gas=gas)


@cheatcode("expectCallMinGas(address,uint256,uint64,bytes)")
def _call_min_gas(context: Context, callee: EthAddress, value: int, gas: int, data: bytes) -> None:
    _expect_call(context, callee, data, value=value, min_gas=gas)


@cheatcode("expectCallMinGas(address,uint256,uint64,bytes,uint64)")
def _call_min_gas_count(context: Context, callee: EthAddress, value: int, gas: int, data: bytes, count: int) -> None:
    _expect_call(context, callee, data, count, value=value, min_gas=gas)


@cheatcode("expectDelegateCall(address,bytes)")
def _delegate_call(context: Context, callee: EthAddress, data: bytes) -> None:
    _expect_call(context, callee, data, kind=CallKind.DELEGATECALL)


# --- creations ------------------------------------------------------------------------------------------------------


@cheatcode("expectCreate(bytes,address)")
def _create(context: Context, code: bytes, deployer: EthAddress) -> None:
    context.state.creates.append(ExpectedCreate(deployer, code, "CREATE"))


@cheatcode("expectCreate2(bytes,address)")
def _create2(context: Context, code: bytes, deployer: EthAddress) -> None:
    context.state.creates.append(ExpectedCreate(deployer, code, "CREATE2"))


def _mock(
    context: Context,
    callee: EthAddress,
    data: bytes,
    answers: Sequence[bytes],
    *,
    value: int | None = None,
    reverts: bool = False,
    with_code: bool = True,
) -> None:
    if with_code and not context.ledger.code(callee) and callee not in context.precompiles:
        context.ledger.set_code(callee, b"\0")  # Solidity checks for code before a call
    mocks = context.state.mocks.setdefault(callee, [])
    mocks[:] = [mock for mock in mocks if (mock.data, mock.value) != (data, value)]
    mocks.append(Mock(data, value, deque(answers), reverts))


@cheatcode("mockCall(address,bytes,bytes)", "mockCall(address,bytes4,bytes)")
def _mock_call(context: Context, callee: EthAddress, data: bytes, returned: bytes) -> None:
    _mock(context, callee, data, [returned])


@cheatcode("mockCall(address,uint256,bytes,bytes)", "mockCall(address,uint256,bytes4,bytes)")
def _mock_call_value(context: Context, callee: EthAddress, value: int, data: bytes, returned: bytes) -> None:
    _mock(context, callee, data, [returned], value=value)


@cheatcode("mockCall(address,bytes,bytes,bool)")
def _mock_call_code(context: Context, callee: EthAddress, data: bytes, returned: bytes, with_code: bool) -> None:
    _mock(context, callee, data, [returned], with_code=with_code)


@cheatcode("mockCalls(address,bytes,bytes[])")
def _mock_calls(context: Context, callee: EthAddress, data: bytes, answers: Sequence[bytes]) -> None:
    _mock(context, callee, data, answers)


@cheatcode("mockCalls(address,uint256,bytes,bytes[])")
def _mock_calls_value(context: Context, callee: EthAddress, value: int, data: bytes, answers: Sequence[bytes]) -> None:
    _mock(context, callee, data, answers, value=value)


@cheatcode("mockCallRevert(address,bytes,bytes)", "mockCallRevert(address,bytes4,bytes)")
def _mock_revert(context: Context, callee: EthAddress, data: bytes, returned: bytes) -> None:
    _mock(context, callee, data, [returned], reverts=True)


@cheatcode("mockCallRevert(address,uint256,bytes,bytes)", "mockCallRevert(address,uint256,bytes4,bytes)")
def _mock_revert_value(context: Context, callee: EthAddress, value: int, data: bytes, returned: bytes) -> None:
    _mock(context, callee, data, [returned], value=value, reverts=True)


@cheatcode("mockFunction(address,address,bytes)")
def _mock_function(context: Context, callee: EthAddress, target: EthAddress, data: bytes) -> None:
    context.require_ethereum("contract that runs as another")
    context.state.functions.setdefault(callee, {})[data] = target


@cheatcode("clearMockedCalls()")
def _clear(context: Context) -> None:
    context.state.mocks.clear()
