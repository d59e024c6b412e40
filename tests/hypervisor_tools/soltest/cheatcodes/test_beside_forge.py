"""Every cheatcode test of `contracts/` ends as in forge: the same status, message, gas and logs.

Expected values are the output of forge (`golden.json.xz`); `make clients` compares them with forge again.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from hypervisor_tools.soltest.execution.results import CaseKind
from hypervisor_tools.soltest.project.test_settings import EVM_VERSIONS
from tests.hypervisor_tools.soltest.cheatcodes.golden import GOLDEN
from tests.hypervisor_tools.soltest.cheatcodes.running import run

OTHER_GAS: Final = {
    "testDealReverted()": "an account whose balance a failed call set is warm in forge",
    "testDealtInFailed()": "an account whose balance a failed call set is warm in forge",
    "testDealtInFailedThenSpent()": "an account whose balance a failed call set is warm in forge",
    "testPassedOnThenFailed()": "an account whose balance a failed call set is warm in forge",
    "testIntercept()": "intercepted init code costs gas per word",
    "testCountZeroBad()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectsLogWithoutTopics()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectsLogWithoutTopicsCaught()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectsLogWithoutTopicsInCall()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectsLogWithoutTopicsReverts()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectsLogWithoutTopicsRevertsHere()": "a forbidden log fails the call at its end, in forge at once",
    "testExpectedRevert()": "an expected failure of a creation by name costs 185 gas more here",
    "testHanging()": "an expectation that hangs ends the test at another place",
    "testInvalidReason()": "an invalid opcode uses up its gas",
    "testUncaughtInvalid()": "an invalid opcode uses up its gas",
    "testBlobWithDelegation()": "a call with both a blob and a delegation costs no gas",
    "testVersionHasCommitTimeAndProfile()": "the version is longer here",
    "testBroadcast()": "a static call after a broadcast costs no gas",
    "testBroadcastCreate2()": "forge prices the call of the deployer, too",
    "testBroadcastCreate2Refused()": "forge prices the call of the deployer, too",
    "testBroadcastCreate2TooMuch()": "forge prices the call of the deployer, too",
    "testBroadcastCreate2Value()": "forge prices the call of the deployer, too",
    "testRowsOfBroadcastCreate2()": "forge prices the call of the deployer, too",
    "testBroadcastCreate2ValueOnce()": "forge prices the call of the deployer, too",
    "testFactory()": "forge prices the call of the deployer, too",
    "testFactoryPrank()": "forge prices the call of the deployer, too",
    "testArtifactPaths()": "paths are longer or shorter here",
    "testDir()": "paths are longer or shorter here",
    "testMissing()": "paths are longer or shorter here",
    "testRefundsBeforeAReset()": "outside of a session, a reset keeps the refunds",
    "testLoadPrecompile()": "forge 1.8 reads the slot",
    "testTypeReorder()": "the response has another length",
}  # fmt: skip
RECORDED: Final = (
    "testAddresses()", "testArrays()", "testCreated()", "testDelegateCallRow()", "testDiff()", "testDiffDeep()",
    "testDiffJson()", "testDiffOfCheatcode()", "testDiffResumes()", "testDiffText()", "testDiffUnchanged()",
    "testKeyOfDiff()", "testLabelled()", "testLongTexts()", "testMappings()", "testMixed()", "testNoDiff()",
    "testNumbers()", "testOpcodeRows()", "testOpcodeRowsOfTest()", "testOthers()", "testPaymentInFailedCall()",
    "testPrankedDelegateCallRow()", "testPushed()", "testRowOfFailedCreation()", "testSelfdestructRow()",
    "testShortTexts()", "testStorageAccesses()", "testStructs()", "testTwice()",
)  # fmt: skip
"""Tests that record state diffs, which make slots and accounts warm in forge 1.7.1, but not in 1.8."""

OF_FORGE_1_8: Final = {
    "testLoadPrecompile()": ("Success", ""),  # foundry#15231
    "testInvalidReason()": ("Failure", "Error != expected error: EvmError: InvalidFEOpcode != x"),  # foundry#16294
}
"""Ends in forge 1.8 of tests that end otherwise in 1.7.1, which made the golden results."""
OWN_REASON: Final = {
    f"forge-config: evm_version is 'nonesuch', expected one of {', '.join(reversed(EVM_VERSIONS))}":
        'Unknown evm version: nonesuch for key "default.evm_version" in inline config',
}  # fmt: skip
"""Forge's reasons by those with other words."""


_PAUSES: Final = re.compile("test(Resumed|.*Pause)").match
"""Matches tests of paused metering, which has no effect on py-evm."""
LONG: Final = {"DiffRowsTest", "DiffSlotsTest", "ExpectCallTest", "ScriptsTest", "StepsTest"}


@pytest.mark.parametrize("evm", ["fast", pytest.param("py-evm", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "contract", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in sorted(GOLDEN["forge"])]
)
def test_tests_end_as_in_forge(contract: str, evm: str, tmp_path: Path) -> None:
    found = run(contract, tmp_path, evm=evm)
    wanted = {name: test for name, test in GOLDEN["forge"][contract].items() if evm == "fast" or not _PAUSES(name)}
    found = {name: test for name, test in found.items() if name in wanted}
    ours = {
        name: (test.status.value, OWN_REASON.get(test.reason or "", test.reason or "")) for name, test in found.items()
    }
    forges = {name: (test["status"], _here(test["reason"], tmp_path)) for name, test in wanted.items()}
    assert ours == forges | {name: end for name, end in OF_FORGE_1_8.items() if name in forges}
    assert {name: list(test.logs) for name, test in found.items()} == {
        name: test["logs"] for name, test in wanted.items()
    }
    gas = {
        name for name, test in wanted.items() if found[name].kind is CaseKind.UNIT and test["gas"] != found[name].gas
    }
    assert gas <= {*OTHER_GAS, *RECORDED}


def test_every_gas_that_differs_belongs_to_a_test() -> None:
    assert {*OTHER_GAS, *RECORDED} <= {name for tests in GOLDEN["forge"].values() for name in tests}


def _here(reason: str, folder: Path) -> str:
    """Return forge's message about a file with the path of ours."""
    return re.sub(r'"/[^"]*/files/', f'"{folder}/files/', reason)
