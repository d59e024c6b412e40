// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Vault} from "../src/Vault.sol";

interface Vm {
    function prank(address sender) external;
    function expectRevert(bytes calldata message) external;
    function expectEmit() external;
}

contract VaultTest {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    Vault vault;

    function setUp() public {
        vault = new Vault();
        vault.setLimit(100);
    }

    function testOnlyTheOwnerSetsTheLimit() public {
        vm.prank(address(1));
        vm.expectRevert("not the owner");
        vault.setLimit(200);
        require(vault.limit() == 100);
    }

    function testDepositsAddUp() public {
        vault.deposit(30);
        vault.deposit(40);
        require(vault.balances(address(this)) == 70);
    }

    function testDepositOverTheLimit() public {
        vm.expectRevert("over the limit");
        vault.deposit(101);
    }

    function testFee() public view {
        require(vault.fee(10) == 0);
        require(vault.fee(1000) == 20);
    }
}

/// Closes the gaps that VaultTest leaves.
contract CompleteTest {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    Vault vault;

    event Deposited(address indexed from, uint256 amount);

    function setUp() public {
        vault = new Vault();
        vault.setLimit(100);
    }

    function testDepositOfTheLimit() public {
        vault.deposit(100);
        require(vault.balances(address(this)) == 100);
    }

    function testDepositEmitsAnEvent() public {
        vm.expectEmit();
        emit Deposited(address(this), 5);
        vault.deposit(5);
    }

    function testFeeAtTheBound() public view {
        require(vault.fee(99) == 0);
        require(vault.fee(100) == 2);
    }

    function testCloseDeletesTheBalance() public {
        vault.deposit(5);
        vault.close();
        require(vault.balances(address(this)) == 0);
    }
}
