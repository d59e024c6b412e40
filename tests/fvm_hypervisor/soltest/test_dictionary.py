"""The fuzz dictionary: slots, return data, events and pushed words, as the settings include them."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bridge.filecoin.receipts import Log, log_to_entries
from fvm_hypervisor.soltest.call_outcome import CallOutcome
from fvm_hypervisor.soltest.dictionary import Dictionary, SourceLiterals, StateWords
from fvm_hypervisor.soltest.execution.inline import configured
from fvm_hypervisor.soltest.execution.results import CaseStatus, TestResult
from fvm_hypervisor.soltest.project.project import (
    DictionarySettings,
    FuzzSettings,
    InvariantSettings,
    Project,
    load_project,
)
from hypervisor.messages.events import StampedEvent
from hypervisor.types import ActorID
from tests.fvm_hypervisor.soltest.contracts import FAIL, artifact, counting_suite

Run = Callable[..., dict[str, dict[str, TestResult]]]
EMPTY_HASH = "5f5f20"
"""keccak256 of nothing: a word that occurs in no source and no code."""
STATE = StateWords((1000,), ((2000,), (3000,)), (4000, 5000))
SOURCES = SourceLiterals((6000, 7000), ("one", "two"))


def drawn(dictionary: Dictionary) -> set[int | None]:
    """Return thousands of draws; neighbours and inverted words count as the word."""
    rng = Random(1)
    words = (dictionary.choose(rng) for _ in range(2000))
    return {None if word is None else round(min(word, 2**256 - 1 - word), -3) for word in words}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {1000, 2000, 3000, 4000, 5000, 6000, 7000}),
        ({"include_storage": False}, {1000, 2000, 3000, 6000, 7000}),
        ({"include_push_bytes": False}, {1000, 4000, 5000, 6000, 7000}),
        ({"max_fuzz_dictionary_addresses": 1}, {1000, 2000, 4000, 5000, 6000, 7000}),
        ({"max_fuzz_dictionary_values": 2}, {1000, 4000, 6000, 7000}),
        ({"max_fuzz_dictionary_literals": 1}, {1000, 2000, 3000, 4000, 5000, 6000}),
        ({"max_fuzz_dictionary_literals": 0, "max_fuzz_dictionary_values": 0}, {None}),
    ],
)
def test_fuzz_dictionary_matches_its_settings(settings: dict[str, Any], expected: set[int | None]) -> None:
    assert drawn(Dictionary.of(DictionarySettings(**settings), STATE, SOURCES)) == expected


def outcome() -> CallOutcome:
    word = (2000).to_bytes(32, "big")
    log = Log(((1000).to_bytes(32, "big"), (3000).to_bytes(32, "big")), (4000).to_bytes(32, "big") + b"\1")
    return CallOutcome(True, word, 0, (StampedEvent(ActorID(1), tuple(log_to_entries(log))),), touched_words=(5000,))


def test_dictionary_holds_run_values_until_forgotten() -> None:
    dictionary = Dictionary([9000])
    dictionary.add_outcome(outcome())
    assert drawn(dictionary) == {2000, 3000, 4000, 5000, 9000}
    dictionary.forget_runs()
    assert drawn(dictionary) == {9000}
    without = Dictionary(storage=False)
    without.add_outcome(outcome())
    assert drawn(without) == {2000, 3000, 4000}


def test_dictionary_growth_by_runs_is_bounded() -> None:
    dictionary = Dictionary([1, 2], limit=5)
    for word in range(100):
        dictionary.add(word)
    assert len(dictionary) == 5
    dictionary = Dictionary()
    for word in range(10_000):
        dictionary.add(word)
    assert len(dictionary) == 4096


def test_keys_of_foundry_toml_and_of_comments_are_read(tmp_path: Path) -> None:
    (tmp_path / "foundry.toml").write_text(
        "[fuzz]\ninclude_storage = false\nmax_fuzz_dictionary_values = 7\n"
        '[invariant]\ninclude_push_bytes = false\nmax_fuzz_dictionary_addresses = "max"\n',
        encoding="utf-8",
    )
    project = load_project(tmp_path)
    assert (project.fuzz.include_storage, project.fuzz.max_fuzz_dictionary_values) == (False, 7)
    assert (project.invariant.include_push_bytes, project.invariant.include_storage) == (False, False)
    assert project.invariant.max_fuzz_dictionary_addresses == (1 << 64) - 1
    comments = {"testFuzz": ["default.fuzz.include_storage = true", "default.fuzz.max_fuzz_dictionary_literals = 3"]}
    fuzz = configured(project, comments, "testFuzz").fuzz
    assert (fuzz.include_storage, fuzz.max_fuzz_dictionary_literals) == (True, 3)


@pytest.mark.parametrize("included", [True, False])
def test_a_fuzz_test_knows_the_slots_that_set_up_has_written(
    run_contracts: Run, tmp_path: Path, included: bool
) -> None:
    suite = {
        "setUp()": [EMPTY_HASH, "5f5500"],
        "testFuzz(uint256)": ["600435", "5f54", "14", "@bad", "57", "00", "bad:", *FAIL],
    }
    project = Project(tmp_path, fuzz=FuzzSettings(runs=256, include_storage=included))
    found = run_contracts({"Suite": suite}, project=project)["Suite"]["testFuzz(uint256)"]
    assert found.status is (CaseStatus.FAILURE if included else CaseStatus.SUCCESS)


@pytest.mark.slow
@pytest.mark.parametrize("included", [True, False])
def test_invariant_dictionary_includes_slots_written_by_calls(
    run_contracts: Run, tmp_path: Path, included: bool
) -> None:
    counter = artifact({
        "set()": [EMPTY_HASH, "60015500"],
        "take(uint256)": ["600435", "600154", "14", "600154", "1515", "16", "@bad", "57", "00", "bad:", "60015f5500"],
        "count()": ["5f545f5260205ff3"],
    })  # fmt: skip
    settings = InvariantSettings(runs=10, depth=40, include_storage=included)
    suite = counting_suite(counter, "5f5115")  # count() is zero
    project = Project(tmp_path, invariant=settings)
    (found,) = run_contracts({"Suite": suite, "Counter": counter}, project=project)["Suite"].values()
    assert found.status is (CaseStatus.FAILURE if included else CaseStatus.SUCCESS)
    assert included == (len(found.counterexample) == 2)


def test_fixtures_come_from_functions_and_public_arrays(run_contracts: Run, tmp_path: Path) -> None:
    suite = artifact({
        "fixtureAmount()": ["60205f52", "60016020", "52", EMPTY_HASH, "604052", "60605ff3"],
        "fixture_other(uint256)": ["600435", "@end", "57", "60016020", "20", "5f52", "60205ff3", "end:", *FAIL],
        "testAmount(uint256)": ["600435", EMPTY_HASH, "14", "@bad", "57", "00", "bad:", *FAIL],
        "testOther(uint256)": ["600435", "60016020", "20", "14", "@bad", "57", "00", "bad:", *FAIL],
    })  # fmt: skip
    names = {"testAmount": "amount", "testOther": "_other"}
    for entry in suite["abi"]:
        entry["outputs"] = {"fixtureAmount": [{"type": "uint256[]"}], "fixture_other": [{"type": "uint256"}]}.get(
            entry["name"], []
        )
        for part in entry["inputs"]:
            part["name"] = names.get(entry["name"], "")
    project = Project(tmp_path, fuzz=FuzzSettings(runs=64))
    found = run_contracts({"Suite": suite}, project=project)["Suite"]
    assert {name: test.status for name, test in found.items()} == dict.fromkeys(
        ("testAmount(uint256)", "testOther(uint256)"), CaseStatus.FAILURE
    )
