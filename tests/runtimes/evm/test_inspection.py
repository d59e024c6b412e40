"""Inspection of a contract that does not respond correctly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.events import StampedEvent
from runtimes.evm.inspection import GET_BYTECODE
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine


@dataclass
class ErrorReportingGroup:
    """An interceptor that handles GetBytecode for any contract."""

    end: int | SyscallError
    is_armed: bool = True
    watched: frozenset[bytes] = frozenset()
    asked: int = 0

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        if call.method != GET_BYTECODE:
            return proceed(call)
        self.asked += 1
        if isinstance(self.end, SyscallError):
            raise self.end
        return CallResult(ExitCode(self.end))

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore events; no contract here emits one."""


@pytest.fixture(scope="module")
def inspection_chain() -> Iterator[Chain]:
    with open_machine() as machine:
        yield Chain(machine)


def exit_of(chain: Chain, end: int | SyscallError) -> int:
    """Return the exit code of a frame that requests a contract's code and gets this."""
    other = chain.deploy(assemble("STOP"))
    asking = chain.deploy(assemble(f"0x{other.hex()} EXTCODESIZE"))
    assert chain.invoke(asking).exit_code == 0
    chain.machine.interceptor = refusing = ErrorReportingGroup(end)
    try:
        return chain.invoke(asking).exit_code
    finally:
        chain.machine.interceptor = None
        assert refusing.asked == 1


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    # builtin-actors runtime/src/actor_error.rs, `ActorError::checked`
    [(1, 24), (2, 24), (4, 23), (5, 24), (6, 24), (7, 24), (9, 23), (10, 24), (11, 23), (16, 16), (21, 21), (33, 33)],
)
def test_an_exit_code_of_the_system_is_not_passed_on(inspection_chain: Chain, exit_code: int, expected: int) -> None:
    assert exit_of(inspection_chain, exit_code) == expected


def test_inspection_beyond_call_limit_exits_as_unspecified(inspection_chain: Chain) -> None:
    # builtin-actors actors/evm interpreter/system.rs, `System::send`
    assert exit_of(inspection_chain, SyscallError(ErrorNumber.LIMIT_EXCEEDED, "calls nest deeper than 1024")) == 23
