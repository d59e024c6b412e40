"""Ctrl-C while a contract runs: the frame ends soon, and the machine is as it was."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from bridge.ethereum.addresses import masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.context import MachineContext
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.address import Address
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, Gas, TokenAmount
from tests.alarm import alarm_clock
from tests.endless import ENDLESS_WORDS
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

MAX_GAS = (1 << 63) - 1
FOREVER = assemble(f"loop: {ENDLESS_WORDS} @loop JUMP")
LEFT_AND_FOREVER = assemble(f"0x{masked_id(INIT_ACTOR).hex()} BALANCE loop: {ENDLESS_WORDS} @loop JUMP")
"""The same after an operation that the fast engine's guest cannot run within a call tree."""


class Rung(BaseException):
    """Raised by the alarm at any instruction of the main thread, like KeyboardInterrupt."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Rung

    with alarm_clock(ring):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("evm", ["py-evm", "fast", "both"])
@pytest.mark.parametrize(("rules", "little"), [("filecoin", 10**8), ("ethereum", 10**6)])
def test_endless_loop_with_max_gas_is_interrupted_at_once(evm: str, rules: str, little: int) -> None:
    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    with open_machine(evm=evm, rules=rules, context=MachineContext(base_fee=TokenAmount(0), block=block)) as machine:
        chain = Chain(machine)

        def loop(gas: int) -> ApplyResult:
            """Init code that loops forever."""
            return chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(FOREVER), gas_limit=Gas(gas))

        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS  # what must be compiled is compiled now
        before = machine.root
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.process_time()  # this process's own seconds, however busy the machine is
        with pytest.raises(Rung):
            loop(MAX_GAS)
        assert time.process_time() - started < 0.5 * slowness()
        assert machine.root == before
        chain.nonce -= 1
        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS


@pytest.mark.usefixtures("alarm")
def test_frame_that_left_its_tree_can_be_interrupted() -> None:
    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    context = MachineContext(base_fee=TokenAmount(0), block=block)
    with open_machine(evm="fast", rules="ethereum", context=context) as machine:
        chain = Chain(machine)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.process_time()
        with pytest.raises(Rung):  # far from all the gas that there may be: a defect shall end as well
            chain.send(
                Address.id(EAM_ACTOR),
                CREATE_EXTERNAL_METHOD,
                byte_string(LEFT_AND_FOREVER),
                gas_limit=Gas(5_000_000_000),
            )
        assert time.process_time() - started < 1 * slowness()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_other_threads_run_while_the_fast_engine_does(rules: str) -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        while running:
            turns += 1
            if turns == 11:
                os.kill(os.getpid(), signal.SIGALRM)
            time.sleep(0.001)

    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    with open_machine(evm="fast", rules=rules, context=MachineContext(base_fee=TokenAmount(0), block=block)) as machine:
        chain, running = Chain(machine), True
        thread = threading.Thread(target=count)
        thread.start()
        signal.setitimer(signal.ITIMER_REAL, 60)  # where the engine lets nobody else run
        try:
            with pytest.raises(Rung):
                chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(FOREVER), gas_limit=Gas(MAX_GAS))
        finally:
            running = False
            thread.join()
    assert turns > 10
