"""Ctrl-C while a contract runs: the frame ends soon, and the machine is as it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from bridge.cbor import byte_string
from bridge.params import CREATE_EXTERNAL_METHOD
from hypervisor.address import Address
from hypervisor.context import MachineContext
from hypervisor.executor import ApplyResult
from hypervisor.exit_codes import ExitCode
from hypervisor.types import EAM_ACTOR, Gas, TokenAmount
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

FOREVER = assemble("loop: @loop JUMP")


class Rung(BaseException):
    """What the alarm raises, like KeyboardInterrupt, at any instruction of the main thread."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize(("rules", "little", "much"), [("filecoin", 10**8, 10**10), ("ethereum", 10**6, 1 << 24)])
def test_an_endless_loop_with_gas_for_seconds_ends_at_once(rules: str, little: int, much: int) -> None:
    with open_machine(rules=rules, context=MachineContext(base_fee=TokenAmount(0))) as machine:
        chain = Chain(machine)

        def loop(gas: int) -> ApplyResult:
            """Init code that never ends."""
            return chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(FOREVER), gas_limit=Gas(gas))

        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS  # what must be compiled is compiled now
        before = machine.root
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.process_time()  # this process's own seconds, however busy the machine is
        with pytest.raises(Rung):
            loop(much)
        assert time.process_time() - started < 0.5
        assert machine.root == before
        chain.nonce -= 1
        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS
