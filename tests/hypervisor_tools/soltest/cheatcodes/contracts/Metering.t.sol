// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract Metered {
    uint256 public slot;
    uint256[] list;
    function set(uint256 value) external { slot = value; }
    function push(uint256 count) external { for (uint256 i; i < count; i++) list.push(i); }
    function fails() external { slot = 1; revert("no"); }
}
// What is measured between startSnapshotGas and stopSnapshotGas, and of the last call, is forge's number.
contract GasMeasuredTest is Cheating {
    event log_named_uint(string key, uint256 val);
    event log_named_int(string key, int256 val);
    Metered target;
    uint256 own;
    function setUp() public { target = new Metered(); }
    function testOne() public {
        vm.startSnapshotGas("one");
        own = 7;
        emit log_named_uint("one", vm.stopSnapshotGas());
    }
    function testThree() public {
        vm.startSnapshotGas("first");
        target.set(5);
        emit log_named_uint("first", vm.stopSnapshotGas());
        vm.startSnapshotGas("second");
        uint256 sum;
        for (uint256 i; i < 5; i++) sum += i;
        emit log_named_uint("second", vm.stopSnapshotGas("second"));
        vm.startSnapshotGas("group", "third");
        target.push(3);
        emit log_named_uint("third", vm.stopSnapshotGas("group", "third"));
        own = sum;
    }
    function testNothing() public { vm.startSnapshotGas("nothing"); emit log_named_uint("nothing", vm.stopSnapshotGas()); }
    function testCallThatFails() public {
        vm.startSnapshotGas("failed");
        try target.fails() {} catch {}
        emit log_named_uint("failed", vm.stopSnapshotGas());
    }
    function testCreation() public {
        vm.startSnapshotGas("creation");
        new Metered();
        emit log_named_uint("creation", vm.stopSnapshotGas());
    }
    function _logLast(string memory name) internal {
        Vm.Gas memory gas = vm.lastCallGas();
        emit log_named_uint(name, gas.gasTotalUsed);
        emit log_named_uint("memory", gas.gasMemoryUsed);
        emit log_named_int("refunded", gas.gasRefunded);
        emit log_named_uint("sum", gas.gasRemaining + gas.gasTotalUsed - gas.gasLimit);
    }
    function testLast() public {
        target.set(5);
        _logLast("set");
        target.set(0);
        _logLast("unset");
        try target.fails() {} catch {}
        _logLast("fails");
        target.push(2);
        emit log_named_uint("push", vm.snapshotGasLastCall("push"));
        emit log_named_uint("again", vm.snapshotGasLastCall("group", "again"));
        target.slot();
        _logLast("slot");
    }
    function testValues() public {
        vm.snapshotValue("b", 12); vm.snapshotValue("a", type(uint256).max); vm.snapshotValue("group", "c", 0);
        vm.snapshotValue("b", 13);
    }
    function testTwice() public { vm.startSnapshotGas("a"); vm.startSnapshotGas("b"); }
    function testNone() public { vm.stopSnapshotGas(); }
    function testOther() public { vm.startSnapshotGas("a"); vm.stopSnapshotGas("b"); }
    function testOtherGroup() public { vm.startSnapshotGas("g", "a"); vm.stopSnapshotGas("h", "a"); }
    function testStopTwice() public { vm.startSnapshotGas("a"); vm.stopSnapshotGas(); vm.stopSnapshotGas(); }
}
// Without metering gasleft() stands still, calls and creations are free, and resuming continues from the pause.
contract PausedGasTest is Cheating {
    event log_named_uint(string key, uint256 val);
    Metered target;
    function setUp() public { target = new Metered(); }
    function spend() internal pure returns (uint256 sum) { for (uint256 i; i < 100; i++) sum += i; }
    function testPausedLoop() public { uint256 all = gasleft(); vm.pauseGasMetering(); uint256 start = gasleft(); spend(); emit log_named_uint("paused", start - gasleft()); vm.resumeGasMetering(); emit log_named_uint("all", all - gasleft()); }
    function testPausedCall() public { vm.pauseGasMetering(); uint256 start = gasleft(); target.push(3); emit log_named_uint("paused", start - gasleft()); vm.resumeGasMetering(); start = gasleft(); target.push(1); emit log_named_uint("metered", start - gasleft()); }
    function testPausedCreation() public { vm.pauseGasMetering(); uint256 start = gasleft(); new Metered(); emit log_named_uint("paused", start - gasleft()); vm.resumeGasMetering(); }
    function testPausedFailure() public { vm.pauseGasMetering(); uint256 start = gasleft(); try target.fails() {} catch {} emit log_named_uint("paused", start - gasleft()); vm.resumeGasMetering(); }
    function testPausedToTheEnd() public { vm.pauseGasMetering(); spend(); target.push(3); }
    function inside() external { vm.pauseGasMetering(); uint256 start = gasleft(); spend(); target.push(2); emit log_named_uint("inside", start - gasleft()); }
    function testPausedInACall() public { uint256 start = gasleft(); this.inside(); emit log_named_uint("call", start - gasleft()); start = gasleft(); spend(); emit log_named_uint("after", start - gasleft()); vm.resumeGasMetering(); start = gasleft(); spend(); emit log_named_uint("resumed", start - gasleft()); }
    function resumes() external { spend(); vm.resumeGasMetering(); spend(); }
    function testResumedInACall() public { vm.pauseGasMetering(); uint256 start = gasleft(); this.resumes(); emit log_named_uint("call", start - gasleft()); }
    function testPausedTwice() public { vm.pauseGasMetering(); spend(); vm.pauseGasMetering(); uint256 start = gasleft(); spend(); emit log_named_uint("paused", start - gasleft()); vm.resumeGasMetering(); vm.resumeGasMetering(); }
    uint256 slot = 7;
    function testRefundsInAPause() public { vm.pauseGasMetering(); slot = 0; slot = 7; slot = 0; target.set(1); target.set(0); }
    function testRefundsAroundAPause() public { slot = 0; vm.pauseGasMetering(); slot = 7; slot = 0; slot = 7; vm.resumeGasMetering(); }
    function testRefundsAfterAPause() public { vm.pauseGasMetering(); slot = 8; slot = 7; vm.resumeGasMetering(); slot = 0; }
    function testRefundsBeforeAReset() public { slot = 0; spend(); vm.resetGasMetering(); spend(); }
    function testResetWhilePaused() public { vm.pauseGasMetering(); spend(); vm.resetGasMetering(); uint256 start = gasleft(); spend(); emit log_named_uint("metered", start - gasleft()); }
}
