// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating} from "./Vm.sol";

contract Made {
    uint256 public x;
    constructor(uint256 y) payable { require(y != 13, "unlucky"); x = y; }
}

// Contracts that a test creates by name: addresses, nonces, value and failures.
contract CreationsTest is Cheating {
    Made first = Made(vm.deployCode("Creations.t.sol:Made", abi.encode(1)));
    Made second;

    constructor() { second = Made(vm.deployCode("Creations.t.sol:Made", abi.encode(2))); }

    function made(uint256 y) internal returns (Made) { return Made(vm.deployCode("Creations.t.sol:Made", abi.encode(y))); }

    function testOfConstructor() public {
        vm.assertEq(first.x() * 10 + second.x(), 12);
        vm.assertEq(address(first), vm.computeCreateAddress(address(this), 1));
        vm.assertEq(address(second), vm.computeCreateAddress(address(this), 2));
    }
    function testNonces() public {
        uint64 nonce = vm.getNonce(address(this));
        vm.assertEq(address(made(3)), vm.computeCreateAddress(address(this), nonce));
        vm.assertEq(address(new Made(4)), vm.computeCreateAddress(address(this), nonce + 1));
        vm.assertEq(address(made(5)), vm.computeCreateAddress(address(this), nonce + 2));
        vm.assertEq(uint256(vm.getNonce(address(this))), nonce + 3);
    }
    function testSalt() public {
        bytes32 hash = keccak256(abi.encodePacked(type(Made).creationCode, uint256(6)));
        address at = vm.deployCode("Creations.t.sol:Made", abi.encode(6), bytes32(uint256(9)));
        vm.assertEq(at, vm.computeCreate2Address(bytes32(uint256(9)), hash, address(this)));
    }
    function testValue() public { vm.assertEq(vm.deployCode("Creations.t.sol:Made", abi.encode(7), 5).balance, 5); }
    function testExpectedRevert() public { vm.expectRevert("unlucky"); made(13); vm.assertEq(made(8).x(), 8); }
    function testReverts() public { made(13); }
    function testPoor() public { vm.deal(address(this), 4); vm.deployCode("Creations.t.sol:Made", abi.encode(7), 5); }
    function testRestored() public { uint256 id = vm.snapshotState(); Made one = made(1); vm.revertToState(id); vm.assertEq(address(made(1)), address(one)); }
}
