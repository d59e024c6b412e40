"""Cheatcodes that mock calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.state import Mock
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode


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
    context.ethereum("contract that runs as another")
    context.state.functions.setdefault(callee, {})[data] = target


@cheatcode("clearMockedCalls()")
def _clear(context: Context) -> None:
    context.state.mocks.clear()
