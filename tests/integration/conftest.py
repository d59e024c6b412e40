"""The two machines that the bridge tests compare."""

from collections.abc import Iterator

import pytest

from hypervisor.bundles.bundle import Bundle
from tests.conftest import bundle_file
from tests.crossing.twins import Stages
from tests.differential.comparison import BUNDLE, runners


@pytest.fixture(scope="module")
def both() -> Iterator[Stages]:
    ready = Stages(Bundle.open(bundle_file(BUNDLE)), runners())
    yield ready
    for twin in (ready.ours, ready.official):
        twin.machine.close()
