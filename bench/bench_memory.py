"""Memory growth: how much more memory a process holds after 100,000 messages than after warming up.

Messages increment the example counter on a state in memory that is flushed regularly, as on a chain.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.bench_machine import EventCounter
from bench.rows import Row

STATUS = Path("/proc/self/statm")
WARM_UP, MESSAGES = 10_000, 100_000


def resident() -> int:
    """Return the resident memory of this process in bytes; 0 if the system does not report it."""
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATUS.is_file() else 0


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    name = f"resident memory after {MESSAGES:,} messages"
    if not STATUS.is_file():
        yield Row(name, None, "this system does not tell a process how much memory it holds")
        return
    ran = subprocess.run([sys.executable, "-m", __name__], stdout=subprocess.PIPE, check=True)
    warm, *later = json.loads(ran.stdout)
    parts = {f"after {(step + 1) * MESSAGES // 4:,}": 100 * (size / warm - 1) for step, size in enumerate(later)}
    yield Row(name, 100 * (later[-1] / warm - 1), f"{warm / 1e6:.1f} MB when warm, {later[-1] / 1e6:.1f} MB", parts)


def sizes() -> Iterator[int]:
    """Yield the resident memory of this process when warm, and after each quarter of the messages."""
    counter = EventCounter(None)
    for messages in (WARM_UP, *[MESSAGES // 4] * 4):
        for number in range(messages):
            counter.count()
            if number % 100 == 0:
                counter.machine.flush()
        yield resident()


if __name__ == "__main__":
    print(json.dumps(list(sizes())))
