"""Fixtures: a machine over a synthetic bundle, in which all actors run on one scripted runtime."""

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.machine.machine import Hypervisor
from tests.hypervisor.test_bundles import car
from tests.hypervisor.world import SENDER, SENDER_BALANCE, ScriptedRuntime

GENESIS = Genesis("test", {SENDER: SENDER_BALANCE})


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> ScriptedRuntime:
    """Return the runtime that every machine of the test uses, under every name."""
    scripted = ScriptedRuntime()
    monkeypatch.setattr("hypervisor.machine.registry._installed_runtimes", lambda _name: lambda _services: scripted)
    return scripted


@pytest.fixture
def bundle() -> Bundle:
    return Bundle.from_car(car())


@pytest.fixture
def machine(runtime: ScriptedRuntime, bundle: Bundle) -> Hypervisor:
    return Hypervisor.open(bundle=bundle, genesis=GENESIS)
