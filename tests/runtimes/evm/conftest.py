"""What several tests of the EVM runtime watch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from hypervisor.machine import Hypervisor
from runtimes.evm.fast.engine import FastEngine
from tests.runtimes.evm.tree_twins import ENGINES, LEFT, Twins


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many trees have ended, and how many were left. All of them ask their host: none runs at once."""
    counted: Counter[str] = Counter()
    run = FastEngine._run_tree

    def watched(self: FastEngine, *given: Any) -> Any:
        ended = run(self, *given)
        counted["left" if ended is None else "ended"] += 1
        return ended

    monkeypatch.setattr(FastEngine, "_run_tree", watched)
    monkeypatch.setattr(FastEngine, "at_once", lambda *_: None)
    return counted


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Hypervisor]]:
    """An empty machine for each engine, to be put back after use."""
    made = {engine: Hypervisor.open(rules="ethereum", evm=engine) for engine in ENGINES}
    yield made
    for machine in made.values():
        machine.close()


@pytest.fixture
def twins(machines: dict[str, Hypervisor], trees: Counter[str]) -> Twins:
    return Twins(machines, trees)


@pytest.fixture(params=["", LEFT], ids=["one tree", "a tree for each call"])
def begins(request: pytest.FixtureRequest) -> str:
    """What the first frame begins with."""
    chosen: str = request.param
    return chosen
