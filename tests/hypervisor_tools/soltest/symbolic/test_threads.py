"""Terms that another thread collects while this one is in z3."""

import subprocess
import sys
from typing import Final

import pytest

PROGRAM: Final = """
import gc, threading
import z3
from hypervisor_tools.soltest.symbolic import words

def collect():
    while not ended.wait(0.0001):
        gc.collect()

gc.disable()  # in this thread
gc.freeze()  # collect the new cycles only
ended = threading.Event()
collector = threading.Thread(target=collect)
collector.start()
for number in range(1000):
    a, b = z3.BitVecs(f"a{number} b{number}", 256)
    cycle = [a + step for step in range(200)]
    cycle.append(cycle)
    del cycle
    for step in range(40):
        a = (a + b) | (a - step)
    z3.simplify(a)
ended.set()
collector.join()
print("done")
"""


@pytest.mark.slow
def test_another_thread_may_collect_terms() -> None:
    """Without deferred releases z3's terms are damaged, and a signal ends the process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
