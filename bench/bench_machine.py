"""The machine itself: the cost of importing and opening it, and the overhead of tracing support without a tracer.

The first two are measured in fresh interpreters, in processor time, to reduce the effect of other programs.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.rows import Row, seconds
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Genesis, Hypervisor, Message, Recorder
from hypervisor.gas import GasTracker
from hypervisor.tracing import Tracer
from hypervisor.types import MethodNumber, TokenAmount
from hypervisor_tools.cli.demo.scenario import counter_module
from store.codec import encode

SENDER = Address.delegated(10, bytes(19) + b"\x01")
RUNS = 7

PROGRAM = """
from time import process_time as now
start = now()
import hypervisor
package = now()
from hypervisor import *
names = now()
Hypervisor.open()
opened = now()
Hypervisor.open()
again = now()
print([1e3 * taken for taken in (package - start, names - package, opened - names, again - opened)])
"""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield from start_rows()
    yield from tracer_rows()


def start_rows() -> Iterator[Row]:
    """Yield milliseconds to import and to open: the best of some fresh interpreters, with warm caches."""
    with TemporaryDirectory() as folder:
        # as in an installed package: compiled once, including the bundle's modules
        environment = os.environ | {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", PROGRAM]
        outputs = [
            subprocess.run(command, capture_output=True, check=True, env=environment).stdout for _ in range(1 + RUNS)
        ]
    taken: list[list[float]] = [json.loads(output) for output in outputs[1:]]
    package, names = min((run[:2] for run in taken), key=sum)
    yield Row("import hypervisor", package + names, parts={"the package": package, "every public name": names})
    first, again = min(run[2] for run in taken), min(run[3] for run in taken)
    yield Row("open the embedded bundle, modules cached", first, parts={"again in the same process": again})


def tracer_rows() -> Iterator[Row]:
    """Yield messages to the example counter without a tracer and with one that records everything.

    The overhead without a tracer is estimated from above: for each event that a tracer would receive, one check for a
    tracer, as costly as that of the gas tracker.
    """
    recorder = Recorder()
    without, recorded = EventCounter(None), EventCounter(recorder)
    recorder.events.clear()
    recorded.count()
    looks = len(recorder.events)
    times = [(without.seconds_of_one(), recorded.seconds_of_one()) for _ in range(RUNS)]
    plain, traced = min(time for time, _ in times), min(time for _, time in times)
    note = f"{plain * 1e6:.0f} us without, {traced * 1e6:.0f} us with {looks} events recorded"
    yield Row("a message without a tracer", plain / traced, note)
    yield Row("what an absent tracer costs a message", looks * one_look() / plain * 100, f"{looks} looks at no tracer")


class EventCounter:
    """A machine with the example counter and an account that calls it."""

    def __init__(self, tracer: Tracer | None) -> None:
        genesis = Genesis(accounts={SENDER: TokenAmount(10**24)})
        self.machine = Hypervisor.open(genesis=genesis, tracer=tracer)
        self.counter = self.machine.create(self.machine.install(counter_module())).address
        self.nonce = 0

    def count(self) -> None:
        method = MethodNumber(method_number("Increment"))
        message = Message(to=self.counter, from_=SENDER, nonce=self.nonce, method=method, params=encode(1))
        result = self.machine.apply(message)
        if result.exit_code:
            raise RuntimeError(f"the counter exited with {result.exit_code}: {result.message}")
        self.nonce += 1

    def seconds_of_one(self, messages: int = 100) -> float:
        start = perf_counter()
        for _ in range(messages):
            self.count()
        return (perf_counter() - start) / messages


def one_look() -> float:
    """Return seconds of one check for a tracer, without the surrounding loop."""
    gas = GasTracker(1)
    looks = range(1000)

    def looking() -> None:
        for _ in looks:
            if gas.tracer is not None:
                raise AssertionError

    def not_looking() -> None:
        for _ in looks:
            pass

    return max(seconds(looking, calls=20) - seconds(not_looking, calls=20), 0.0) / len(looks)
