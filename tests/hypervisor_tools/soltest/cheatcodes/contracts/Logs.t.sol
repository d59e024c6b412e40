// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating} from "./Vm.sol";
contract Writing is Cheating {
    event log(string);
    event log_named_uint(string key, uint256 val);
    function write(string memory text) internal view {
        (bool done,) = 0x000000000000000000636F6e736F6c652e6c6f67.staticcall(abi.encodeWithSignature("log(string)", text));
        require(done);
    }
}
contract Writer is Writing {
    function writes(uint256 n) external { emit log_named_uint("n", n); write("between"); emit log("after"); }
    function fails() external { emit log("in a call that reverts"); revert("bad"); }
}
// What DSTest's events and console.log write, in order, with what constructor and setUp wrote before it.
contract LogsTest is Writing {
    event logs(bytes);
    event log_address(address);
    event log_bytes32(bytes32);
    event log_int(int256);
    event log_uint(uint256);
    event log_bytes(bytes);
    event log_string(string);
    event log_array(uint256[] val);
    event log_array(int256[] val);
    event log_array(address[] val);
    event log_named_address(string key, address val);
    event log_named_bytes32(string key, bytes32 val);
    event log_named_decimal_int(string key, int256 val, uint256 decimals);
    event log_named_decimal_uint(string key, uint256 val, uint256 decimals);
    event log_named_int(string key, int256 val);
    event log_named_bytes(string key, bytes val);
    event log_named_string(string key, string val);
    event log_named_array(string key, uint256[] val);
    event log_named_array(string key, int256[] val);
    event log_named_array(string key, address[] val);
    event Other(uint256);
    Writer writer;
    constructor() { emit log("constructor"); }
    function setUp() public { writer = new Writer(); emit log("setUp"); write("written in setUp"); }
    function testSingle() public {
        emit log("a"); emit log(""); write(""); write("b"); emit logs(hex"0102"); emit logs(""); emit Other(3);
        emit log_address(address(this)); emit log_bytes32(bytes32(uint256(7))); emit log_int(-5);
        emit log_uint(123456789); emit log_bytes(hex"ff"); emit log_string("s");
    }
    function testNamed() public {
        emit log_named_address("address", address(writer)); emit log_named_bytes32("word", bytes32(uint256(1)));
        emit log_named_int("int", -3); emit log_named_uint("uint", 10000); emit log_named_bytes("bytes", hex"00");
        emit log_named_string("string", "t");
    }
    function testDecimals() public {
        emit log_named_decimal_int("milli", -1234567, 3); emit log_named_decimal_int("milli", -5, 3);
        emit log_named_decimal_int("least", type(int256).min, 18);
        emit log_named_decimal_uint("small", 1234567, 18); emit log_named_decimal_uint("half", 1.5 ether, 18);
        emit log_named_decimal_uint("none", 5, 0); emit log_named_decimal_uint("zeros", 100, 2);
        emit log_named_decimal_int("most", -100, 77); emit log_named_decimal_int("too many", -100, 78);
        emit log_named_decimal_uint("far too many", 1, 300);
    }
    function testArrays() public {
        uint256[] memory u = new uint256[](2); (u[0], u[1]) = (1, 20000); emit log_array(u); emit log_named_array("u", u);
        int256[] memory i = new int256[](2); i[0] = -1; emit log_array(i); emit log_named_array("i", i);
        address[] memory a = new address[](1); a[0] = address(this); emit log_array(a); emit log_named_array("a", a);
        emit log_array(new uint256[](0));
    }
    function testOthers() public { writer.writes(4); try writer.fails() {} catch {} write("end"); }
    function testThatReverts() public { emit log("before"); writer.fails(); }
    function testNoData() public { bytes32 topic = log.selector; assembly { log1(0, 0, topic) } }
    function testMoreTopics() public { bytes32 topic = log_uint.selector; assembly { mstore(0, 7) log2(0, 32, topic, 9) } }
}
