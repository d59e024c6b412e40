"""Machines with accounts on the embedded bundle, forked for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor import Genesis, Hypervisor
from hypervisor.types import TokenAmount
from tests.conftest import fvm_data, samples, with_data
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.ledger import LEDGER
from tests.hypervisor.builtin_actors.official import ALONE, ALONE_V19, OTHERS, V18, Official, newer
from tests.hypervisor.builtin_actors.people import GENESIS
from tests.hypervisor.builtin_actors.twins import Twins
from tests.hypervisor.builtin_actors.world import ETH_ACCOUNT, FUNDS, KEY_ACCOUNT, World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use an official bundle or random damaged messages; skip known differences by design."""
    for item in items:
        if "twins" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.sampled)
        of = item.callspec.params.get("official") if isinstance(item, pytest.Function) and _has(item) else None
        if isinstance(of, Official) and (reason := of.reason(item.path.stem, getattr(item, "originalname", item.name))):
            item.add_marker(pytest.mark.skip(reason=f"{of.name}: {reason}"))


def _has(item: pytest.Function) -> bool:
    return hasattr(item, "callspec")


@pytest.fixture(scope="session")
def first_machine() -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={KEY_ACCOUNT: TokenAmount(FUNDS), ETH_ACCOUNT: TokenAmount(FUNDS)})
    with Hypervisor.open(genesis=genesis) as machine:
        yield machine


@pytest.fixture
def world(first_machine: Hypervisor) -> World:
    return World(first_machine.fork())


@pytest.fixture
def counting(world: World) -> World:
    """Return the world with a counter."""
    world.create_counter()
    return world


@pytest.fixture(
    scope="session",
    params=[
        ALONE if fvm_data() is None else V18,
        *(pytest.param(one, marks=pytest.mark.long) for one in [*with_data(*OTHERS), ALONE_V19, *newer()]),
    ],
    ids=lambda of: of.name,
)
def official(request: pytest.FixtureRequest) -> Official:
    """Return the official bundle for the comparison: v18, and in `make equality` all others, including newer ones.

    Without test data, and at version 29, only our actors are tested.
    """
    of: Official = request.param
    return of


@pytest.fixture(scope="session")
def first_twins(official: Official) -> Twins:
    return Twins.at_genesis(GENESIS, official)


@pytest.fixture(scope="session", autouse=True)
def _ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """Save the comparison counts for `make equality`; nothing is saved without pytest's cache."""
    yield
    cache = getattr(request.config, "cache", None)
    if cache is not None:
        (Path(cache.mkdir("guests")) / "equality.json").write_text(LEDGER.as_json())


@pytest.fixture(scope="session")
def staged(first_twins: Twins) -> Twins:
    """Return the state of `tests.hypervisor.builtin_actors.stage`, which only `attempt` may change."""
    twins = first_twins.fork()
    stage.build(twins)
    return twins


@pytest.fixture
def twins(first_twins: Twins) -> Twins:
    return first_twins.fork(shakes=samples(6))
