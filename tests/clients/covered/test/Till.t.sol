// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Sums} from "../src/Sums.sol";
import {Owned, Priced, Till} from "../src/Till.sol";
import {Bytes, Words} from "../src/Widths.sol";

interface Vm {
    function assertEq(uint256 left, uint256 right) external pure;
    function expectRevert(bytes calldata reason) external;
    function prank(address sender) external;
}

contract Refusing is Priced {
    function price(uint256 amount) external pure returns (uint256) {
        if (amount == 1) revert("one");
        revert();
    }
}

contract TillTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Till private till;

    function setUp() public {
        till = new Till();
    }

    receive() external payable {}

    function test_SoldForMoreAndLessThanThePrice() public {
        vm.assertEq(till.sell{value: 5}(2), 5);
        vm.assertEq(till.sell{value: 6}(2), 6);
        vm.assertEq(till.sell{value: 40}(11), 22);
        vm.assertEq(till.total(), 11);
        (, uint256 amount) = till.sales(address(this), 2);
        vm.assertEq(amount, 11);
    }

    function test_NothingIsNotSold() public {
        vm.expectRevert("nothing");
        till.sell(0);
        vm.expectRevert(abi.encodeWithSelector(Sums.Empty.selector));
        till.total();
    }

    function test_OnlyTheOwnerGives() public {
        till.give(address(7));
        vm.expectRevert(abi.encodeWithSelector(Owned.NotOwner.selector, address(this)));
        till.give(address(this));
        vm.prank(address(7));
        till.give(address(this));
    }

    function test_Widths() public {
        vm.assertEq(new Bytes().width(0), 0);
        vm.assertEq(new Bytes().width(7), 1);
        vm.assertEq(new Words().width(7), 1);
    }

    function test_Roots() public view {
        vm.assertEq(till.root(144), 12);
        vm.assertEq(till.root(0), 0);
        vm.assertEq(till.root(1_000_000), 1000);
    }

    function test_LowBits() public view {
        vm.assertEq(till.low(0x1ff), 0x200);
        vm.assertEq(till.low(2), 3);
    }

    function test_Attempts() public {
        Refusing refusing = new Refusing();
        (uint256 found, bool failed) = till.attempt(till, 4);
        vm.assertEq(found, 12);
        (found, failed) = till.attempt(refusing, 1);
        vm.assertEq(found, 0);
        (found, failed) = till.attempt(refusing, 2);
        vm.assertEq(found, failed ? 1 : 0);
    }

    function test_CountsDown() public view {
        vm.assertEq(till.countdown(3), 3);
        vm.assertEq(till.countdown(7), 2);
    }
}
