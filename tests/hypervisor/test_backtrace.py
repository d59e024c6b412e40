"""Attribution of failures: sequences of calls by contracts and native actors, written by hand."""

import pytest

from hypervisor.backtrace import Backtrace, BacktraceFrame
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.types import ActorID

ACTOR, CONTRACT, CALLER = (Address.id(ActorID(number)) for number in (5, 101, 102))
REFUSED = BacktraceFrame(ACTOR, ExitCode.USR_ILLEGAL_ARGUMENT, "no such deal", b"")
REVERTED = ExitCode.EVM_CONTRACT_REVERTED
DATA = b"\x44\x7d\xd6\x0c\x21"


def after(*frames: BacktraceFrame, cause: str = "") -> str:
    """Return the remaining reason."""
    found = Backtrace()
    if cause:
        found.set_cause(cause)
    for frame in frames:
        found.push_frame(frame)
    return found.reason


@pytest.mark.parametrize("returned", [b"", b"\x40"])
def test_a_revert_without_data_is_explained_by_the_call_before(returned: bytes) -> None:
    plain = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", returned, is_plain=True)
    assert after(REFUSED, plain) == "f05: no such deal"
    assert after(plain, cause="f07: refused") == "f07: refused"
    assert after(plain) == ""


def test_revert_with_own_data_has_caught_the_earlier_cause() -> None:
    own = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(REFUSED, own) == after(own, cause="f07: refused") == ""


def test_forwarded_revert_data_is_attributed_to_original_callee() -> None:
    facade = BacktraceFrame(ACTOR, REVERTED, "no such deal", DATA)
    passed_on = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(facade, passed_on, passed_on._replace(source=CALLER)) == "f05: no such deal"


def test_own_fault_or_out_of_gas_is_not_blamed_on_callee() -> None:
    assert (
        after(REFUSED, BacktraceFrame(CONTRACT, ExitCode.EVM_CONTRACT_BAD_JUMPDEST, "BAD_JUMPDEST", b"", is_plain=True))
        == ""
    )
    ran_out = BacktraceFrame(CONTRACT, ExitCode.SYS_OUT_OF_GAS, "out of gas", b"")
    assert after(REFUSED, ran_out) == ""
    assert after(ran_out, cause="max code size exceeded") == "max code size exceeded"


def test_clear_empties_backtrace_after_successful_call() -> None:
    found = Backtrace()
    found.push_frame(REFUSED)
    found.clear()
    assert found.is_empty
    assert found.reason == ""
