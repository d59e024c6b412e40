"""Networks for tests, made once per bundle; each test starts from a snapshot."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from localnet import Network
from tests.conftest import bundle_file, kinds

BUNDLE = "bundles/v18-testing-fake-proofs.car"
ARTIFACTS = Path(__file__).resolve().parent.parent.parent / "examples" / "solidity" / "artifacts"
START = 1_700_000_000


@dataclass
class Clock:
    """A clock that only tests advance."""

    now: float = START

    def __call__(self) -> float:
        return self.now


def network_fixture(make: Callable[[], Network], scope: Literal["function", "module"] = "function") -> Any:
    """Return a fixture that opens a network and closes it after the test, or after the module."""

    @pytest.fixture(scope=scope)
    def opened() -> Iterator[Network]:
        with make() as network:
            yield network

    return opened


@pytest.fixture(scope="session")
def own_network() -> Iterator[Network]:
    """Return a network on this project's own bundle."""
    with Network(clock=Clock()) as network:
        yield network


@pytest.fixture(scope="session")
def official_network() -> Iterator[Network]:
    """Return a network on an official bundle; without the test data on our own."""
    with Network(bundle=bundle_file(BUNDLE), clock=Clock()) as network:
        yield network


@pytest.fixture
def network(own_network: Network) -> Iterator[Network]:
    """Return the network on our own bundle; changes by a test are reverted."""
    yield from _restored(own_network)


@pytest.fixture
def official(official_network: Network) -> Iterator[Network]:
    """Return the network on an official bundle; changes by a test are reverted."""
    yield from _restored(official_network)


@pytest.fixture(params=kinds())
def either(request: pytest.FixtureRequest) -> Network:
    """Return each network in turn."""
    found: Network = request.getfixturevalue("network" if request.param == "own" else "official")
    return found


@pytest.fixture(params=kinds())
def before_nv29(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Return a network of version 28 on each bundle, before DataCap is frozen."""
    with Network(bundle=None if request.param == "own" else bundle_file(BUNDLE), network=28, clock=Clock()) as network:
        yield network


def _restored(network: Network) -> Iterator[Network]:
    """Yield a network, and restore also what a snapshot does not contain."""
    snapshot, chain, clock = network.snapshot(), network.chain, network._clock
    interfaces, watchers, now = (
        dict(network._interfaces.known),
        list(chain.watchers),
        getattr(clock._clock, "now", None),
    )
    yield network
    assert network.revert(snapshot), (
        "a test went back further than to where it began: its chain would be the next one's"
    )
    network.automine, chain.deferred, clock.interval = True, False, None
    network._interfaces.known, chain.watchers = interfaces, watchers
    if isinstance(clock._clock, Clock) and now is not None:
        clock._clock.now = now
