"""A trap stays an exit code after other code replaced the process's signal handlers. Each in a separate process."""

import ctypes
import subprocess
import sys
import threading

import pytest

from runtimes.wasmtime.engine import TrapSignals, guest_engine

PROGRAM = """
import faulthandler, os, signal, sys
from hypervisor import Hypervisor
from hypervisor.machine.machine import CreationFailed
import wasmtime

guests = {
    "unreachable": "unreachable",
    "memory": "(i32.load (i32.const -8))",
    "division": "(i32.div_u (i32.const 1) (local.get 0))",
}
with Hypervisor.open() as machine:
    for taken in (lambda: None, lambda: %s):
        for name, body in guests.items():
            wat = f'(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) {body}))'
            code = machine.install(bytes(wasmtime.wat2wasm(wat)))
            taken()
            try:
                machine.create(code)
            except CreationFailed as failed:
                print(name, failed.result.exit_code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="wasmtime hears of traps in other ways here")
@pytest.mark.parametrize(
    "taken",
    [
        "faulthandler.enable(sys.__stderr__)",
        "(faulthandler.enable(sys.__stderr__), faulthandler.disable())",
        "signal.signal(signal.SIGSEGV, signal.SIG_DFL)",
        "[signal.signal(number, signal.SIG_DFL) for number in (signal.SIGILL, signal.SIGFPE)]",
    ],
)
def test_traps_are_exits_whoever_has_the_signals(taken: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM % taken], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")[:-1]) == (0, ["unreachable 4", "memory 4", "division 4"] * 2), (
        done.stderr
    )


@pytest.mark.skipif(sys.platform != "linux", reason="wasmtime hears of traps in other ways here")
def test_each_thread_is_answered_in_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared buffer could hold another thread's result."""
    guest_engine()
    signals, places = TrapSignals(), dict[str, set[int]]()
    ask = signals._sigaction

    def noted(number: object, change: object, place: object) -> None:
        places.setdefault(threading.current_thread().name, set()).add(ctypes.addressof(place))  # type: ignore[arg-type]  # a ctypes array
        ask(number, change, place)

    monkeypatch.setattr(signals, "_sigaction", noted)
    both = threading.Barrier(2)

    def look() -> None:
        signals.restore()
        both.wait(10)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == len(set().union(*places.values())) == 2
