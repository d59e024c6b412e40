"""Ethereum's official state tests on this project's dispatch, actors and storage: exact root, logs and exception.

A fixed sample runs each time; `make statetest` runs all. Without the test data, our own files replace them; their
expected results are those of py-evm (state_test_cases.py).
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.statetest import find_files, run_file, run_test
from tests.conformance.state_test_cases import CASES as STATE_TESTS
from tests.conformance.state_test_cases import Written, text_of
from tests.conftest import OWN_DATA, data_file, fvm_data

ROOTS = ("vectors/GeneralStateTests", "vectors/state_tests")
LARGE = 300_000
EVERY = 23
"""Sampling interval: every 23rd file below `LARGE` bytes outside the slow folders is in the sample."""

SLOW_FOLDERS = ("stTimeConsuming", "stZeroKnowledge", "stQuadraticComplexityTest", "VMTests")
CHECKED = ("Cancun", "Prague", "Osaka")
COUNTS = {"Cancun": 12_433, "Prague": 7_714, "Osaka": 8_290}
OWN_COUNTS = {"Cancun": 15, "Prague": 16, "Osaka": 0}


def every_file() -> list[Path]:
    return find_files([(fvm_data() or OWN_DATA) / root for root in ROOTS])


def sample() -> list[Path]:
    found = [path for path in every_file() if not any(folder in path.as_posix() for folder in SLOW_FOLDERS)]
    return [path for path in found if path.stat().st_size < LARGE][:: EVERY if fvm_data() else 1]


def failures(path: Path) -> list[str]:
    return [f"{record['name']} {record['index']}: {record['error']}" for record in run_file(path) if not record["pass"]]


@pytest.mark.parametrize("path", sample(), ids=lambda path: path.stem)
def test_a_file_of_the_sample_passes(path: Path) -> None:
    assert not failures(path)


@pytest.mark.slow
def test_the_files_hold_as_many_cases_as_their_providers_say() -> None:
    counts = dict.fromkeys(CHECKED, 0)
    for path in every_file():
        for test in json.loads(path.read_text(encoding="utf-8")).values():
            for fork in CHECKED:
                counts[fork] += len(test["post"].get(fork, ()))
    assert counts == (COUNTS if fvm_data() else OWN_COUNTS)


@pytest.mark.parametrize("case", STATE_TESTS, ids=lambda case: Path(case.file).stem)
def test_own_state_test_files_match_py_evm(case: Written) -> None:
    path = OWN_DATA / case.file
    assert path.read_text(encoding="utf-8") == text_of(case), "run `python -m tests.conformance.state_test_cases`"
    assert not failures(path)


# --- what is altered is noticed ---------------------------------------------------------------------------------------

EXAMPLE = "vectors/GeneralStateTests/stExample/eip1559.json"
REFUSED = "vectors/GeneralStateTests/stExample/invalidTr.json"


def outcomes(file: str, change: dict[str, Any]) -> list[str]:
    """Return the errors of a file's Cancun cases after fields of the first one are changed."""
    errors = []
    for name, test in json.loads(data_file(file).read_text(encoding="utf-8")).items():
        changed = copy.deepcopy(test)
        changed["post"]["Cancun"][0].update(change)
        errors += [result.error for result in run_test(file, name, changed, "Cancun")]
    return errors


@pytest.mark.parametrize("file", [EXAMPLE, REFUSED])
def test_untouched_files_pass(file: str) -> None:
    assert not any(outcomes(file, {}))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (EXAMPLE, {"hash": "0x" + "11" * 32}, "state root"),
        (EXAMPLE, {"logs": "0x" + "22" * 32}, "logs hash"),
        (EXAMPLE, {"expectException": "TransactionException.NONCE_IS_MAX"}, "transaction: valid"),
        (REFUSED, {"expectException": None}, "INTRINSIC_GAS_TOO_LOW, expected valid"),
        (
            REFUSED,
            {"expectException": "TransactionException.NONCE_IS_MAX"},
            "NONCE_IS_MAX",
        ),
    ],
)
def test_an_altered_expectation_is_noticed(file: str, change: dict[str, Any], words: str) -> None:
    first, *others = outcomes(file, change)
    assert words in first
    assert not any(others)
