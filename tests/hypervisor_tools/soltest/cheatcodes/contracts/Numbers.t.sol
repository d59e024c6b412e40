// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
// Numbers of documents with a fraction or an exponent. Where a test ends with `got`, its value is in the words.
contract NumbersTest is Cheating {
    function got(uint256 value) internal { vm.assertEq(value, type(uint256).max, "got"); }
    function got(int256 value) internal { vm.assertEq(value, type(int256).max, "got"); }
    function got(string memory value) internal { vm.assertEq(value, "", "got"); }
    function got(bytes memory value) internal { vm.assertEq(value, hex"", "got"); }
    function testUintExponent() public { got(vm.parseJsonUint('{"a":1e23}', ".a")); }
    function testUintBigExponent() public { got(vm.parseJsonUint('{"a":1E23}', ".a")); }
    function testUintPlusExponent() public { got(vm.parseJsonUint('{"a":1e+3}', ".a")); }
    function testUintMinusExponent() public { got(vm.parseJsonUint('{"a":1000e-2}', ".a")); }
    function testUintFraction() public { got(vm.parseJsonUint('{"a":1.5e25}', ".a")); }
    function testUintLongFraction() public { got(vm.parseJsonUint('{"a":1.2345678901234567890123e22}', ".a")); }
    function testUintPoint() public { got(vm.parseJsonUint('{"a":3.0}', ".a")); }
    function testUintLongPoint() public { got(vm.parseJsonUint('{"a":123456789012345678901234567890.0}', ".a")); }
    function testUintHalf() public { got(vm.parseJsonUint('{"a":1.5}', ".a")); }
    function testUintTooLarge() public { got(vm.parseJsonUint('{"a":1e78}', ".a")); }
    function testUintHuge() public { got(vm.parseJsonUint('{"a":1e400}', ".a")); }
    function testUintVeryHuge() public { got(vm.parseJsonUint('{"a":1e999999999}', ".a")); }
    function testIntExponent() public { got(vm.parseJsonInt('{"a":-1e22}', ".a")); }
    function testIntFraction() public { got(vm.parseJsonInt('{"a":-1.25e24}', ".a")); }
    function testRawExponent() public { got(vm.parseJson('{"a":1e23}', ".a")); }
    function testRawFraction() public { got(vm.parseJson('{"a":1.5e25}', ".a")); }
    function testRawLongFraction() public { got(vm.parseJson('{"a":1.2345678901234567890123e22}', ".a")); }
    function testRawNegative() public { got(vm.parseJson('{"a":-1e22}', ".a")); }
    function testRawPoint() public { got(vm.parseJson('{"a":3.0}', ".a")); }
    function testRawLongPoint() public { got(vm.parseJson('{"a":123456789012345678901234567890.0}', ".a")); }
    function testRawHalf() public { got(vm.parseJson('{"a":1.5}', ".a")); }
    function testRawHuge() public { got(vm.parseJson('{"a":1e400}', ".a")); }
    function testRawTooLarge() public { got(vm.parseJson('{"a":1e80}', ".a")); }
    function testRawZero() public { got(vm.parseJson('{"a":0e5}', ".a")); }
    function testTextExponent() public { got(vm.parseJsonString('{"a":1e23}', ".a")); }
    function testTextBigExponent() public { got(vm.parseJsonString('{"a":1E23}', ".a")); }
    function testTextFraction() public { got(vm.parseJsonString('{"a":1.10}', ".a")); }
    function testTextObject() public { got(vm.parseJsonString(unicode'{"a":{"b": 1.50, "c": ["é", 2e5]}}', ".a")); }
    function testTextArray() public { got(vm.parseJsonString(unicode'{"a":["é",1.50]}', ".a")); }
    function testTextTrue() public { got(vm.parseJsonString('{"a":true}', ".a")); }
    function testTextNull() public { got(vm.parseJsonString('{"a":null}', ".a")); }
    function testRawLarge() public { got(vm.parseJson('{"a":115792089237316195423570985008687907853269984665640564039457584007913129639936}', ".a")); }
    function testParsedHalf() public { vm.parseUint("1.5"); }
    function testParsedShort() public { vm.parseUint("1.25e1"); }
    function testParsedPlus() public { got(vm.parseUint("1e+3")); }
    function testParsedMinus() public { vm.parseUint("1e-3"); }
    function testParsedEther() public { got(vm.parseUint("1.5 ether")); }
    function testTextHuge() public { got(vm.parseJsonString('{"a":1e400}', ".a")); }
    function testWrittenAgain() public { vm.serializeJson("k", '{"b":1.10,"a":1e23}'); got(vm.serializeUint("k", "c", 5)); }
    function testWrittenWithin() public { got(vm.serializeString("w", "inner", '{"b":1.10,"a":[1e23,2]}')); }
    function testFile() public { vm.writeJson('{"b":1.10,"a":{"c":[1e23,[],{}]}}', "files/numbers.json"); got(vm.readFile("files/numbers.json")); }
    function testFileAt() public { vm.writeJson('{"b":1.10,"a":2}', "files/numbers2.json"); vm.writeJson("1e23", "files/numbers2.json", ".a"); got(vm.readFile("files/numbers2.json")); }
    function testTomlUintExponent() public { got(vm.parseTomlUint("a = 1e23", ".a")); }
    function testTomlUintFraction() public { got(vm.parseTomlUint("a = 1.5e25", ".a")); }
    function testTomlUintPoint() public { got(vm.parseTomlUint("a = 123456789012345678901234567890.0", ".a")); }
    function testTomlUintShortPoint() public { got(vm.parseTomlUint("a = 3.0", ".a")); }
    function testTomlUintSmallExponent() public { got(vm.parseTomlUint("a = 1e3", ".a")); }
    function testTomlUintBars() public { got(vm.parseTomlUint("a = 1_000.0", ".a")); }
    function testTomlRawExponent() public { got(vm.parseToml("a = 1e23", ".a")); }
    function testTomlRawInf() public { got(vm.parseToml("a = inf", ".a")); }
    function testTomlRawNan() public { got(vm.parseToml("a = nan", ".a")); }
    function testTomlText() public { got(vm.parseTomlString("a = 1.10", ".a")); }
    function testTomlTextExponent() public { got(vm.parseTomlString("a = 1e23", ".a")); }
    function testTomlTextSmallExponent() public { got(vm.parseTomlString("a = 1e3", ".a")); }
    function testTomlFile() public { vm.writeToml('{"b":1.10,"a":1e23}', "files/numbers.toml"); got(vm.readFile("files/numbers.toml")); }
}
