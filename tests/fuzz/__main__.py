"""The full fuzzer: `make fuzz` (a minute for each target), or a recorded run with a fixed number of inputs.

Each target runs in a separate process (`worker`), which gets inputs in proportion to its share. The exit code is 1 on
any finding; the inputs that caused one are saved in build/fuzz.

With `--saturate` a target ends as soon as it is saturated (`coverage`): new inputs no longer reach new branches.
The record states which targets are saturated, and has the curve of each.

A line is `#INPUTS EVENT cov: EDGES ft: FEATURES corp: ...` (compiler-rt lib/fuzzer/FuzzerLoop.cpp, `PrintStats`). An
edge is a branch of a module that the target imports; a feature also counts how often one input passed it, in powers of
two.

A target is saturated if the last nine tenths of its inputs, and of at least `LEAST`, reached no new edge.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

from tests.fuzz.target import lab_names, load, names, store_inputs, stored_inputs
from tests.harness.paths import PROJECT
from tests.harness.recorded import RunRecord, finish, options

LEAST: Final = 100_000
"""Minimum number of inputs of a saturated target."""
_STATISTICS: Final = re.compile(r"^#(\d+)\s+([A-Za-z_]+)\s+cov: (\d+) ft: (\d+) ", re.MULTILINE)
_PULSE: Final = "pulse"
"""Event that libFuzzer prints at each power of two."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage, and the number of the last input that reached a new edge.

    `curve` has a line `INPUTS EDGES FEATURES` for each power of two.
    """

    edges: int = 0
    features: int = 0
    last_new: int = 0
    curve: tuple[str, ...] = ()

    def is_saturated(self, count: int) -> bool:
        """Return True if a target with this many inputs is saturated."""
        return count >= max(LEAST, 10 * self.last_new)


def read_coverage(log: str) -> Coverage:
    """Return the coverage at the end of a log; empty without statistics."""
    edges = features = last_new = 0
    curve = []
    for inputs, event, now, features_now in _STATISTICS.findall(log):
        if int(now) > edges:
            edges, last_new = int(now), int(inputs)
        features = int(features_now)
        if event == _PULSE:
            curve.append(f"{inputs} {now} {features_now}")
    return Coverage(edges, features, last_new, tuple(curve))


FOUND = PROJECT / "build" / "fuzz"
COUNT = 1_000_000
"""Number of inputs of a run without a limit of time."""
KEPT, KEPT_LENGTH = 50, 1500
"""Maximum number of saved inputs of a target, and their maximum length in bytes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one process; `interesting` holds the inputs that reached new branches."""

    count: int
    passed: int
    findings: list[str]
    interesting: list[bytes] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)


def main() -> int:
    """Run the fuzzer and return the exit code."""
    parser, all_names = options(__doc__, COUNT), sorted([*names(), *lab_names()])
    parser.add_argument(
        "--targets", nargs="+", choices=all_names, default=all_names, metavar="TARGET", help="some of them"
    )
    parser.add_argument("--seconds", type=float, help="of processor time for each target")
    parser.add_argument("--saturate", action="store_true", help="end saturated targets; --seconds is a limit")
    parser.add_argument("--keep", action="store_true", help="store inputs with new coverage, up to 50 per target")
    parser.set_defaults(count=None)  # no limit beside --seconds
    chosen = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    started = monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        is_timed = chosen.seconds and not chosen.saturate and chosen.count is None
        parts = [None] * len(chosen.targets) if is_timed else split(chosen.count or COUNT, chosen.targets)
        waiting = {
            name: pool.submit(play, name, part, chosen.seconds, chosen.seed, saturate=chosen.saturate)
            for name, part in zip(chosen.targets, parts, strict=True)
        }
        outcomes = {name: future.result() for name, future in waiting.items()}
    if chosen.keep:
        for name, outcome in outcomes.items():
            store_inputs(name, [*stored_inputs(name), *outcome.interesting][:KEPT])
    record = summary(outcomes, chosen.seed)
    if is_timed:
        for finding in record.findings:
            _say(f"FOUND: {finding}")
        return 1 if record.findings else 0
    return finish(record, chosen, started)


def split(count: int, targets: Iterable[str]) -> list[int]:
    """Return the number of inputs of each target; `count` in total."""
    shares = [load(name).share for name in targets]
    parts = [count * share // sum(shares) for share in shares]
    parts[0] += count - sum(parts)
    return parts


def play(name: str, count: int | None, seconds: float | None, seed: int, *, saturate: bool = False) -> Outcome:
    with TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        out, log, corpus = FOUND / f"{name}.json", FOUND / f"{name}.log", Path(folder)
        out.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "tests.fuzz.worker", name),
            *("--seed", str(seed), "--out", str(out), "--corpus", folder),
            *(() if count is None else ("--count", str(count))),
            *(() if seconds is None else ("--seconds", str(seconds))),
            *(("--saturate", str(log)) if saturate else ()),
        ]
        start = monotonic()
        environment = os.environ | {"PYTHONHASHSEED": "0", "FVM_CACHE_DIR": str(FOUND / "modules")}
        with log.open("wb") as file:
            ended = subprocess.run(command, cwd=PROJECT, env=environment, stdout=file, stderr=file, check=False)
        if not out.exists():
            words = f"{name}: the process ended with {ended.returncode}; see {log} and the input beside it"
            return Outcome(0, 0, [words])
        found = json.loads(out.read_text())
        seeded = {path.name for path in corpus.glob("seed-*")}
        interesting = sorted(path.read_bytes() for path in corpus.iterdir() if path.name not in seeded)
    coverage = read_coverage(log.read_text(encoding="utf-8", errors="replace"))
    passed, seconds = found["passed"] / found["count"], monotonic() - start
    is_saturated = "saturated" if coverage.is_saturated(found["count"]) else "not saturated"
    reached = f"{coverage.edges} edges, the last new one by input {coverage.last_new}, {is_saturated}"
    _say(f"{name}: {found['count']} inputs, {passed:.0%} past the decoder, {reached}, {seconds:.0f} s")
    small = sorted((data for data in interesting if len(data) <= KEPT_LENGTH), key=len)
    return Outcome(found["count"], found["passed"], found["findings"], small[:: len(small) // KEPT + 1], coverage)


def summary(outcomes: dict[str, Outcome], seed: int) -> RunRecord:
    count = sum(outcome.count for outcome in outcomes.values())
    passed = sum(outcome.passed for outcome in outcomes.values())
    findings = [finding for outcome in outcomes.values() for finding in outcome.findings]
    details = {
        name: {
            "inputs": outcome.count,
            "past the decoder": outcome.passed,
            "saturated": outcome.coverage.is_saturated(outcome.count),
            **asdict(outcome.coverage),
        }
        for name, outcome in outcomes.items()
    }
    return RunRecord(seed, count, {"made": count, "past the decoder": passed}, findings, details)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
