// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bank, Holder, Ledger, TooMuch} from "../src/Bank.sol";

interface Vm {
    function assertEq(uint256 left, uint256 right, string calldata error) external pure;
    function deal(address account, uint256 amount) external;
    function expectRevert(bytes calldata data) external;
    function label(address account, string calldata name) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
}

library console {
    function log(string memory text, uint256 number) internal view {
        bytes memory data = abi.encodeWithSignature("log(string,uint256)", text, number);
        (bool written,) = address(0x000000000000000000636F6e736F6c652e6c6f67).staticcall(data);
        require(written);
    }
}

contract BankTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant alice = 0x328809Bc894f92807417D2dAD6b7C998c1aFdac6;

    Bank private bank;

    function setUp() public {
        vm.label(alice, "alice");
        bank = new Bank();
        vm.deal(alice, 10 ether);
        vm.prank(alice);
        bank.join{value: 1 ether}("first");
    }

    function test_withdraws() public {
        vm.prank(alice);
        vm.assertEq(bank.withdraw(1000), 1 ether - 1000, "what is left");
        Holder memory found = bank.ledger().account(alice);
        require(found.open);
        console.log("left", found.balance);
    }

    function test_fails_deep() public {
        vm.startPrank(alice);
        bank.withdraw(999_999);
        for (uint256 i = 0; i < 3; i++) {
            _helper(1_000_001);
        }
    }

    function _helper(uint256 amount) internal {
        bank.withdraw(amount);
    }

    function test_fails_in_library() public {
        vm.prank(alice);
        bank.join("again");
        vm.prank(alice);
        bank.withdraw(5);
    }

    function test_fails_assert() public view {
        vm.assertEq(bank.ledger().total(), 7, "the total");
    }

    function test_fails_own_words() public {
        vm.prank(alice);
        bank.twice(2_000_000);
    }

    function test_expects() public {
        vm.expectRevert(abi.encodeWithSelector(TooMuch.selector, alice, 1_000_001, 1 ether));
        vm.prank(alice);
        bank.withdraw(1_000_001);
    }
}
