"""Generated contracts on both machines, as a recorded run: exit, return data, events and state root must be equal.

Then the same, shorter, with a defect in the EVM runtime, which must be found, else the run proves nothing. A case is
the seed and a number: `python -m tests.differential --case SEED:NUMBER` shows one.
"""

from __future__ import annotations

import sys
from functools import lru_cache, partial
from time import monotonic

from bench.recorded import Record, finish, options
from devtools.vectors.pool import run_all
from hypervisor.bundle import Bundle
from tests.conftest import fvm_data
from tests.differential.generator import generate
from tests.differential.plants import NONE, PLANTS
from tests.differential.show import show
from tests.differential.tally import STAGES, Tally, run
from tests.differential.twins import Twins

BUNDLE = "bundles/v18-devnet.car"
CHUNK = 250
MOST_FINDINGS = 20


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = options(__doc__, 2000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--case", metavar="SEED:NUMBER", help="show one case, and what it does on both machines")
    chosen = parser.parse_args()
    if chosen.case:
        seed, number = chosen.case.split(":")
        return show(twins(NONE), generate(int(seed), int(number)))
    started = monotonic()
    tally = compare(chosen.seed, chosen.count, chosen.workers)
    record = Record(
        seed=chosen.seed,
        count=chosen.count,
        stages={name: tally.stages[name] for name in STAGES},
        findings=tally.findings[:MOST_FINDINGS],
        planted_defect={name: planted(name, chosen.seed, chosen.count) for name in PLANTS if name != NONE},
        details=tally.details(),
    )
    return finish(record, chosen, started)


def planted(name: str, seed: int, count: int) -> dict[str, int]:
    """In how many cases of a shorter run a defect is found, by the cases' class."""
    tally = compare(seed, max(count // 20, 200), 1, name)
    return dict(sorted(tally.found_by_theme.items()))


def compare(seed: int, count: int, workers: int, plant: str = NONE) -> Tally:
    """The first `count` cases of a seed."""
    total = Tally()
    starts = range(0, count, CHUNK)
    work = partial(compare_some, seed, count, plant)
    for number, part in enumerate(run_all(work, starts, workers, "chunks of cases"), 1):
        total.merge(part)
        if number % 40 == 0:
            print(f"{total.count} cases, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, plant: str, start: int) -> Tally:
    """One chunk of the cases, for a worker."""
    with PLANTS[plant]():
        return run(twins(plant), (generate(seed, number) for number in range(start, min(start + CHUNK, count))))


@lru_cache(maxsize=1)
def twins(plant: str) -> Twins:
    """A worker's machines, kept over its chunks; a defect needs machines of its own."""
    data = fvm_data()
    if data is None:
        raise SystemExit("error: no official bundle: set FVM_DATA to the folder that holds bundles/")
    return Twins(Bundle.open(data / BUNDLE))


if __name__ == "__main__":
    sys.exit(main())
