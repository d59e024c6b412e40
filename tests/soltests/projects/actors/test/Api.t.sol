// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DataCapAPI} from "filecoin-solidity-api/contracts/v0.8/DataCapAPI.sol";
import {PowerAPI} from "filecoin-solidity-api/contracts/v0.8/PowerAPI.sol";
import {SendAPI} from "filecoin-solidity-api/contracts/v0.8/SendAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {Test} from "forge-std/Test.sol";

/// filecoin-solidity-api as npm has it: each call reaches a built-in actor.
contract ApiTest is Test {
    address private constant ACTOR = address((0xff << 152) | 4);
    CommonTypes.FilActorId private constant POWER = CommonTypes.FilActorId.wrap(4);

    function test_DatacapHasItsName() public view {
        (int256 exit, string memory name) = DataCapAPI.name();
        assertEq(exit, 0);
        assertEq(name, "DataCap");
    }

    function test_ThePowerActorCountsNoMiners() public view {
        (int256 exit, uint64 count) = PowerAPI.minerCount();
        assertEq(exit, 0);
        assertEq(count, 0);
    }

    function test_ThereIsNoPower() public view {
        (int256 exit, CommonTypes.BigInt memory power) = PowerAPI.networkRawPower();
        assertEq(exit, 0);
        assertEq(power.val.length, 0);
        assertFalse(power.neg);
    }

    function testFuzz_MoneyIsSent(uint96 money) public {
        uint256 before = ACTOR.balance;
        vm.deal(address(this), money);
        assertEq(SendAPI.send(POWER, money), 0);
        assertEq(ACTOR.balance, before + money);
        assertEq(address(this).balance, 0);
    }
}
