"""Networks of the lab `accounts`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab_tests.test_accounts import Stage


@pytest.fixture(params=["fip", "eip"])
def stage(request: pytest.FixtureRequest) -> "Iterator[Stage]":
    from lab_tests.test_accounts import Stage

    found = Stage(request.param)
    yield found
    found.network.close()
