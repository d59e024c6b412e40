"""Comparison of many trees by worker processes, optionally with a planted defect in the bridge."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final
from unittest.mock import patch

from bridge.filecoin import call
from bridge.filecoin.call import ActorCall, LengthCheck
from fvm_hypervisor.laboratory.pool import run_all
from hypervisor.bundles.bundle import Bundle
from tests.conftest import fvm_data
from tests.crossing.trees import Tree
from tests.crossing.twins import BELOW, CROSSED, Stages, stages
from tests.differential import plants
from tests.differential.comparison import BUNDLE
from tests.tally import Tally

CHUNK = 100


@contextmanager
def _read_only_forgotten() -> Iterator[None]:
    """Drop the read-only flag of a contract's call."""
    decode = call.decode_call

    def writable(data: bytes, by_id: bool, check_length: LengthCheck = call.within_block) -> ActorCall:
        return replace(decode(data, by_id, check_length), read_only=False)

    with patch("runtimes.evm.precompiles.filecoin.decode_call", writable):
        yield


@contextmanager
def _refusal_unsigned() -> Iterator[None]:
    """Report a send that the machine refuses as an exit code of the actor."""
    with patch("runtimes.evm.precompiles.filecoin.failed_send_exit", int):
        yield


NONE: Final = plants.NONE
PLANTS: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = MappingProxyType(
    {
        NONE: plants.PLANTS[NONE],
        "no-reload": plants.PLANTS["no-reload"],
        "read-only-forgotten": _read_only_forgotten,
        "refusal-unsigned": _refusal_unsigned,
    }
)


@dataclass
class TreeTally(Tally):
    """Sums over trees; `counts` holds calls, calls across runtimes and refusals."""

    exits: Counter[int] = field(default_factory=Counter)
    gas_decided: int = 0


def compare(seed: int, count: int, workers: int, plant: str = NONE) -> TreeTally:
    """Compare the first `count` trees of a seed."""
    total = TreeTally()
    work = partial(compare_some, seed, count, plant)
    for part in run_all(work, range(0, count, CHUNK), workers, "chunks of trees"):
        total.merge(part)
        if total.count % 1000 == 0:
            print(f"{total.count} trees, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, plant: str, start: int) -> TreeTally:
    """Compare one chunk of the trees in a worker."""
    tally = TreeTally()
    with PLANTS[plant]():
        both = machines(plant)
        for number in range(start, min(start + CHUNK, count)):
            tree = Tree(seed, number)
            compared, found = both.execute(tree)
            passed = stages(found)
            tally.count += 1
            tally.stages.update(passed)
            tally.counts.update({name: found[name] for name in ("calls", "crossings", "refused below")})
            tally.exits.update(outcome.exit_code for outcome in compared.official)
            tally.gas_decided += compared.gas_decided
            if compared.difference:  # enough gas for all: none may be decided by it
                tally.findings.append(f"{tree.case.name}: {compared.difference}")
                tally.found[BELOW if BELOW in passed else CROSSED if CROSSED in passed else "one side"] += 1
    return tally


@lru_cache(maxsize=1)
def machines(plant: str) -> Stages:
    """Return a worker's machines, reused for its chunks; planted defects get their own."""
    data = fvm_data()
    if data is None:
        raise SystemExit("error: no official bundle: set FVM_DATA to the folder that holds bundles/")
    return Stages(Bundle.open(data / BUNDLE))
