"""Cheatcodes with excessive or malformed input: the test fails with a message, and the others continue."""

from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from tests.hypervisor_tools.soltest.cheatcodes.running import run

WORDS = {
    "testWarpMax()": "does not fit the syscall's result",
    "testRollMax()": "expected an unsigned 64-bit number",
    "testMintMax()": "cannot be a balance",
    "testDeepJson2()": "nested too deeply",
    "testSelfType()": "nested too deeply",
    "testShort2()": 'type check failed for "VmCalls" with data: 01',
    "testOffset()": "vm.readFile: the calldata does not match the cheatcode's parameters",
    "testBadUtf()": "vm.readFile: the path \N{REPLACEMENT CHARACTER}a is not allowed",
    "testNulPath()": "vm.readFile: failed to resolve path",
    "testExp2()": "vm.parseJson: unsupported JSON number: 1e+999",
    "testNaN()": "vm.parseJson: failed parsing JSON: expected value",
    "testBadPath()": r'failed selecting from JSON: "path error: \n$[[[[\n^^^\n"',
    "testStoreNative()": "which has no slots at this address; etch code first",
    "testReplaceLong()": "vm.replace: the return data exceeds the limit of 16777216 bytes",
    "testReplaceNothing()": "vm.replace: the return data exceeds the limit of 16777216 bytes",
    "testSplitLong()": "vm.split: the return data exceeds the limit of 16777216 bytes",
    "testSplitLetters()": "vm.split: the return data exceeds the limit of 16777216 bytes",
    "testResolveLong()": "vm.resolveEnv: the return data exceeds the limit of 16777216 bytes",
    "testEnvLong()": "vm.envString: the return data exceeds the limit of 16777216 bytes",
    "testDecodedOften()": "vm.mockCalls: the content of the arguments exceeds the limit of 16777216 bytes",
    "testJsonLong()": "vm.parseJson: the return data exceeds the limit of 16777216 bytes",
    "testTypeLong()": "vm.parseJsonTypeArray: the type is longer than 16384 characters",
    "testHashedTypeLong()": "vm.eip712HashStruct: the type is longer than 16384 characters",
    "testKeptMuch()": "vm.label: the input that the test stores exceeds the limit of 268435456 bytes",
    "testKeysMany()": "vm.rememberKeys: 1001 keys exceed the limit of 1000",
}


@pytest.mark.slow
def test_each_hostile_call_fails_with_its_message(tmp_path: Path) -> None:
    found = run("HostileTest", tmp_path)
    assert found.pop("testBackInConstructor()").status.value == "Success"  # its contract is created again at its end
    assert set(found) == set(WORDS)
    assert {name for name, words in WORDS.items() if words not in (found[name].reason or "")} == set()
    assert {test.status.value for test in found.values()} == {"Failure"}


def test_version_with_a_number_above_64_bits_is_refused() -> None:
    with pytest.raises(CheatcodeFailure, match="expected MAJOR"):
        table()[selector("foundryVersionCmp(string)")].run(None, f"{'9' * 5000}.0.0")
