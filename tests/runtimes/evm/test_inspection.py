"""What a frame does where another contract does not answer its questions."""

from __future__ import annotations

from typing import Any

import pytest

from hypervisor.address import Address
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import SendResult
from runtimes.evm.inspection import AccountInspector
from tests.runtimes.evm.fake_host import RULES

OTHER = Address.id(100)


class Refusing:
    """A contract whose sends end as they are told."""

    def __init__(self, end: int | SyscallError) -> None:
        self._end = end

    def send(self, *_: object, **__: object) -> SendResult:
        if isinstance(self._end, SyscallError):
            raise self._end
        return SendResult(self._end)


def exit_of(end: int | SyscallError) -> int:
    """The exit code of a frame that asks for a contract's code and gets this."""
    sending: Any = Refusing(end)
    syscalls: Any = None
    with pytest.raises(ActorExit) as ended:
        AccountInspector(syscalls, sending, RULES).bytecode_cid(OTHER)
    return ended.value.code


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    # builtin-actors runtime/src/actor_error.rs, `ActorError::checked`
    [(1, 24), (2, 24), (4, 23), (5, 24), (6, 24), (7, 24), (9, 23), (10, 24), (11, 23), (16, 16), (21, 21), (33, 33)],
)
def test_an_exit_code_of_the_system_is_not_passed_on(exit_code: int, expected: int) -> None:
    assert exit_of(exit_code) == expected


def test_a_question_that_cannot_be_asked_is_unspecified() -> None:
    # builtin-actors actors/evm interpreter/system.rs, `System::send`
    assert exit_of(SyscallError(ErrorNumber.LIMIT_EXCEEDED, "calls nest deeper than 1024")) == 23
