"""Random trees of calls over the three runtimes (`trees`)."""

import pytest

from riscv_tests.trees import run_trees


@pytest.mark.parametrize("seed", range(2))
def test_trees_over_three_runtimes_equal_those_of_the_evm(seed: int) -> None:
    assert list(run_trees(40, seed)) == []
