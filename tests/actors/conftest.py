"""Machines with accounts on the embedded bundle, forked anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypervisor import Genesis, Hypervisor
from hypervisor.types import TokenAmount
from tests.actors.world import ETH_ACCOUNT, FUNDS, KEY_ACCOUNT, World


@pytest.fixture(scope="session")
def first_machine() -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={KEY_ACCOUNT: TokenAmount(FUNDS), ETH_ACCOUNT: TokenAmount(FUNDS)})
    with Hypervisor.open(genesis=genesis) as machine:
        yield machine


@pytest.fixture
def world(first_machine: Hypervisor) -> World:
    return World(first_machine.fork())
