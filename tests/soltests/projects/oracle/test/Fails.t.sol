// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;
import {Test} from "forge-std/Test.sol";
contract Helper is Test {
    function f() external { fail(); }
    function g() external { fail("told"); }
    function clear() external { vm.store(address(vm), bytes32("failed"), bytes32(0)); }
}
contract FailsTest is Test {
    uint256 kept;
    Helper h;
    function setUp() public { h = new Helper(); }
    function test_Fail() public { fail(); }
    function test_FailSaid() public { fail("said so"); }
    function test_FailThenReverts() public { fail(); revert("later"); }
    function test_FailThenPanics() public { fail(); assert(kept == 1); }
    function test_FailThenAssertFails() public { fail(); assertEq(kept, 1); }
    function test_FailThenSkip() public { fail(); vm.skip(true); }
    function test_FailInCall() public { h.f(); }
    function test_FailSaidInCall() public { h.g(); }
    function test_FailCaught() public { try h.g() {} catch {} }
    function test_FailCaughtThenEq() public { try h.g() {} catch {} assertEq(kept, 0); }
    function test_FailUndone() public { h.f(); h.clear(); }
    function test_FailReverted() public { uint256 s = vm.snapshotState(); fail(); vm.revertToState(s); }
    function test_FailInStateRevert() public { uint256 s = vm.snapshotState(); h.f(); vm.revertToState(s); }
    function testFuzz_Fail(uint256 x) public { if (x > 10) fail(); }
    function test_OtherSlot() public { vm.store(address(vm), bytes32("other"), bytes32(uint256(1))); }
    function test_SlotByHand() public { vm.store(address(vm), bytes32("failed"), bytes32(uint256(2))); }
}
contract FailsSetUpTest is Test {
    function setUp() public { fail(); }
    function test_Never() public pure {}
}
contract FailsSetUpSaidTest is Test {
    function setUp() public { fail("why"); }
    function test_Never() public pure {}
}
contract FailsConstructorTest is Test {
    constructor() { fail(); }
    function test_Never() public pure {}
}
contract FailsFlagTest {
    function failed() public pure returns (bool) { return true; }
    function test_Never() public pure {}
}
contract Up is Test { uint256 public n; function up() external { n++; if (n > 2) fail(); } }
contract FailsInvariantTest is Test {
    Up u;
    function setUp() public { u = new Up(); targetContract(address(u)); }
    function invariant_Holds() public pure {}
    function invariant_Fails() public { if (u.n() > 1) fail(); }
}
