"""Golden cases of the official EVM actor: exit codes, returns, events and the head of every actor must be equal.

They are part of the test data; without it, the cases recorded by fevm_cases.py are used.
"""

from functools import cache
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.fevm import ALL_GROUPS, CaseRunner, load_cases
from hypervisor.bundles.bundle import Bundle
from store.cid import EMPTY_ARRAY_CID, show
from tests.conformance.fevm_cases import BUNDLE, CASES, FOLDER, GROUP, recorded
from tests.conftest import data_file, fvm_data

OWN_ACTORS = ("system", "init", "account", "ethaccount", "placeholder", "eam", "evm")


@cache
def _official() -> Bundle:
    return Bundle.open(data_file(BUNDLE))


@cache
def _world(natives: str) -> CaseRunner:
    """Return a machine with contracts on this project's EVM runtime and official or own native actors."""
    return CaseRunner(Bundle.embedded() if natives == "own" else _official())


def _cases() -> list[Any]:
    if fvm_data() is None:
        return [pytest.param("own", GROUP, case, id=f"{GROUP}/{case['name']}") for case in load_cases(FOLDER, GROUP)]
    cases = [(group, case) for group in ALL_GROUPS for case in load_cases(data_file("vectors/fevm"), group)]
    return [
        pytest.param(natives, group, case, id=f"{natives}-{group}/{case['name']}")
        for natives in ("official", "own")
        for group, case in cases
        if natives == "official" or _fits_own_bundle(case)
    ]


def _fits_own_bundle(case: dict[str, Any]) -> bool:
    """Return True if a case uses only actors of this project's bundle, and no code CID of the official one."""
    code = _official().manifest.code("evm").hex()
    messages = case.get("messages") or [case["message"]]
    return all(actor["code"] in OWN_ACTORS for actor in case["pre"]) and not any(
        code in message["params"] for message in messages
    )


@pytest.mark.parametrize(("natives", "group", "case"), _cases())
def test_contract_matches_official_evm_actor(natives: str, group: str, case: dict[str, Any]) -> None:
    differences = _world(natives).run(case)
    assert not differences, "\n".join(differences)


def test_an_altered_head_is_noticed() -> None:
    (case, *_) = load_cases(FOLDER, GROUP)
    expect = (case.get("expects") or [case["expect"]])[-1]
    (contract, *_) = [actor for actor in expect["actors"] if actor["code"] == "evm"]
    contract["head"] = show(EMPTY_ARRAY_CID)
    assert any("head" in difference for difference in _world("own").run(case))


@pytest.mark.parametrize("name", CASES)
def test_fevm_cases_match_official_evm_actor(name: str) -> None:
    """The files in fevm/ contain the official actor's results; they are verified again if the actor is available."""
    kept = {case["name"]: case for case in load_cases(FOLDER, GROUP)}
    assert kept.keys() == CASES.keys()
    assert not _world("own").run(kept[name])
    if fvm_data() is not None:
        assert recorded(name, CASES[name], CaseRunner(_official(), evm="official")) == kept[name]
