"""The same tests under Filecoin's rules end as in forge, but for what Ethereum alone has and the network forbids."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.fvm_hypervisor.soltest.cheatcodes.golden import GOLDEN
from tests.fvm_hypervisor.soltest.cheatcodes.running import run

ONLY_ETHEREUMS: Final = {
    "testAttached()", "testCoinbase()", "testDeploy()", "testDiffDeep()", "testDiffResumes()", "testForAnother()",
    "testGasPrice()", "testLast()", "testLength()", "testMockFunction()", "testNested()", "testParent()",
    "testNone()", "testRandao()", "testReadOnly()", "testRecordAccess()", "testSignedThenAttached()",
    "testSnapshotNone()", "testTakenBack()",
}  # fmt: skip
"""These fail and say so."""

OTHERWISE: Final = {
    "testCaughtThenSpent()": "what a failed call was dealt is taken back with it",
    "testDealReverted()": "what a failed call was dealt is taken back with it",
    "testDealtInFailed()": "what a failed call was dealt is taken back with it",
    "testDealtInFailedThenSpent()": "what a failed call was dealt is taken back with it",
    "testNonceOfReverted()": "a nonce that a failed call set is taken back with it",
    "testPassedOnThenFailed()": "what a failed call was dealt is taken back with it",
    "testDefaults()": "the block has randomness, and the network's gas limit",
    "testClone()": "no code stands in at an address of the precompiles'",
    "testMockReceive()": "no code stands in at an address of the precompiles'",
    "testLoadPrecompile()": "the precompile is an actor's address like others",
    "testGas()": "50,000 gas are too little for a call",
    "testGasValue()": "50,000 gas are too little for a call",
    "testIntercept()": "the init code comes as the address manager's parameters",
    "testMockDelegate()": "a delegate call does not say whose code it runs",
    "testMockNoCode()": "the address is one of the precompiles'",
    "testPause()": "gas is the network's",
    "testAttachBlob()": "there is no opcode of blobs",
    "testCreate()": "only contracts create contracts, in no other's name",
    "testCreate2()": "only contracts create contracts, in no other's name",
    "testCreateInStart()": "only contracts create contracts, in no other's name",
    "testCreateValue()": "only contracts create contracts, in no other's name",
    "testDelegatePrank()": "delegate calls are made in no other's name",
}  # fmt: skip

NAMESAKES: Final = {
    ("DocsTest", "testNone()"), ("ExpectRevertTest", "testCreate()"), ("FilesTest", "testGas()"),
    ("GasMeasuredTest", "testNone()"),
}  # fmt: skip
"""These only share their names with one of those."""


OF_INSTRUCTIONS: Final = {"MemoryOfSetUpTest", "MemoryTest", "StepsTest"}
"""Contracts whose tests watch single instructions."""


@pytest.mark.parametrize("contract", sorted(OF_INSTRUCTIONS))
def test_instructions_are_watched_under_ethereums_rules_only(contract: str, tmp_path: Path) -> None:
    found = run(contract, tmp_path, rules="filecoin")
    said = {name: test.reason for name, test in found.items() if "Filecoin's rules have no" not in (test.reason or "")}
    unasked = {"testNothingRecorded()": "vm.stopAndReturnDebugTraceRecording: nothing recorded"}
    assert said == (unasked if contract == "StepsTest" else {})


@pytest.mark.parametrize("contract", sorted(GOLDEN["forge"].keys() - OF_INSTRUCTIONS))
def test_tests_end_as_in_forge(contract: str, tmp_path: Path) -> None:
    wanted, found = GOLDEN["forge"][contract], run(contract, tmp_path, rules="filecoin")
    differing = {name for name, test in wanted.items() if found[name].status.value != test["status"]}
    listed = {name for name in (ONLY_ETHEREUMS | set(OTHERWISE)) & set(wanted) if (contract, name) not in NAMESAKES}
    assert differing == listed
    for name in differing & ONLY_ETHEREUMS:
        assert "under Filecoin's rules" in (found[name].reason or "") or "Filecoin's rules have no" in (
            found[name].reason or ""
        )


def test_filecoins_own_cheatcodes_do_the_same(tmp_path: Path) -> None:
    found = run("FilecoinTest", tmp_path, rules="filecoin", network=28)  # the last with DataCap
    assert sum(test.status.value == "Success" for test in found.values()) == 9
