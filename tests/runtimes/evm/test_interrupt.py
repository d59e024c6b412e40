"""Ctrl-C while a contract runs: the frame ends soon, and the machine is as it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from hypervisor.exit_codes import ExitCode
from hypervisor.types import Gas
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
def test_an_endless_loop_with_gas_for_many_seconds_ends_within_one() -> None:
    with open_machine() as machine:
        chain = Chain(machine)
        contract = chain.deploy(FOREVER)
        before = machine.root
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.monotonic()
        with pytest.raises(Rung):
            chain.invoke(contract)
        assert time.monotonic() - started < 1.1
        assert machine.root == before
        chain.nonce -= 1
        assert chain.invoke(contract, gas_limit=Gas(5_000_000)).exit_code == ExitCode.SYS_OUT_OF_GAS
