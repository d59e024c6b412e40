"""Transition tool compared with go-ethereum's: accounts, roots, receipts, difficulty, fees and rejection texts.

The inputs and go-ethereum's output are recorded by `python -m tests.oracle.transitions`.
"""

from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.t8n import transition
from fvm_hypervisor.laboratory.vectors.t8n_env import MissingValue
from hypervisor.errors import InvalidInput
from tests.golden_cases import ethereum_cases

CASES = ethereum_cases("transitions")


@pytest.mark.parametrize("name", CASES)
def test_the_output_equals_that_of_go_ethereum(name: str) -> None:
    case = CASES[name]
    done = transition(case["alloc"], case["env"], case["txs"], case["fork"], reward=case["reward"])
    assert {"alloc": done.alloc, "result": done.result, "body": done.body} == case["expected"]


@pytest.mark.parametrize("evm", ["py-evm", "fast:compile"])
def test_opcodes_of_proposals_are_those_of_go_ethereum(evm: str) -> None:
    case = CASES["Cancun+8024+7843"]
    done = transition(case["alloc"], case["env"], case["txs"], case["fork"], evm=evm)
    assert done.result == case["expected"]["result"]
    assert {receipt["status"] for receipt in done.result["receipts"]} == {"0x0", "0x1"}


@pytest.mark.parametrize("fork", ["Osaka+9", "Osaka+", "Osaka+8024+1346", "Fronter+8024", "Osaka+" + "1" * 5000])
def test_an_unknown_proposal_is_refused_with_the_known_ones(fork: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not known: .*as in Osaka\+8024 \(1153, 1344, .*8024.*\)"):
        transition({}, {}, [], fork)


@pytest.mark.parametrize(("number", "other"), [(8037, 8038), (8038, 8037)])
def test_proposals_with_common_prices_require_each_other(number: int, other: int) -> None:
    """go-ethereum's EIPs 8037 and 8038 enable the same set of rules (core/vm/eips.go)."""
    with pytest.raises(InvalidInput, match=rf"^EIP-{number} requires EIP-{other}: use Osaka\+7708\+8037\+8038$"):
        transition({}, {}, [], f"Osaka+7708+{number}")


def test_the_recorded_blocks_accept_and_reject() -> None:
    result = CASES["BPO2"]["expected"]["result"]
    assert len(result["receipts"]) == 6
    assert len({item["error"].split(":")[0] for item in result["rejected"]}) == 12


@pytest.mark.parametrize(
    ("fork", "changes", "words"),
    [
        ("London", {"parentBaseFee": None}, "one of the fields 'currentBaseFee' and 'parentBaseFee' is needed"),
        ("London", {"parentDifficulty": None}, "one of the fields 'currentDifficulty' and 'parentDifficulty'"),
        (
            "London",
            {"parentTimestamp": "0xffff"},
            "'currentTimestamp' is 15000: expected a time after 'parentTimestamp', 65535",
        ),
        ("Merge", {"currentRandom": None}, "'currentRandom' is missing: Paris requires it"),
        ("Merge", {"currentDifficulty": "0x1"}, "'currentDifficulty' is 0x1: expected 0 or none in Paris"),
        ("Shanghai", {"withdrawals": None}, "'withdrawals' is missing: Shanghai requires it"),
        ("Cancun", {"parentBeaconBlockRoot": None}, "'parentBeaconBlockRoot' is missing: Cancun requires it"),
    ],
)
def test_a_value_that_the_fork_needs_is_named(fork: str, changes: dict[str, Any], words: str) -> None:
    case = CASES[fork]
    with pytest.raises(MissingValue, match=words):
        transition(case["alloc"], {**case["env"], **changes}, [], fork)
