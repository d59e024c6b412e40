// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating} from "./Vm.sol";

// Value that is sent to the addresses of the cheatcodes and of the console.
contract PaymentsTest is Cheating {
    address constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;
    event log_named_bytes(string key, bytes val);
    event log_named_uint(string key, uint256 val);

    function pay(address to, bytes memory data) internal {
        (bool ok, bytes memory result) = to.call{value: 1}(data);
        emit log_named_bytes(ok ? "ok" : "failed", result);
        emit log_named_uint("balance", to.balance);
    }

    function through(address to, bytes memory data) internal {
        (bool ok, bytes memory result) = to.delegatecall(data);
        emit log_named_bytes(ok ? "ok" : "failed", result);
    }

    function testNothingToConsole() public { pay(CONSOLE, ""); }
    function testBytesToConsole() public { pay(CONSOLE, hex"aabb"); }
    function testUnknownToConsole() public { pay(CONSOLE, hex"aabbccdd00"); }
    function testCutToConsole() public { pay(CONSOLE, abi.encodeWithSignature("log(uint256)")); }
    function testLogToConsole() public { pay(CONSOLE, abi.encodeWithSignature("log(uint256)", 7)); }
    function testPoorLogToConsole() public { vm.deal(address(this), 0); pay(CONSOLE, abi.encodeWithSignature("log(uint256)", 7)); }
    function testPrankedLogToConsole() public { vm.deal(address(3), 5); vm.prank(address(3)); pay(CONSOLE, abi.encodeWithSignature("log(uint256)", 7)); emit log_named_uint("pranked", address(3).balance); }
    function testNothingToCheatcodes() public { pay(address(vm), ""); }
    function testBytesToCheatcodes() public { pay(address(vm), hex"aabb"); }
    function testUnknownToCheatcodes() public { pay(address(vm), hex"aabbccdd00"); }
    function testWarpByCheatcodes() public { pay(address(vm), abi.encodeWithSignature("warp(uint256)", 77)); emit log_named_uint("time", block.timestamp); }
    function testDelegateCallOfConsole() public { through(CONSOLE, abi.encodeWithSignature("log(uint256)", 7)); }
    function testDelegateCallOfCheatcodes() public { through(address(vm), abi.encodeWithSignature("warp(uint256)", 77)); emit log_named_uint("time", block.timestamp); }
}
// Calls of the console without value.
contract ConsoleCallsTest is Cheating {
    address constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;
    event log_named_bytes(string key, bytes val);
    function ask(bytes memory data) internal {
        (bool ok, bytes memory result) = CONSOLE.call(data);
        emit log_named_bytes(ok ? "ok" : "failed", result);
        (ok, result) = CONSOLE.staticcall(data);
        emit log_named_bytes(ok ? "ok" : "failed", result);
    }
    function testNothing() public { ask(""); }
    function testBytes() public { ask(hex"aabb"); }
    function testUnknown() public { ask(hex"aabbccdd00"); }
    function testCut() public { ask(abi.encodeWithSignature("log(uint256)")); }
    function testLog() public { ask(abi.encodeWithSignature("log(uint256)", 7)); }
    function testLong() public { ask(abi.encodeWithSignature("log(uint256)", 7, 8)); }
    function testOldUint() public { ask(abi.encodeWithSignature("log(uint)", 7)); }
    function testOldInt() public { ask(abi.encodeWithSignature("log(int)", 7)); }
    function testOldStringUint() public { ask(abi.encodeWithSignature("log(string,uint)", "a", 7)); }
    function testBool2() public { ask(abi.encodeWithSignature("log(bool)", 2)); }
    function testBool1() public { ask(abi.encodeWithSignature("log(bool)", 1)); }
    function testBoolPair() public { ask(abi.encodeWithSignature("log(bool,bool)", 1, 3)); }
    function testAddress() public { ask(abi.encodeWithSignature("log(address)", type(uint256).max)); }
    function testBytes1() public { ask(abi.encodeWithSignature("logBytes1(bytes1)", type(uint256).max)); }
    function testString() public { ask(abi.encodeWithSignature("log(string)", 32, 3, bytes32("abc"))); }
    function testStringPadded() public { ask(abi.encodePacked(abi.encodeWithSignature("log(string)", 32, 3), "abc")); }
    function testStringCut() public { ask(abi.encodePacked(abi.encodeWithSignature("log(string)", 32, 3), "ab")); }
    function testStringFar() public { ask(abi.encodeWithSignature("log(string)", 64, 3, bytes32("abc"))); }
    function testStringHuge() public { ask(abi.encodeWithSignature("log(string)", type(uint256).max, 3, bytes32("abc"))); }
    function testStringInvalid() public { ask(abi.encodeWithSignature("log(string)", 32, 3, bytes32(hex"ffaaff"))); }
    function testNoArguments() public { ask(abi.encodeWithSignature("log()")); }
    function testNoArgumentsMore() public { ask(abi.encodeWithSignature("log()", 1)); }
}
