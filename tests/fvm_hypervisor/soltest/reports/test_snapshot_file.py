"""`.gas-snapshot` lists the tests that forge's lists, with its figures. Expected: `forge snapshot` of forge 1.7.1."""

from __future__ import annotations

from fvm_hypervisor.soltest.gas_snapshot_file import entries_of, text_of
from tests.fvm_hypervisor.soltest.reports.conftest import Runs
from tests.fvm_hypervisor.soltest.reports.golden import forge


def test_the_gas_snapshot_is_forges_with_skipped_tests(runs: Runs) -> None:
    theirs = forge("gas-snapshot").splitlines()
    ours = text_of(entries_of(runs())).splitlines()
    assert "ProxyTest:test_skips() (gas: 0)" in ours
    assert [line for line in ours if "Fuzz" not in line] == [line for line in theirs if "Fuzz" not in line]
    assert [line.split(" (")[0] for line in ours] == [line.split(" (")[0] for line in theirs]
