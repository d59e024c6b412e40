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
