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
}
