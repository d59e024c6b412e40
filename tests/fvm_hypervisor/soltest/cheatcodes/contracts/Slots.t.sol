// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";

struct Pair {
    uint256 one;
    address two;
    uint64 three;
}

contract Base {
    uint256 first;
}

contract Varied is Base {
    uint128 half;
    uint128 otherHalf;
    uint256[5] five;
    Pair pair;
    mapping(address => uint256) balances;
    uint256[] many;
    string text;
    bytes data;
    Pair[3] pairs;
    bool public Flag;

    function write(string memory text_, bytes memory data_) external {
        text = text_;
        data = data_;
    }
}

contract SlotsTest is Cheating {
    event log_named_bytes32(string key, bytes32 val);

    Varied varied;

    function setUp() public {
        varied = new Varied();
    }

    function tell(string memory name) internal {
        bytes32[] memory slots = vm.getStorageSlots(address(varied), name);
        for (uint256 i; i < slots.length; ++i) emit log_named_bytes32(name, slots[i]);
    }

    function testInherited() public {
        tell("first");
    }

    function testPacked() public {
        tell("half");
        tell("otherHalf");
    }

    function testArray() public {
        tell("five");
    }

    function testStruct() public {
        tell("pair");
    }

    function testArrayOfStructs() public {
        tell("pairs");
    }

    function testMapping() public {
        tell("balances");
    }

    function testDynamicArray() public {
        tell("many");
    }

    function testShortText() public {
        varied.write("short", hex"01");
        tell("text");
        tell("data");
    }

    function testLongText() public {
        varied.write("a text that is longer than one word of thirty-two bytes is", new bytes(100));
        tell("text");
        tell("data");
    }

    function testEmptyText() public {
        tell("text");
    }

    function testOtherCase() public {
        tell("flag");
        tell("FIRST");
    }

    function testUnknown() public {
        tell("none");
    }

    function testNoContract() public {
        vm.getStorageSlots(address(0x1234), "first");
    }

    function testOwn() public {
        bytes32[] memory slots = vm.getStorageSlots(address(this), "varied");
        vm.assertEq(slots.length, 1);
        emit log_named_bytes32("varied", slots[0]);
    }
}
