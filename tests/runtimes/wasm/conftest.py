"""Fixtures of the native runtime's tests: a machine, and a folder of compiled modules that only these tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypervisor.machine import Hypervisor


@pytest.fixture(scope="session", autouse=True)
def own_module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled modules of the tests out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FVM_CACHE_DIR", str(tmp_path_factory.mktemp("cache") / "modules"))
        yield


@pytest.fixture(params=["raw", "plain"])
def boundary(request: pytest.FixtureRequest) -> str:
    """Both boundaries: whatever is expected of a guest is expected over each."""
    name: str = request.param
    return name


@pytest.fixture
def machine(boundary: str) -> Iterator[Hypervisor]:
    """A machine in memory with the embedded bundle and the newest rules."""
    with Hypervisor.open(options={"boundary": boundary}) as machine:
        yield machine
