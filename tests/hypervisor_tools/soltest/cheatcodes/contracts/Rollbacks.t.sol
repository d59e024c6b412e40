// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract SnapshotInSetUpTest is Cheating {
    uint256 word;
    uint256 snapshot;
    function setUp() public { word = 7; vm.deal(address(5), 5); snapshot = vm.snapshotState(); word = 8; }
    function testBack() public { vm.assertEq(word, 8); word = 9; vm.assertTrue(vm.revertToState(snapshot)); vm.assertEq(word, 7); }
    function testBackTwice() public { vm.revertToState(snapshot); word = 3; vm.revertToState(snapshot); vm.assertEq(word, 7); }
}
contract Logging {
    event Said(uint256);
    function fails() external { emit Said(1); revert("after a log"); }
    function passes() external { emit Said(2); }
    function both() external { emit Said(0); try this.fails() {} catch {} this.passes(); emit Said(3); }
}
contract LogsOfRevertedTest is Cheating {
    Logging logging;
    function setUp() public { logging = new Logging(); }
    function testInside() public { vm.recordLogs(); logging.both(); vm.assertEq(vm.getRecordedLogs().length, 4); }
    function testOfTheCallItself() public { vm.recordLogs(); try logging.fails() {} catch {} vm.assertEq(vm.getRecordedLogs().length, 1); }
}
contract Dealer is Cheating {
    function deals(address who, uint256 amount) external { vm.deal(who, amount); }
    function dealsThenFails(address who, uint256 amount) external { vm.deal(who, amount); revert("dealt"); }
    function passesOn(Dealer to, address who, uint256 amount) external { to.deals(who, amount); }
    function passesOnThenFails(Dealer to, address who, uint256 amount) external { to.deals(who, amount); revert("passed on"); }
    function catches(Dealer to, address who, uint256 amount) external { try to.dealsThenFails(who, amount) {} catch {} }
    function fails() external pure { revert("unrelated"); }
    function failsBelow(Dealer other) external { try other.fails() {} catch {} }
}
contract DealsTest is Cheating {
    Dealer one;
    Dealer two;
    address constant A = address(0xa11ce);
    address constant B = address(0xb0b);
    function setUp() public { one = new Dealer(); two = new Dealer(); }
    function spend() internal { vm.prank(A); payable(B).transfer(4 ether); }
    function testSpentStaysSpent() public { one.deals(A, 10 ether); spend(); try one.fails() {} catch {} vm.assertEq(A.balance, 6 ether); }
    function testSpentStaysSpentBelow() public { one.passesOn(two, A, 10 ether); spend(); two.failsBelow(one); vm.assertEq(A.balance, 6 ether); }
    function testDealtInFailed() public { try one.dealsThenFails(A, 10 ether) {} catch {} vm.assertEq(A.balance, 10 ether); }
    function testPassedOnThenFailed() public { try one.passesOnThenFails(two, A, 10 ether) {} catch {} vm.assertEq(A.balance, 10 ether); }
    function testDealtInFailedThenSpent() public { try one.dealsThenFails(A, 10 ether) {} catch {} spend(); try one.fails() {} catch {} vm.assertEq(A.balance, 6 ether); }
    function testCaughtThenSpent() public { one.catches(two, A, 10 ether); spend(); two.failsBelow(one); vm.assertEq(A.balance, 6 ether); }
}
contract Noncer is Cheating {
    function setsThenFails() external { vm.setNonce(address(0xbeef), 55); revert("set"); }
}
contract KeptTest is Cheating {
    function testNonceOfReverted() public { Noncer n = new Noncer(); try n.setsThenFails() {} catch {} vm.assertEq(uint256(vm.getNonce(address(0xbeef))), 55); }
    function testPersistent() public { vm.assertFalse(vm.isPersistent(address(5))); vm.makePersistent(address(5)); vm.assertTrue(vm.isPersistent(address(5))); vm.revokePersistent(address(5)); vm.assertFalse(vm.isPersistent(address(5))); }
    function testPersistentItself() public { vm.assertTrue(vm.isPersistent(address(this))); }
    function testPersistentVm() public { vm.assertTrue(vm.isPersistent(address(vm))); }
    function testPersistentCaller() public { vm.assertFalse(vm.isPersistent(msg.sender)); }
    function testPersistentDeployer() public { vm.assertFalse(vm.isPersistent(0x4e59b44847b379578588920cA78FbF26c0B4956C)); }
    function testPersistentConsole() public { vm.assertFalse(vm.isPersistent(0x000000000000000000636F6e736F6c652e6c6f67)); }
    function testPersistentCreated() public { vm.assertFalse(vm.isPersistent(address(new Noncer()))); }
    function testEnvOrOfAnotherType() public { vm.setEnv("MENDED_BAD", "zz"); vm.assertEq(vm.envOr("MENDED_BAD", uint256(6)), 6); }
    function testEnvOrListOfAnotherType() public { vm.setEnv("MENDED_BAD", "1,zz"); uint256[] memory d = new uint256[](1); d[0] = 6; vm.assertEq(vm.envOr("MENDED_BAD", ",", d), d); }
    function testEnvNoDelimiter() public { vm.setEnv("MENDED_LIST", "12"); string[] memory d = new string[](0); d = vm.envOr("MENDED_LIST", "", d); vm.assertEq(d.length, 4); }
}
