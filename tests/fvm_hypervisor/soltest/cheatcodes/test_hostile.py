"""Cheatcodes that are given what they cannot take: each test fails with words, and the others go on."""

from __future__ import annotations

from pathlib import Path

from tests.fvm_hypervisor.soltest.cheatcodes.running import run

WORDS = {
    "testWarpMax()": "does not fit the syscall's result",
    "testRollMax()": "expected an unsigned 64-bit number",
    "testMintMax()": "cannot be a balance",
    "testBackInConstructor()": "is missing",
    "testDeepJson2()": "nested too deeply",
    "testSelfType()": "nested too deeply",
    "testShort2()": "unknown cheatcode with selector 0x01",
    "testOffset()": "vm.readFile: the calldata are not of the cheatcode's parameters",
    "testBadUtf()": "vm.readFile: the calldata are not of the cheatcode's parameters",
    "testNulPath()": "vm.readFile: failed to resolve path",
    "testExp2()": "vm.parseJson: unsupported JSON number: 1e+999",
    "testNaN()": "vm.parseJson: failed parsing JSON: expected value",
    "testBadPath()": 'the path "[[[[" is malformed',
    "testStoreNative()": "is a native actor, which has neither code nor slots",
    "testReplaceLong()": "vm.replace: the answer would be longer than 16777216 bytes",
    "testReplaceNothing()": "vm.replace: the answer would be longer than 16777216 bytes",
    "testSplitLong()": "vm.split: the answer would be longer than 16777216 bytes",
    "testSplitLetters()": "vm.split: the answer would be longer than 16777216 bytes",
    "testResolveLong()": "vm.resolveEnv: the answer would be longer than 16777216 bytes",
    "testEnvLong()": "vm.envString: the answer would be longer than 16777216 bytes",
    "testDecodedOften()": "vm.mockCalls: what the arguments hold would be longer than 16777216 bytes",
    "testJsonLong()": "vm.parseJson: the answer would be longer than 16777216 bytes",
    "testTypeLong()": "vm.parseJsonTypeArray: the type is longer than 16384 characters",
    "testHashedTypeLong()": "vm.eip712HashStruct: the type is longer than 16384 characters",
    "testKeptMuch()": "vm.label: what the test keeps would be longer than 268435456 bytes",
    "testKeysMany()": "vm.rememberKeys: 1001 keys are too many: at most 1000",
}


def test_each_fails_with_its_words(tmp_path: Path) -> None:
    found = run("HostileTest", tmp_path)
    assert set(found) == set(WORDS)
    assert {name for name, words in WORDS.items() if words not in (found[name].reason or "")} == set()
    assert {test.status.value for test in found.values()} == {"Failure"}
