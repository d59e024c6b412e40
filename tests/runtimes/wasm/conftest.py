"""Fixtures of the native runtime's tests: a machine on each boundary."""

from collections.abc import Iterator

import pytest

from hypervisor.machine.machine import Hypervisor


@pytest.fixture(params=["raw", "plain"])
def boundary(request: pytest.FixtureRequest) -> str:
    """Return each boundary: expected results are those of both."""
    name: str = request.param
    return name


@pytest.fixture
def machine(boundary: str) -> Iterator[Hypervisor]:
    """Return a machine in memory with the embedded bundle and the newest rules."""
    with Hypervisor.open(options={"boundary": boundary}) as machine:
        yield machine
