"""Every scenario of the Solidity corpus on both machines, and a part of the state tests' contracts."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import data_file
from tests.differential.comparison import BUNDLE, twins
from tests.differential.corpus import run_fillers, run_scenario
from tests.differential.fillers import read_file
from tests.differential.plants import NONE
from tests.differential.scenarios import SCENARIOS
from tests.differential.twins import LOOKED

SCRIPT = Path(__file__).parents[2] / "scripts" / "corpus"
EXAMPLES = "vectors/GeneralStateTests/stExample"
LOOKS_AT_GAS = "vectors/GeneralStateTests/stTransactionTest/StoreGasOnCreate.json"


@cache
def artifacts() -> Path:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_does_the_same_on_both_machines(name: str) -> None:
    tally, unexpected = run_scenario(artifacts(), name)
    assert not tally.findings
    assert not tally.gas_decided
    assert not unexpected


def test_contracts_of_state_tests_do_the_same_on_both_machines() -> None:
    tallies = [run_fillers(path) for path in sorted(data_file(EXAMPLES).glob("*.json"))]
    assert sum(tally.count for tally in tallies) >= 4
    assert not any(tally.findings for tally in tallies)


def test_code_that_stores_the_gas_that_is_left_is_decided_by_gas() -> None:
    data_file(BUNDLE)  # two engines of ours never differ in gas
    (case,) = read_file(data_file(LOOKS_AT_GAS))
    compared = twins(NONE).compare(case)
    assert compared.difference
    assert compared.by_gas == LOOKED
