"""Profiled guests, and their end when the profile is cancelled."""

import threading
import time

import pytest

from hypervisor.gil import GIL_POLICY
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import profile_actors
from hypervisor.threads import ExecutionThread, large_stacks
from tests.runtimes.wasm.guests import call, guest, install_actor

ENDLESS = guest(
    "(drop (call $message_context (i32.const 200))) (loop $on (br $on)) (i32.const 0)", "vm.message_context"
)
TRILLION = 10**12
"""Gas for minutes of its loop."""
_SOON = 60.0


def test_computing_guest_stops_soon_after_profile_is_cancelled() -> None:
    with Hypervisor.open() as machine, profile_actors(machine) as recorder, GIL_POLICY.releasing():
        own, interrupted = ExecutionThread(), threading.Event()
        address = install_actor(machine, ENDLESS)

        def profile() -> None:
            own.adopt()
            with pytest.raises(KeyboardInterrupt):
                call(machine, address, gas_limit=TRILLION)
            interrupted.set()

        with large_stacks():
            thread = threading.Thread(target=profile, daemon=True)
            thread.start()
        invocations, end = recorder.open, time.monotonic() + _SOON
        while not (invocations and invocations[-1].syscall_ns) and time.monotonic() < end:
            time.sleep(0.01)  # its only syscall is over: it loops
        own.interrupt()
        assert interrupted.wait(_SOON)
        thread.join()
        assert not invocations
