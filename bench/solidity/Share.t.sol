// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Test} from "forge-std/Test.sol";
import {ShareNUMBER} from "../src/ShareNUMBER.sol";

contract ShareNUMBERTest is Test {
    ShareNUMBER share;

    function setUp() public {
        share = new ShareNUMBER();
        share.grantRole(share.ISSUER(), address(this));
    }

    function test_issues() public {
        share.issue(address(7), 5);
        assertEq(share.balanceOf(address(7)), 5);
    }

    function test_only_issuers_issue() public {
        vm.prank(address(9));
        vm.expectRevert();
        share.issue(address(9), 5);
    }

    function test_votes() public {
        share.issue(address(this), 8);
        share.delegate(address(3));
        assertEq(share.getVotes(address(3)), 8);
    }
}
