"""The same tests under Filecoin's rules end as in forge, except for features of Ethereum only."""

from pathlib import Path
from typing import Final

import pytest

from tests.hypervisor_tools.soltest.cheatcodes.golden import GOLDEN
from tests.hypervisor_tools.soltest.cheatcodes.running import run

ONLY_ETHEREUMS: Final = {
    "testAttached()", "testCoinbase()", "testDelegateCallRow()", "testDiffDeep()", "testDiffResumes()",
    "testForAnother()", "testGasPrice()", "testKeyOfDiff()", "testLast()", "testLength()", "testMockFunction()",
    "testNested()", "testNonceOfAnothersBroadcast()", "testNonceOfCreation()", "testNonceOfOwnBroadcast()",
    "testNone()", "testOpcodeRows()", "testOpcodeRowsOfTest()", "testParent()", "testPrankedDelegateCallRow()",
    "testRandao()", "testReadOnly()", "testRecordAccess()", "testRowOfFailedCreation()", "testRowsOfBroadcastCreate2()",
    "testSelfdestructRow()",
    "testSignedThenAttached()", "testSnapshotNone()", "testTakenBack()",
}  # fmt: skip
"""These fail with a message."""

OTHERWISE: Final = {
    "testCaughtThenSpent()": "a balance set in a failed call reverts with it",
    "testDealReverted()": "a balance set in a failed call reverts with it",
    "testDealtInFailed()": "a balance set in a failed call reverts with it",
    "testDealtInFailedThenSpent()": "a balance set in a failed call reverts with it",
    "testNonceOfReverted()": "a nonce set in a failed call reverts with it",
    "testPassedOnThenFailed()": "a balance set in a failed call reverts with it",
    "testDefaults()": "the block has randomness, and the network's gas limit",
    "testClone()": "code of precompiles cannot be replaced",
    "testMockReceive()": "code of precompiles cannot be replaced",
    "testLoadPrecompile()": "the precompile's address is that of an ordinary actor",
    "testGas()": "50,000 gas are not enough for a call",
    "testGasValue()": "50,000 gas are not enough for a call",
    "testStaticGas()": "50,000 gas are not enough for a call",
    "testStaticGasCount()": "50,000 gas are not enough for a call",
    "testStaticMinGas()": "50,000 gas are not enough for a call",
    "testPrecompileFails()": "a precompile runs in the frame of its caller",
    "testPrecompileFailsInDelegateCall()": "a precompile runs in the frame of its caller",
    "testPrecompileWithoutGas()": "a precompile runs in the frame of its caller",
    "testMockDelegate()": "a delegate call does not name the code's owner",
    "testMockNoCode()": "the address is a precompile",
    "testPrague()": "opcodes are the network version's",
    "testOsaka()": "opcodes are the network version's",
    "testShanghai()": "opcodes are the network version's",
    "testPause()": "gas is Filecoin's",
    "testAttachBlob()": "there are no blob opcodes",
    "testBroadcastOfTestsSender()": "contracts can only be created by contracts, not pranked",
    "testCreate()": "contracts can only be created by contracts, not pranked",
    "testCreate2()": "contracts can only be created by contracts, not pranked",
    "testCreateInStart()": "contracts can only be created by contracts, not pranked",
    "testCreateValue()": "contracts can only be created by contracts, not pranked",
    "testDelegatePrank()": "delegate calls cannot be pranked",
}  # fmt: skip

NAMESAKES: Final = {
    ("DocsTest", "testNone()"), ("ExpectRevertTest", "testCreate()"), ("FilesTest", "testGas()"),
    ("GasMeasuredTest", "testNone()"),
}  # fmt: skip
"""These only share their names with one of those."""


OF_INSTRUCTIONS: Final = {"MemoryOfSetUpTest", "MemoryTest", "StepsTest"}
"""Contracts whose tests trace single instructions."""


@pytest.mark.slow
@pytest.mark.parametrize("contract", sorted(OF_INSTRUCTIONS))
def test_instructions_are_watched_under_ethereums_rules_only(contract: str, tmp_path: Path) -> None:
    found = run(contract, tmp_path, rules="filecoin")
    said = {name: test.reason for name, test in found.items() if "Filecoin's rules have no" not in (test.reason or "")}
    unasked = {"testNothingRecorded()": "vm.stopAndReturnDebugTraceRecording: nothing recorded"}
    assert said == (unasked if contract == "StepsTest" else {})


@pytest.mark.slow
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


@pytest.mark.slow
def test_filecoins_own_cheatcodes_do_the_same(tmp_path: Path) -> None:
    found = run("FilecoinTest", tmp_path, rules="filecoin", network=28)  # the last version with DataCap
    assert sum(test.status.value == "Success" for test in found.values()) == 9
