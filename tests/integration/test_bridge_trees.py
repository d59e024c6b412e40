"""Call trees across runtimes: equal results on the EVM runtime and under the official EVM actor."""

import pytest

from tests.conftest import with_data
from tests.crossing.comparison import PLANTS
from tests.crossing.trees import Tree
from tests.crossing.twins import BELOW, TWICE, Stages, stages

TREES = 20


@pytest.mark.slow
def test_bridge_trees_end_alike_on_both_machines(both: Stages) -> None:
    passed: list[str] = []
    for number in range(TREES):
        compared, found = both.execute(Tree(7, number))
        assert not compared.difference
        passed += stages(found)
    assert passed.count(TWICE) >= TREES / 2
    assert passed.count(BELOW) >= TREES / 4


@pytest.mark.parametrize("plant", with_data("refusal-unsigned"))
def test_bridge_trees_find_a_defect_of_the_bridge(both: Stages, plant: str) -> None:
    with PLANTS[plant]():
        assert any(both.execute(Tree(7, number))[0].difference for number in range(4 * TREES))
