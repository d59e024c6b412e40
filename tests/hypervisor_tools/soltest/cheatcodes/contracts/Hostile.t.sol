// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

contract Back is Cheating {
    constructor(uint256 id) {
        vm.revertToState(id);
    }
}

// Each of these fails, and says why.
contract HostileTest is Cheating {
    function testWarpMax() public { vm.warp(type(uint256).max); (int256 c,,) = filecoinVm.callActorAs(1, 4, 9, 0, "", 0); c; vm.assertEq(block.timestamp, type(uint256).max); filecoinVm.advanceEpochs(2); }
    function testRollMax() public { vm.roll(type(uint256).max); filecoinVm.advanceEpochs(1); }
    function testMintMax() public { filecoinVm.mintFil("f04", type(uint256).max); }
    function testBackInConstructor() public { uint256 id = vm.snapshotState(); new Back(id); }
    function testDeepJson2() public { string memory s = "["; string memory e = "]"; for (uint256 i; i < 9; i++) { s = string.concat(s, s); e = string.concat(e, e); } vm.parseJson(string.concat(s, e)); }
    function testSelfType() public { vm.parseJsonType('{"b":[]}', "A(A[] b)"); }
    function testShort2() public { (bool ok, bytes memory r) = address(vm).call(hex"01"); ok; assembly { revert(add(r,32), mload(r)) } }
    function testOffset() public { (bool ok, bytes memory r) = address(vm).call(abi.encodePacked(bytes4(keccak256("readFile(string)")), type(uint256).max)); ok; assembly { revert(add(r,32), mload(r)) } }
    function testBadUtf() public { (bool ok, bytes memory r) = address(vm).call(abi.encodePacked(bytes4(keccak256("readFile(string)")), uint256(32), uint256(2), hex"ff61", bytes30(0))); ok; assembly { revert(add(r,32), mload(r)) } }
    function testNulPath() public { vm.readFile(string(hex"6100")); }
    function testExp2() public { vm.parseJson("1e999"); }
    function testNaN() public { vm.parseJson('{"a":NaN}', ".a"); }
    function testBadPath() public { vm.parseJson("{}", "[[[["); }
    function testStoreNative() public { vm.store(address(uint160(0xff) << 152 | 4), 0, bytes32(uint256(1))); }
    // What a few bytes ask for would be 16 MiB and more: the limit is in the words.
    function long(string memory unit, uint256 size) internal pure returns (string memory text) { text = unit; while (bytes(text).length < size) text = string.concat(text, text); }
    function testReplaceLong() public { vm.replace(long("a", 1024), "a", long("b", 32768)); }
    function testReplaceNothing() public { vm.replace(long("a", 2048), "", long("b", 16384)); }
    function testSplitLong() public { vm.split(long(",", 300000), ","); }
    function testSplitLetters() public { vm.split(long(",", 300000), ""); }
    function testResolveLong() public { vm.setEnv("V", long("a", 32768)); vm.resolveEnv(long("${V}", 4096)); }
    function testEnvLong() public { vm.setEnv("V", long(",", 300000)); vm.envString("V", ","); }
    function testDecodedOften() public {
        uint256 count = 1024;
        bytes memory offsets = new bytes(32 * count);
        for (uint256 i; i < count; i++) assembly { mstore(add(offsets, mul(32, add(i, 1))), mul(32, count)) }
        bytes memory head = abi.encodePacked(bytes4(keccak256("mockCalls(address,bytes,bytes[])")), abi.encode(1, 96, 128, 0), count);
        (bool ok, bytes memory r) = address(vm).call(abi.encodePacked(head, offsets, uint256(32768), long("a", 32768)));
        ok; assembly { revert(add(r,32), mload(r)) }
    }
    function testJsonLong() public { vm.parseJson(string.concat("[1", long(",1", 1200000), "]")); }
    function testTypeLong() public {
        string memory d = "L(uint256 a)";
        for (uint256 i; i < 14; i++) d = string.concat("T", vm.toString(i), "(", kind(i), " a,", kind(i), " b)", d);
        vm.parseJsonTypeArray("[]", "$", d);
    }
    function testHashedTypeLong() public {
        string memory d = "L(uint256 a)";
        for (uint256 i; i < 14; i++) d = string.concat("T", vm.toString(i), "(", kind(i), " a,", kind(i), " b)", d);
        vm.eip712HashStruct(d, "");
    }
    function kind(uint256 i) internal returns (string memory) { return i == 0 ? "L" : string.concat("T", vm.toString(i - 1)); }
    function testKeysMany() public { vm.rememberKeys("test test test test test test test test test test test junk", "m/44'/60'/0'/0/", 1001); }
    function testKeptMuch() public {
        bytes memory labels = abi.encodeWithSelector(bytes4(keccak256("label(address,string)")), address(5), long("a", 2 << 20));
        bool ok = true;
        for (uint256 i; i < 140 && ok; i++) assembly { ok := call(gas(), 0x7109709ECfa91a80626fF3989D68f67F5b1DD12D, 0, add(labels, 32), mload(labels), 0, 0) }
        assembly { if iszero(ok) { returndatacopy(0, 0, returndatasize()) revert(0, returndatasize()) } }
    }
}
