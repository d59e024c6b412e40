"""Comparison of generated cases by worker processes, which import this module."""

import sys
from functools import lru_cache, partial

from fvm_hypervisor.laboratory.pool import run_all
from hypervisor.bundles.bundle import Bundle
from tests.conftest import fvm_data, newest_bundle
from tests.differential.generator import generate
from tests.differential.plants import NONE, PLANTS
from tests.differential.tally import CaseTally, run
from tests.differential.twins import ENGINES, RUNNERS, Twins

BUNDLE = "bundles/v18-devnet.car"
CHUNK = 250


def compare(seed: int, count: int, workers: int, plant: str = NONE) -> CaseTally:
    """Compare the first `count` cases of a seed."""
    total = CaseTally()
    starts = range(0, count, CHUNK)
    work = partial(compare_some, seed, count, plant)
    for number, part in enumerate(run_all(work, starts, workers, "chunks of cases"), 1):
        total.merge(part)
        for finding in part.findings if plant == NONE else ():
            print(f"DIFFERENT: {finding}", file=sys.stderr, flush=True)
        if number % 40 == 0:
            print(f"{total.count} cases, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, plant: str, start: int) -> CaseTally:
    """Compare one chunk of the cases in a worker."""
    with PLANTS[plant]():
        return run(twins(plant), (generate(seed, number) for number in range(start, min(start + CHUNK, count))))


@lru_cache(maxsize=1)
def twins(plant: str) -> Twins:
    """Return a worker's machines, reused for its chunks; planted defects get their own."""
    return Twins(Bundle.open(newest_bundle(BUNDLE)), runners())


def runners() -> tuple[str, str]:
    """Return the names of what runs the contracts on both machines."""
    return ENGINES if fvm_data() is None else RUNNERS


def official_actor() -> None:
    """Exit the program if there is no official EVM actor to compare with."""
    if fvm_data() is None:
        raise SystemExit("error: no official bundle: set FVM_DATA to the folder that holds bundles/")
