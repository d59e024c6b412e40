"""Filecoin's cheatcodes do what `contracts/Filecoin.t.sol` expects, on the bundle's actors, under Ethereum's rules.

Expected: the actors' exit codes (USR_FORBIDDEN, no such method), thirty seconds an epoch, the figures that were asked
for, as the actors' own state has them; in words here what is refused.
"""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.report.collecting import SuiteCoverage
from tests.hypervisor_tools.soltest.cheatcodes.running import run

REFUSED = {
    "testNobodyToMintFor()": "vm.mintFil: there is no actor f01234, and none can be created at this kind of address",
    "testNoSuchPath()": "vm.readActorState: an actor has no 'zzz': expected one of id, type, code, head, nonce, "
    "balance, delegated_address, state",
    "testTooManyEpochs()": "vm.advanceEpochs: 1000000 epochs exceed the limit of 100000 per call",
}


@pytest.mark.slow
def test_filecoin_cheatcodes_behave_as_documented(tmp_path: Path) -> None:
    found = run("FilecoinTest", tmp_path, network=28)  # the last version with DataCap
    assert {name: test.reason for name, test in found.items() if test.status.value != "Success"} == REFUSED
    assert len(found) == 12


@pytest.mark.slow
def test_gas_report_excludes_gas_queried_by_cheatcode(tmp_path: Path) -> None:
    report: list[SuiteCoverage] = []
    run("FilecoinTest", tmp_path, report=report)
    counter = report[0].gas["test/Filecoin.t.sol", "Counter"].functions
    assert max(gas for calls in counter.values() for gas in calls) < 100_000  # Ethereum gas, for one slot
