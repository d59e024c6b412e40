"""Hostile bytecode: expected end, bounded memory (of the process, too), no RecursionError.

Expected ends follow the yellow paper, EIP-170 and EIP-6780 under Ethereum's rules; under Filecoin's, the official EVM
actor, which runs the same programs if its bundle is available.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import data_file
from tests.runtimes.evm.hostile import HUGE, RANGES, orders

MAX_MIB = 400


def run_hostile(*arguments: str) -> Any:
    command = [sys.executable, "-m", "tests.runtimes.evm.hostile", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["py-evm", "fast"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def filecoin(engine: str) -> Any:
    return run_hostile("filecoin", engine)


@pytest.fixture(scope="module")
def ethereum(engine: str) -> Any:
    return run_hostile("ethereum", engine)


@pytest.mark.slow
def test_a_claim_of_more_memory_than_there_is_ends_the_frame(filecoin: Any, ethereum: Any) -> None:
    names = [(operation, size, f"{operation} {size}") for operation in RANGES for size in HUGE]
    assert ethereum["ranges"] == {name: [1, True] for _, _, name in names}  # out of gas, which is gone
    below = ("MSTORE", "MSTORE8", "MLOAD", "MCOPY from afar")  # these reach beyond the offset that they name
    for operation, size, name in names:
        fits = size == "four gigabytes" and operation not in below
        expected = [24, False] if fits or name == "MSTORE8 four gigabytes" else [38, False]
        assert filecoin["ranges"][name] == expected, name


def test_infinite_loop_uses_only_its_gas(filecoin: Any, ethereum: Any) -> None:
    assert filecoin["endless"] == [7, True]
    assert ethereum["endless"] == [1, True]


def test_code_of_24_kibibytes_and_a_byte_is_refused(filecoin: Any, ethereum: Any) -> None:
    assert filecoin["created"] == {"24576": 0, "24577": 16}
    assert ethereum["created"] == {"24576": 0, "24577": 1}


def test_recursion_goes_as_deep_as_the_rules_say(filecoin: Any, ethereum: Any) -> None:
    """Ethereum's limit counts the calls below the first frame, Filecoin's the frames."""
    assert (filecoin["frames"], ethereum["frames"]) == (1024, 1025)
    assert filecoin["recursion limit kept"]
    assert ethereum["recursion limit kept"]


def test_selfdestructs_in_any_order_leave_expected_balances(filecoin: Any, ethereum: Any) -> None:
    for name, calls in orders():
        balances = [10, 100, 1000]
        for who, heir in calls:
            if who != heir:
                balances[heir], balances[who] = balances[heir] + balances[who], 0
        # none was made in the same transaction, so under Ethereum's rules none goes (EIP-6780)
        assert ethereum["destroyed"][name] == [0, balances, [True] * 3]
        assert filecoin["destroyed"][name] == [0, balances, [False] * 3]


def test_memory_stays_bounded(filecoin: Any, ethereum: Any) -> None:
    assert max(filecoin["MiB"], ethereum["MiB"]) < MAX_MIB


@pytest.mark.slow
def test_official_actor_ends_hostile_code_identically(filecoin: Any) -> None:
    official = run_hostile("filecoin", "official", str(data_file("bundles/v18-devnet.car")))
    assert {**official, "MiB": 0} == {**filecoin, "MiB": 0}
