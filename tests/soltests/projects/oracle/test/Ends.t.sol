// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {StdInvariant} from "forge-std/StdInvariant.sol";
import {Test} from "forge-std/Test.sol";

/// One test for each way in which a test can end: forge and `hypervisor test` have to agree, in words, too.
contract EndsTest is Test {
    error Custom(uint256 number, address who, string text);

    uint256 private kept;

    function setUp() public {
        kept = 7;
        vm.warp(1000);
    }

    function test_Passes() public view {
        assertEq(kept, 7);
        assertEq(block.timestamp, 1000);
        assertEq(block.chainid, 31337);
        assertEq(block.number, 1);
        assertEq(msg.sender, 0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38);
        assertEq(tx.origin, msg.sender);
        assertEq(address(this), 0x7FA9385bE102ac3EAc297483Dd6233D62b3e1496);
        assertEq(address(this).balance, type(uint96).max);
        assertEq(block.gaslimit, 1073741824);
        assertEq(tx.gasprice, 0);
        assertEq(block.basefee, 0);
    }

    function test_AssertEqFails() public view {
        assertEq(kept, 8, "other numbers");
    }

    function test_RequireFails() public pure {
        require(false, "a reason");
    }

    function test_RevertsWithoutReason() public pure {
        revert();
    }

    function test_RevertsWithAnError() public view {
        revert Custom(7, address(this), "text");
    }

    function test_Panics() public view {
        uint256[] memory empty = new uint256[](kept - 7);
        empty[kept];
    }

    function test_DividesByZero() public view returns (uint256) {
        return 1 / (kept - 7);
    }

    function test_IsSkipped() public {
        vm.skip(true);
    }

    function test_ExpectsARevertThatDoesNotCome() public {
        vm.expectRevert();
        this.fine();
    }

    function test_ExpectsARevert() public {
        vm.expectRevert("a reason");
        this.test_RequireFails();
    }

    function fine() external pure {}

    function test_FallsOutOfGas() public view {
        this.burn{gas: 100_000}();
    }

    function burn() external pure {
        while (true) {}
    }

    function testFuzz_Passes(uint256 x, int128 y, bytes memory z, string[] memory t, bool b, address a) public pure {
        assertTrue(uint256(keccak256(abi.encode(x, y, z, t, b, a))) != 0);
    }

    function testFuzz_Fails(uint256 x) public pure {
        assertLt(x, 1000);
    }

    /// forge-config: default.fuzz.max-test-rejects = 50
    function testFuzz_AssumesTooMuch(uint256 x) public pure {
        vm.assume(x == uint256(keccak256(abi.encode(x))));
    }
}

contract BrokenSetUpTest is Test {
    function setUp() public pure {
        revert("not today");
    }

    function test_Never() public pure {}
}

contract Steps {
    uint256 public count;

    function up() external {
        count++;
    }

    function down() external {
        count--;
    }
}

contract StepsTest is StdInvariant, Test {
    Steps private steps;

    function setUp() public {
        steps = new Steps();
        targetContract(address(steps));
    }

    function invariant_Holds() public view {
        assertLt(steps.count(), 1000);
    }

    function invariant_Breaks() public view {
        assertLt(steps.count(), 3);
    }
}
