"""Random cheatcodes."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.fuzzing import _bound
from hypervisor_tools.soltest.cheatcodes.state import State

CONTEXT: Any = SimpleNamespace(state=State(), settings=SimpleNamespace(seed=1))


@pytest.mark.parametrize(("value", "low", "high"), [(15, 10, 20), (10, 10, 11), (-3, -4, 2), (0, 0, 2**256 - 1)])
def test_bound_returns_another_value_in_the_range(value: int, low: int, high: int) -> None:
    """Source: forge 1.7.1, crates/evm/fuzz/src/strategies/mutators.rs, `BoundMutator`."""
    found = {_bound(CONTEXT, value, low, high) for _ in range(100)}
    assert value not in found
    assert all(low <= other <= high for other in found)


@pytest.mark.parametrize(("value", "low", "high"), [(5, 10, 20), (21, 10, 20), (5, 20, 10), (5, 5, 5)])
def test_bound_refuses_a_value_outside_of_the_range(value: int, low: int, high: int) -> None:
    with pytest.raises(CheatcodeFailure, match=rf"cannot bound {value} in \[{low}, {high}\] range"):
        _bound(CONTEXT, value, low, high)
