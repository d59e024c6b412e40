"""Random blocks with conflicting messages, executed serially and in parallel, as a recorded run.

Receipts, gas, events, traced events and the state must be equal. A shorter run repeats this with planted defects in the
merge of workers' results, which must be found. A finding names its block: `--block SEED` executes one.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Final

from bench.recorded import RunRecord, finish, options
from tests.parallel import Played, play
from tests.parallel.plants import PLANTS, planted

STAGES: Final = ("workers were started", "a message was taken over", "a message was executed again")
MAX_FINDINGS: Final = 20
PLANTED_BLOCKS: Final = 40
_APART: Final = 1 << 32
"""Distance between the seeds of runs, so that no two share a block."""


def plays(seed: int, count: int, plant: str | None = None) -> Iterator[tuple[int, Played]]:
    """Execute blocks, each with its seed, in both ways with the injected bug."""
    with planted(plant):
        for number in range(seed * _APART, seed * _APART + count):
            yield number, play(number)


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 10_000)
    parser.add_argument("--block", type=int, metavar="SEED", help="play one block, and say what it found")
    chosen = parser.parse_args()
    if chosen.block is not None:
        played = play(chosen.block)
        print(played.difference or "no difference", played.parallel.record())
        return int(bool(played.difference))
    started = monotonic()
    stages, totals, findings = Counter[str](), Counter[str](), list[str]()
    for seed, played in plays(chosen.seed, chosen.count):
        parallel = played.parallel
        passed = (parallel.blocks > 0, parallel.accepted > 0, parallel.reexecuted > 0)
        stages.update(name for place, name in enumerate(STAGES) if all(passed[: place + 1]))
        totals.update(messages=played.messages, failed=played.failed)
        totals.update(taken_over=parallel.accepted, executed_again=parallel.reexecuted, conflicts=parallel.conflicted)
        if played.difference:
            findings.append(f"block {seed}: {played.difference}")
    found = {
        name: dict(Counter("found" for _, played in plays(chosen.seed, PLANTED_BLOCKS, name) if played.difference))
        for name in PLANTS
    }
    record = RunRecord(
        chosen.seed,
        chosen.count,
        {name: stages[name] for name in STAGES},
        findings[:MAX_FINDINGS],
        found,
        dict(totals),
    )
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
