// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract Failing is Cheating {
    bytes32 constant SLOT = bytes32("failed");
    function fail() public { vm.store(address(vm), SLOT, bytes32(uint256(1))); }
    function undo() public { vm.store(address(vm), SLOT, bytes32(0)); }
    function failAndRevert() public { fail(); revert("reverted"); }
}
// forge-std's `fail()`: a word at the cheatcodes' address.
contract FailsTest is Failing {
    uint256 kept;
    Failing other;
    function setUp() public { other = new Failing(); }
    function testMarked() public { fail(); }
    function testThenReverts() public { fail(); revert("later"); }
    function testThenPanics() public { fail(); assert(kept == 1); }
    function testThenAsserts() public { fail(); vm.assertEq(kept, 1); }
    function testThenSkips() public { fail(); vm.skip(true); }
    function testThenExpects() public { fail(); vm.expectRevert(); other.undo(); }
    function testInCall() public { other.fail(); }
    function testCaught() public { try other.failAndRevert() {} catch {} }
    function testUndone() public { other.fail(); other.undo(); }
    function testStateReverted() public { uint256 s = vm.snapshotState(); fail(); vm.revertToState(s); }
    function testStateRevertedInCall() public { uint256 s = vm.snapshotState(); other.fail(); vm.revertToState(s); }
    function testOtherSlot() public { vm.store(address(vm), bytes32("other"), bytes32(uint256(1))); }
    function testOtherWord() public { vm.store(address(vm), SLOT, bytes32(uint256(2))); }
}
contract FailsSetUpTest is Failing {
    function setUp() public { fail(); }
    function testNever() public {}
}
contract FailsConstructorTest is Failing {
    constructor() { fail(); }
    function testAtOnce() public {}
}
