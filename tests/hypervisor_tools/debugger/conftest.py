"""The debugged network, created once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor_tools.debugger.breakpoints import SourceLines
from hypervisor_tools.debugger.session import Session
from hypervisor_tools.debugger.subjects import Subject, of_transaction
from localnet import Network
from tests.hypervisor_tools.debugger.stage import OUT, Stage, prepare

Debug = Callable[..., Session]


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Network() as network:
        yield prepare(network)


@pytest.fixture
def debug(stage: Stage) -> Iterator[Debug]:
    """Return a function that opens sessions on the failing payment or another message, closed after the test."""
    made: list[Session] = []

    def session(subject: Subject | None = None) -> Session:
        made.append(Session(subject or of_transaction(stage.network, stage.failed), SourceLines([OUT])))
        return made[-1]

    yield session
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stage]:
    folder = tmp_path_factory.mktemp("stepped") / "chain"
    with Network(folder) as network:
        return folder, prepare(network)
