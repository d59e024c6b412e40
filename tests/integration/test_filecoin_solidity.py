"""The Solidity libraries for built-in actors, unmodified: `make bridge` runs all, `make test` what needs no npm."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.bundle import Bundle
from tests.conftest import data_file
from tests.integration.filecoin_solidity import table
from tests.integration.filecoin_solidity.__main__ import SCRIPT
from tests.integration.filecoin_solidity.cases import cases
from tests.integration.filecoin_solidity.compare import compare
from tests.integration.filecoin_solidity.stage import Stage

COMPILED = Path(__file__).parent / "filecoin_solidity" / "compiled" / table.KEPT
"""Callers of the two APIs that are small: transfers, and the precompiles for addresses."""
CANNOT_FAIL = {
    "DataCapAPI.name", "DataCapAPI.symbol", "DataCapAPI.totalSupply", "PowerAPI.minerCount",
    "PowerAPI.minerConsensusCount", "PowerAPI.networkRawPower", "PrecompilesAPI.lookupDelegatedAddress",
}  # fmt: skip
"""Functions that take nothing, or any number, and that no actor refuses."""


@pytest.fixture(scope="module", params=["own", "official"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    bundle = Bundle.embedded() if request.param == "own" else Bundle.open(data_file(table.OFFICIAL))
    ready = Stage(bundle, COMPILED)
    yield ready
    ready.machine.close()


@pytest.mark.parametrize("api", ["SendAPI", "PrecompilesAPI"])
def test_filecoin_solidity_does_what_the_same_native_call_does(stage: Stage, api: str) -> None:
    chosen = [case for case in cases(stage) if case.api == api]
    assert len(chosen) >= 9
    for case in chosen:
        assert not compare(stage, case).problems, case


def test_the_documented_table_says_equal_of_every_function_of_filecoin_solidity() -> None:
    rows = table.documented_rows()
    assert len(rows) == 58
    kept = [index for index, column in enumerate(table.COLUMNS, 2) if column.library == table.KEPT]
    assert {row[index] for row in rows.values() for index in kept} == {table.EQUAL}
    assert not any(table.MISSING in row or "different" in row for row in rows.values())
    assert not [method for method, row in rows.items() if row[0] == "0"]
    assert {method for method, row in rows.items() if row[1] == "0"} == CANNOT_FAIL


@pytest.mark.long
def test_every_function_of_filecoin_solidity_is_as_documented() -> None:
    artifacts = Path(subprocess.run([SCRIPT], check=True, capture_output=True, text=True).stdout.strip())
    for name in ("SendAPI.json", "PrecompilesAPI.json"):
        assert (artifacts / table.KEPT / name).read_text() == (COMPILED / name).read_text()
    rows, problems = table.run(artifacts)
    assert problems == []
    assert table.rendered(rows) == table.documented()
