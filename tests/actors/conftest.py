"""Machines with accounts on the embedded bundle, forked anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor import Genesis, Hypervisor
from hypervisor.types import TokenAmount
from tests.actors.people import GENESIS
from tests.actors.twins import COSTS, Twins
from tests.actors.world import ETH_ACCOUNT, FUNDS, KEY_ACCOUNT, World


@pytest.fixture(scope="session")
def first_machine() -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={KEY_ACCOUNT: TokenAmount(FUNDS), ETH_ACCOUNT: TokenAmount(FUNDS)})
    with Hypervisor.open(genesis=genesis) as machine:
        yield machine


@pytest.fixture
def world(first_machine: Hypervisor) -> World:
    return World(first_machine.fork())


@pytest.fixture(scope="session")
def first_twins(request: pytest.FixtureRequest) -> Iterator[Twins]:
    folder = Path(request.config.cache.mkdir("guests"))
    yield Twins.at_genesis(GENESIS, folder)
    (folder / "costs.txt").write_text(COSTS.table())


@pytest.fixture
def twins(first_twins: Twins) -> Twins:
    return first_twins.fork(shakes=6)
