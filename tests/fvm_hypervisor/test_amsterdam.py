"""Blocks of Amsterdam equal go-ethereum's; `python -m tests.oracle.amsterdam` records its output.

Each planted defect, a missing proposal or another number, must make a difference to one of these blocks.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

import runtimes.evm.ethereum.forks
from fvm_hypervisor.laboratory.vectors.t8n import transition
from runtimes.evm.ethereum.forks import AMSTERDAM, BPO2, FORKS, Fork, with_proposals
from runtimes.evm.ethereum.proposals import AMSTERDAM as NUMBERS
from runtimes.evm.ethereum.proposals import PROPOSALS
from tests.golden_cases import ethereum_cases
from tests.oracle.random_blocks import without_access_list

AMSTERDAM_CASES = ethereum_cases("amsterdam")
BLOCK: Final = "proposals"
DETECTING_CASES: Final = {7778: "refunds"}
"""Case that detects a missing proposal, where `BLOCK` does not: state gas is most of the gas there."""
WITHOUT_RULES: Final = (7997,)
"""Proposals that change no rule: a contract in the genesis of a chain."""


def amsterdam_as_proposals(*omitted: int) -> str:
    """Return the name of Amsterdam's rules as a fork with proposals, without some of them."""
    return "+".join(("BPO2", *(str(number) for number in NUMBERS if number not in omitted)))


def incomplete(number: int) -> Fork:
    """Return Amsterdam's rules without one proposal, also if another one requires it."""
    return with_proposals(BPO2, f"Amsterdam without {number}", [each for each in NUMBERS if each != number])


def run(name: str, fork: str, evm: str) -> Mapping[str, Any]:
    case = AMSTERDAM_CASES[name]
    done = transition(case["alloc"], case["env"], case["txs"], fork, evm=evm)
    return {"alloc": done.alloc, "result": done.result, "body": done.body}


@pytest.mark.parametrize("evm", ["py-evm", "fast", "fast:compile"])
@pytest.mark.parametrize("name", AMSTERDAM_CASES)
def test_a_block_is_that_of_go_ethereum(name: str, evm: str) -> None:
    assert run(name, amsterdam_as_proposals(), evm) == AMSTERDAM_CASES[name]["expected"]


@pytest.mark.parametrize("evm", ["fast", "fast:compile"])
@pytest.mark.parametrize("name", AMSTERDAM_CASES)
def test_a_block_in_whole_call_trees_is_that_of_go_ethereum(name: str, evm: str) -> None:
    """Under rules with access lists, the engine runs each frame on its own."""
    expected = json.loads(json.dumps(AMSTERDAM_CASES[name]["expected"]))
    without_access_list(expected)
    assert run(name, amsterdam_as_proposals(7928), evm) == expected


def test_floor_above_the_execution_gas_cap_has_go_ethereums_text() -> None:
    """300,000 bytes for the sender itself: 12,000 for the transaction, and 16 or, for the floor, 64 per byte."""
    case = AMSTERDAM_CASES[BLOCK]
    to_itself = case["txs"][2]
    assert int(to_itself["gas"], 16) == 11_999
    sent = {**to_itself, "nonce": "0x0", "gas": hex(1 << 25), "input": "0x" + "01" * 300_000}
    done = transition(case["alloc"], case["env"], [sent], "Amsterdam")
    text = "insufficient gas for floor data gas cost: intrinsic cost 4812000, floor: 19212000"  # go-ethereum 1.17.10
    assert done.result["rejected"] == [{"index": 0, "error": text}]


# --- planted defects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [each for each in NUMBERS if each not in WITHOUT_RULES])
def test_a_missing_proposal_is_found(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block, fork = DETECTING_CASES.get(number, BLOCK), incomplete(number)
    monkeypatch.setattr(runtimes.evm.ethereum.forks, "FORKS", {**FORKS, fork.name: fork})
    assert run(block, fork.name, "py-evm") != AMSTERDAM_CASES[block]["expected"]


def forks_with_changed_number() -> dict[str, Fork]:
    """Return forks with one other number each."""
    changes: dict[str, Any] = {
        field: {field: value + 1}
        for field in _changed("rules")
        if isinstance(value := getattr(AMSTERDAM, field), int) and not isinstance(value, bool)
    }
    for field in (*_changed("gas"), "account_bytes", "slot_bytes"):
        changes[field] = {"gas": replace(AMSTERDAM.gas, **{field: getattr(AMSTERDAM.gas, field) + 1})}
    return {field: AMSTERDAM.successor(f"Amsterdam, other {field}", **change) for field, change in changes.items()}


def _changed(part: str) -> list[str]:
    return sorted({field for number in NUMBERS for field in getattr(PROPOSALS[number], part)})


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("field", forks_with_changed_number())
def test_another_number_is_found(field: str, evm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = replace(forks_with_changed_number()[field], access_lists=False)
    monkeypatch.setattr(runtimes.evm.ethereum.forks, "FORKS", {**FORKS, fork.name: fork})
    expected = json.loads(json.dumps(AMSTERDAM_CASES[BLOCK]["expected"]))
    without_access_list(expected)
    assert run(BLOCK, fork.name, evm) != expected
