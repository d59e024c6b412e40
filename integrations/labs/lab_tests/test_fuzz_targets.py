"""Short fuzzing tests of the labs' targets."""

import pytest

from tests.fuzz.target import lab_names, load
from tests.fuzz.test_fuzz import check_known_inputs


@pytest.mark.parametrize("name", lab_names())
def test_known_inputs_yield_no_finding(name: str) -> None:
    check_known_inputs(name)


@pytest.mark.parametrize("name", lab_names())
def test_target_seeds_are_within_input_length_limit(name: str) -> None:
    target = load(name)
    assert max(map(len, target.seeds())) <= target.longest
