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
contract SkipsTest is Cheating {
    bytes constant MAGIC = "FOUNDRY::SKIP";
    function fails(bytes memory data) internal pure { assembly { revert(add(data, 32), mload(data)) } }
    function forged(bytes memory data) external pure { fails(data); }
    function testSkips() public { vm.skip(true); }
    function testSkipsInView() public view { (bool ok, bytes memory data) = address(vm).staticcall(abi.encodeWithSignature("skip(bool,string)", true, "why")); if (!ok) fails(data); }
    function testPassedOn() public { try vm.skip(true, "why") {} catch (bytes memory data) { fails(data); } }
    function testCaught() public { try vm.skip(true, "why") {} catch {} }
    function testCaughtThenFails() public { try vm.skip(true, "why") {} catch {} revert("later"); }
    function testNotSkipped() public { vm.skip(false); }
    function testForged() public pure { fails(MAGIC); }
    function testForgedReason() public pure { fails("FOUNDRY::SKIP because"); }
    function testForgedByOther() public view { this.forged(MAGIC); }
    function testForgedByRequire() public pure { require(false, "FOUNDRY::SKIP"); }
    function testForgedFuzz(uint256) public pure { fails(MAGIC); }
    function testSkipsFuzz(uint256) public { vm.skip(true, "fuzz"); }
    function testForgedAssume(uint256) public pure { fails("FOUNDRY::ASSUMEd"); }
    uint256[] public fixtureRow = [1, 2];
    function tableForged(uint256 row) public pure { if (row == 2) fails(MAGIC); }
    function tableSkips(uint256 row) public { if (row == 2) vm.skip(true); }
}
contract ForgedSkipSetUpTest is Cheating {
    function setUp() public pure { bytes memory data = "FOUNDRY::SKIP"; assembly { revert(add(data, 32), mload(data)) } }
    function testNever() public {}
}
contract SkipsSetUpTest is Cheating {
    function setUp() public { vm.skip(true, "all"); }
    function testNever() public {}
    function testNeverFuzz(uint256) public {}
    function invariant_never() public {}
}
contract Steps is Cheating { uint256 public n; function step() external { n++; } function skips() external { vm.skip(true); } }
contract SkipsInvariantTest is Cheating {
    function invariant_skips() public { vm.skip(true); }
    function invariant_skipsWithReason() public { vm.skip(true, "no targets"); }
    function statefulFuzz_skips() public { vm.skip(true); }
    function invariant_forged() public pure { bytes memory data = "FOUNDRY::SKIP"; assembly { revert(add(data, 32), mload(data)) } }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 10
contract SkipsLaterInvariantTest is Cheating {
    Steps steps;
    function setUp() public { steps = new Steps(); }
    function invariant_holds() public pure {}
    function invariant_skipsLater() public { vm.skip(steps.n() > 0); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 10
contract SkipsAfterInvariantTest is Cheating {
    Steps steps;
    function setUp() public { steps = new Steps(); }
    function invariant_holds() public pure {}
    function afterInvariant() public { vm.skip(true); }
}
contract FailsConstructorTest is Failing {
    constructor() { fail(); }
    function testAtOnce() public {}
}
// Transactions that cannot be decoded or executed are refused in forge's words.
contract BadTransactionsTest is Cheating {
    bytes constant OF_CHAIN_1 = hex"f860806483030d40946fd0a0cff9a87adf51695b40b4fa267855a8f4c6118025a03ebeabbcfe43c2c982e99b376b5fb6e765059d7f215533c8751218cac99bbd80a00a56cf5c382442466770a756e81272d06005c9e90fb8dbc5b53af499d5aca856";
    function testEmpty() public { vm.broadcastRawTransaction(""); }
    function testTypedText() public { vm.broadcastRawTransaction(hex"0102"); }
    function testText() public { vm.executeTransaction(hex"83010203"); }
    function testUnknownType() public { vm.broadcastRawTransaction(hex"05c0"); }
    function testTruncated() public { vm.broadcastRawTransaction(hex"f8"); }
    function testTypedWithoutFields() public { vm.broadcastRawTransaction(hex"02c0"); }
    function testUnsigned() public { vm.broadcastRawTransaction(hex"dd806483030d40940993863c19b0defb183ca2b502db7d1b331ded757b80"); }
    function testOfAnotherChain() public { vm.broadcastRawTransaction(OF_CHAIN_1); }
    function testExecutedOfAnotherChain() public { vm.executeTransaction(OF_CHAIN_1); }
}
