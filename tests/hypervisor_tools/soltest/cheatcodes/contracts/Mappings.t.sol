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

contract Failing {
    constructor() payable {
        revert();
    }
}

contract Leaving {
    function leave(address payable heir) external {
        selfdestruct(heir);
    }
}

contract Delegating {
    uint256 n;

    function set(uint256 value) external payable {
        n = value;
    }

    function delegates(address to) external payable {
        (bool ok,) = to.delegatecall(abi.encodeCall(this.set, (5)));
        require(ok);
    }

    function makes() external {
        new Failing();
    }

    function looks(address at) external returns (uint256 found, bytes32 hash) {
        n = at.balance;
        assembly {
            found := extcodesize(at)
            hash := extcodehash(at)
            extcodecopy(at, 0, 0, 1)
        }
        n = found;
    }

    function pays(address payable to) external {
        to.transfer(3);
        revert();
    }
}

// Rows of a state diff: calls, creations and opcodes that access accounts.
contract DiffRowsTest is Cheating {
    event log_bytes(bytes);

    Delegating one;
    Delegating two;

    function setUp() public {
        one = new Delegating();
        two = new Delegating();
        vm.deal(address(one), 10);
        vm.setNonce(address(0x77), 7);
    }

    function tell() internal {
        Vm.AccountAccess[] memory rows = vm.stopAndReturnStateDiff();
        for (uint256 i; i < rows.length; ++i) emit log_bytes(abi.encode(rows[i]));
    }

    function testDelegateCallRow() public {
        vm.startStateDiffRecording();
        one.delegates{value: 4}(address(two));
        tell();
    }

    function testPrankedDelegateCallRow() public {
        vm.startStateDiffRecording();
        vm.prank(address(0x99));
        one.delegates(address(two));
        tell();
    }

    function testRowOfFailedCreation() public {
        vm.startStateDiffRecording();
        try new Failing() {} catch {}
        try one.makes() {} catch {}
        tell();
    }

    function testOpcodeRows() public {
        vm.startStateDiffRecording();
        one.looks(address(0x77));
        one.looks(address(two));
        one.looks(address(0x1234));
        tell();
    }

    function testOpcodeRowsOfTest() public {
        vm.startStateDiffRecording();
        uint256 balance = address(0x99).balance;
        require(address(one).code.length + balance > 0);
        tell();
    }

    function testSelfdestructRow() public {
        Leaving leaving = new Leaving();
        vm.deal(address(leaving), 8);
        vm.startStateDiffRecording();
        leaving.leave(payable(address(0x88)));
        tell();
    }

    function testRowsOfBroadcastCreate2() public {
        vm.deal(address(0x99), 9);
        vm.startBroadcast(address(0x99));
        vm.startStateDiffRecording();
        new Delegating{salt: 0}();
        try new Failing{salt: 0, value: 2}() {} catch {}
        tell();
    }

    function testPaymentInFailedCall() public {
        vm.startStateDiffRecording();
        try one.pays(payable(address(0x88))) {} catch {}
        revert(string.concat(vm.getStateDiff(), vm.getStateDiffJson()));
    }
}
