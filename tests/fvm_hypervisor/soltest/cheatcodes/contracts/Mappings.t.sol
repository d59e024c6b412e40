// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";

contract Books {
    uint256 first;
    mapping(address => uint256) public balances;
    mapping(address => mapping(uint256 => uint256)) public nested;

    function put(address who, uint256 amount) external returns (uint256) {
        balances[who] = amount;
        return amount;
    }

    function putDeep(address who, uint256 key, uint256 amount) external returns (uint256) {
        nested[who][key] = amount;
        return amount;
    }
}

contract MappingsTest is Cheating {
    Books books;

    function setUp() public {
        books = new Books();
    }

    function slotOf(address who) internal pure returns (bytes32) {
        return keccak256(abi.encode(who, uint256(1)));
    }

    function testLength() public {
        vm.startMappingRecording();
        books.put(address(5), 1);
        books.put(address(6), 1);
        books.put(address(5), 2);
        vm.assertEq(vm.getMappingLength(address(books), bytes32(uint256(1))), 2);
        vm.assertEq(vm.getMappingSlotAt(address(books), bytes32(uint256(1)), 1), slotOf(address(6)));
        vm.assertEq(vm.getMappingSlotAt(address(books), bytes32(uint256(1)), 2), bytes32(0));
        vm.stopMappingRecording();
        vm.assertEq(vm.getMappingLength(address(books), bytes32(uint256(1))), 0);
    }

    function testParent() public {
        vm.startMappingRecording();
        books.put(address(5), 1);
        (bool found, bytes32 key, bytes32 parent) = vm.getMappingKeyAndParentOf(address(books), slotOf(address(5)));
        vm.assertTrue(found);
        vm.assertEq(key, bytes32(uint256(5)));
        vm.assertEq(parent, bytes32(uint256(1)));
        (found, key, parent) = vm.getMappingKeyAndParentOf(address(books), bytes32(uint256(77)));
        vm.assertFalse(found);
    }

    function testNested() public {
        vm.startMappingRecording();
        books.putDeep(address(5), 7, 1);
        bytes32 outer = keccak256(abi.encode(address(5), uint256(2)));
        bytes32 inner = keccak256(abi.encode(uint256(7), outer));
        (bool found, bytes32 key, bytes32 parent) = vm.getMappingKeyAndParentOf(address(books), inner);
        vm.assertTrue(found);
        vm.assertEq(key, bytes32(uint256(7)));
        vm.assertEq(parent, outer);
        vm.assertEq(vm.getMappingLength(address(books), outer), 1);
        vm.assertEq(vm.getMappingLength(address(books), bytes32(uint256(2))), 1);
    }

    function testReadOnly() public {
        vm.startMappingRecording();
        books.balances(address(9));
        (bool found,,) = vm.getMappingKeyAndParentOf(address(books), slotOf(address(9)));
        vm.assertTrue(found);
        vm.assertEq(vm.getMappingLength(address(books), bytes32(uint256(1))), 0);
    }
}
