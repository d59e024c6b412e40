"""Cost of a message with 1,000, 100,000 and 1,000,000 actors in a state on disk.

Each message is a transfer that is applied and committed separately, with a sync (`bench.growing`). A state tree is a
HAMT of width 32: with 32 times as many actors a path has one more node to hash and write. Each size is measured in a
separate process; caches hold what the messages touch, as on a chain.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.rows import Row

SIZES: Final = (1_000, 100_000, 1_000_000)
OPENINGS: Final = 5
"""Number of processes that open the folder; the best one counts, since other programs only add to a time."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    found = [measure(size) for size in SIZES]

    def figures(name: str, unit: str, factor: float) -> str:
        return " / ".join(f"{cost[name] * factor:,.3g}" for cost in found) + f" {unit}"

    def ratio(name: str) -> float:
        return found[-1][name] / found[0][name]

    cold = f"{figures('cold_processor', 'us', 1e6)} between accounts that nothing has touched"
    yield Row("a message, by the processor", ratio("processor"), f"{figures('processor', 'us', 1e6)}; {cold}")
    parts = [name for name in found[-1] if name.startswith("share_")]
    whose = ", ".join(f"{name.removeprefix('share_')} {figures(name, '%', 1)}" for name in parts)
    yield Row("a message, by the clock", ratio("clock"), f"{figures('clock', 'us', 1e6)}, synced; shares: {whose}")
    yield Row("bytes that a message writes", ratio("written"), figures("written", "KB", 1e-3))
    yield Row("commit of 1,000 changed actors", found[-1]["flush"] * 1e3, figures("flush", "ms", 1e3))
    yield Row("open a folder of 1,000,000 actors", found[-1]["opened"] * 1e3, figures("opened", "ms", 1e3))
    grown = found[-1]["resident"] - found[0]["resident"]
    yield Row("memory that 999,000 more actors take", max(0.0, grown) / 1e6, figures("resident", "MB", 1e-6))


def measure(size: int) -> dict[str, float]:
    """Return the figures of `bench.growing` for a state of `size` accounts."""
    with TemporaryDirectory() as folder:
        _run("fill", folder, size)
        found: dict[str, float] = json.loads(_run("measure", folder, size))
        return found | {"opened": min(float(_run("open", folder, size)) for _ in range(OPENINGS))}


def _run(what: str, folder: str, size: int) -> bytes:
    command = [sys.executable, "-m", "bench.growing", what, folder, str(size)]
    project = Path(__file__).resolve().parent.parent
    return subprocess.run(command, cwd=project, capture_output=True, check=True).stdout
