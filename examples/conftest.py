"""Fixtures of the examples' tests: a fresh network for each test, on both bundles, and a helper for expected reverts.

On this project's own bundle contracts run on its EVM runtime; on an official bundle they run on the official EVM actor,
in the native runtime. Every test must pass on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from hypervisor import Address
from hypervisor.bundles.bundle_library import downloaded_releases
from localnet import Account, Contract, Network, TransactionFailed
from tests.conftest import data_file, fvm_data

pytest_plugins = ("tests.suite_rules",)

OFFICIAL = "v18-testing-fake-proofs"
GAS_LIMIT = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed transaction: the contract's error, its revert data, and the failed calls, outermost first."""

    reason: str
    data: bytes
    exits: list[tuple[str, int]]


Refused = Callable[..., Refusal]


def official() -> Path | None:
    """Return the official bundle from the test data or from `hypervisor bundle fetch`, or None."""
    return data_file(f"bundles/{OFFICIAL}.car") if fvm_data() is not None else downloaded_releases().get(OFFICIAL)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with the fixture `chain` on this project's bundle, and on the official one if it is available."""
    if "chain" in metafunc.fixturenames:
        names = ["own bundle"] if official() is None else ["own bundle", "official bundle"]
        metafunc.parametrize("chain", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def chain(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A network shared by the tests of a module."""
    with Network(bundle=None if request.param == "own bundle" else official()) as network:
        yield network


@pytest.fixture
def network(chain: Network) -> Iterator[Network]:
    """The shared network; the changes of each test are reverted."""
    before = chain.snapshot()
    yield chain
    chain.revert(before)


@pytest.fixture
def refused(network: Network) -> Refused:
    """A function that sends a transaction, which must fail, and returns its `Refusal`."""

    def send(
        contract: Contract, function: str, *arguments: Any, value: int = 0, sender: Account | None = None
    ) -> Refusal:
        data = contract.interface.encode_call(function, *arguments)
        with pytest.raises(TransactionFailed) as failed:
            network.send(contract.address, value, data, sender=sender, gas_limit=GAS_LIMIT)
        trace = network.trace(failed.value.receipt.hash)
        return Refusal(contract.reason(failed.value.data), failed.value.data, exits(trace.calls))

    return send


def exits(calls: tuple[dict[str, Any], ...]) -> list[tuple[str, int]]:
    """Return the actor type and exit code of each failed call in a call tree."""
    found = []
    for call in calls:
        if call["exitCode"]:
            found.append((call["actor"], call["exitCode"]))
        found += exits(call["calls"])
    return found


def actor_id(network: Network, who: Account | Contract | Address) -> int:
    """Return the ID of an existing actor."""
    address = who if isinstance(who, Address) else to_filecoin(who.address)
    found = network.machine.state_tree.lookup_id(address)
    assert found is not None
    return found


def masked(actor: int) -> EthAddress:
    """Return the masked ID of a native actor, its Ethereum address."""
    return EthAddress(masked_id(actor))
