// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract Target {
    error Custom(uint256 a, string b);
    error Other();
    event E(address indexed a, uint256 indexed b, uint256 c);
    event F(uint256 c);
    event Anon(uint256 indexed a, uint256 b) anonymous;
    uint256 public v;
    function ok() external pure returns (uint256) { return 5; }
    function str() external pure { revert("a reason"); }
    function long() external pure { revert("a reason that is longer than thirty-two bytes for sure, yes"); }
    function custom() external pure { revert Custom(1, "b"); }
    function other() external pure { revert Other(); }
    function empty() external pure { revert(); }
    function panic() external pure { assert(false); }
    function over(uint256 x) external pure returns (uint256) { return x + type(uint256).max; }
    function inner(Target t) external view { t.str(); }
    function swallow(Target t) external view { try t.str() {} catch {} }
    function emitE(address a, uint256 b, uint256 c) external { emit E(a, b, c); }
    function emitF(uint256 c) external { emit F(c); }
    function emitTwo(uint256 c) external { emit F(c); emit F(c + 1); }
    function emitVia(Target t, uint256 c) external { t.emitF(c); }
    function anon(uint256 a, uint256 b) external { emit Anon(a, b); }
    function pay(uint256 x) external payable returns (uint256) { v = x; return msg.value; }
    function get(uint256 x) external view returns (uint256) { return v + x; }
    function callGet(Target t, uint256 x) external view returns (uint256) { return t.get(x); }
    function two(Target o) external returns (uint256) { v = 1; o.get(1); v = 2; o.get(2); v = 3; return v; }
    function precompile() external view returns (bool done) { (done,) = address(8).staticcall{gas: 60000}(hex"01"); require(done); }
    function log0(uint256 x) external { assembly { mstore(0, x) log0(0, 32) } }
    function boom() external { assembly { invalid() } }
    receive() external payable {}
}
contract Reverter { constructor() { revert("in constructor"); } }
contract Maker {
    function make() external { new Reverter(); }
    function tryMake() external { try new Reverter() {} catch {} revert("in constructor"); }
    function makeMaker() external { new MakingMaker(); }
}
contract MakingMaker { constructor() { new Reverter(); } }
contract ExpectRevertTest is Cheating {
    Target t; Target u;
    function setUp() public { t = new Target(); u = new Target(); }
    function testAny() public { vm.expectRevert(); t.str(); }
    function testAnyNone() public { vm.expectRevert(); t.ok(); }
    function testReason() public { vm.expectRevert("a reason"); t.str(); }
    function testReasonBytes() public { vm.expectRevert(abi.encodeWithSignature("Error(string)", "a reason")); t.str(); }
    function testReasonWrong() public { vm.expectRevert("another"); t.str(); }
    function testLong() public { vm.expectRevert(bytes("a reason that is longer than thirty-two bytes for sure, yes")); t.long(); }
    function testCustom() public { vm.expectRevert(abi.encodeWithSelector(Target.Custom.selector, 1, "b")); t.custom(); }
    function testCustomWrong() public { vm.expectRevert(abi.encodeWithSelector(Target.Custom.selector, 2, "b")); t.custom(); }
    function testSelector() public { vm.expectRevert(Target.Other.selector); t.other(); }
    function testSelectorWrong() public { vm.expectRevert(Target.Custom.selector); t.other(); }
    function testSelectorNotPartial() public { vm.expectRevert(Target.Custom.selector); t.custom(); }
    function testPartial() public { vm.expectPartialRevert(Target.Custom.selector); t.custom(); }
    function testPartialWrong() public { vm.expectPartialRevert(Target.Other.selector); t.custom(); }
    function testEmpty() public { vm.expectRevert(bytes("")); t.empty(); }
    function testEmptyWanted() public { vm.expectRevert(bytes("x")); t.empty(); }
    function testEmptyWrong() public { vm.expectRevert(bytes("")); t.str(); }
    function testPanic() public { vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 1)); t.panic(); }
    function testPanicWrong() public { vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 17)); t.panic(); }
    function testOver() public { vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 17)); t.over(1); }
    function testInner() public { vm.expectRevert("a reason"); t.inner(u); }
    function testSwallow() public { vm.expectRevert("a reason"); t.swallow(u); }
    function testReverter() public { vm.expectRevert(address(t)); t.str(); }
    function testReverterInner() public { vm.expectRevert(address(u)); t.inner(u); }
    function testReverterWrong() public { vm.expectRevert(address(u)); t.str(); }
    function testReverterReason() public { vm.expectRevert("a reason", address(t)); t.str(); }
    function testReverterReasonWrong() public { vm.expectRevert("b reason", address(t)); t.str(); }
    function testPartialReverter() public { vm.expectPartialRevert(Target.Custom.selector, address(t)); t.custom(); }
    function testCount() public { vm.expectRevert(uint64(2)); t.str(); t.str(); }
    function testCountReason() public { vm.expectRevert("a reason", 2); t.str(); t.str(); }
    function testCountOne() public { vm.expectRevert("a reason", 2); t.str(); }
    function testCountOneOk() public { vm.expectRevert("a reason", 2); t.str(); t.ok(); }
    function testCountZero() public { vm.expectRevert(uint64(0)); t.ok(); }
    function testCountZeroRevert() public { vm.expectRevert(uint64(0)); t.str(); }
    function testCountZeroReason() public { vm.expectRevert("a reason", 0); t.str(); }
    function testCountZeroOther() public { vm.expectRevert("b reason", 0); t.str(); }
    function testCountZeroBy() public { vm.expectRevert(address(t), 0); t.str(); }
    function testCountZeroByOther() public { vm.expectRevert(address(u), 0); t.str(); }
    function testDangling() public { vm.expectRevert(); }
    function testReverterOfConstructor() public { vm.expectRevert("in constructor", vm.computeCreateAddress(address(this), vm.getNonce(address(this)))); new Reverter(); }
    function testReverterOfConstructorWrong() public { vm.expectRevert("in constructor", address(t)); new Reverter(); }
    function testReverterOfConstructorInCall() public { Maker m = new Maker(); vm.expectRevert("in constructor", address(m)); m.make(); }
    function testReverterOfConstructorInCallWrong() public { Maker m = new Maker(); vm.expectRevert("in constructor", address(t)); m.make(); }
    function testReverterOfConstructorInConstructor() public { Maker m = new Maker(); vm.expectRevert("in constructor", address(m)); m.makeMaker(); }
    function testReverterOfCaughtConstructor() public { Maker m = new Maker(); vm.expectRevert("in constructor", address(m)); m.tryMake(); }
    function testReverterOfConstructorTwice() public { Maker m = new Maker(); vm.expectRevert("in constructor", address(m), 2); m.make(); m.makeMaker(); }
    function testAcceptedReverterOfConstructor() public { Maker m = new Maker(); assumeNo(address(m), "in constructor"); m.make(); }
    function testAcceptedRevertOfConstructor() public { assumeNo(address(0), "in constructor"); new Reverter(); }
    struct Acceptable { address reverter; bool partially; bytes reason; }
    function assumeNo(address reverter, bytes memory reason) private { (bool ok,) = address(vm).call(abi.encodeWithSignature("assumeNoRevert((address,bool,bytes))", Acceptable(reverter, false, reason))); require(ok); }
    function testPrecompileFails() public { vm.expectRevert(); (bool ok,) = address(6).staticcall{gas: 100000}(hex"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"); ok; }
    function testPrecompileWithoutGas() public { vm.expectRevert(); (bool ok,) = address(1).call{gas: 2000}(new bytes(128)); ok; }
    function testPrecompileFailsInDelegateCall() public { vm.expectRevert(); (bool ok,) = address(9).delegatecall{gas: 70000}(hex"01"); ok; }
    function testPrecompileFailsByOutcome() public { vm.expectRevert(); bool ok = t.precompile(); ok; }
    function testAssumedHere() public { assumeNo(address(0), "here"); revert("here"); }
    function testAssumedOtherHere() public { assumeNo(address(0), "there"); revert("here"); }
    function testSame() public { vm.expectRevert(bytes("here")); revert("here"); }
    function testTwice() public { vm.expectRevert(); vm.expectRevert(); t.str(); }
    function testThenCheat() public { vm.expectRevert(); vm.warp(5); t.str(); vm.assertEq(block.timestamp, 5); }
    function testPrank() public { vm.prank(address(5)); vm.expectRevert(); t.str(); }
    function testPrankAfter() public { vm.expectRevert(); vm.prank(address(5)); t.str(); }
    function testCreate() public { vm.expectRevert("in constructor"); new Reverter(); }
    function testCreateOk() public { vm.expectRevert("in constructor"); new Target(); }
    function testCreateDummy() public { vm.expectRevert("in constructor"); Reverter r = new Reverter(); vm.assertEq(address(r), address(1)); }
    function testReturnData() public { vm.expectRevert(); uint256 x = t.over(1); vm.assertEq(x, 0); }
    function testLowLevel() public { vm.expectRevert("a reason"); (bool ok,) = address(t).call(abi.encodeCall(Target.str, ())); vm.assertTrue(ok); }
    function testEOA() public { vm.expectRevert(); payable(address(0x1234)).transfer(1); }
    function testNoCode() public { vm.expectRevert(); Target(payable(address(0x1234))).ok(); }
    function testInvalid() public { vm.expectRevert(); t.boom(); }
    function testInvalidReason() public { vm.expectRevert(bytes("x")); t.boom(); }
    function testSelfCall() public { vm.expectRevert(bytes("self")); this.self(); }
    function self() external pure { revert("self"); }
    function testMid() public { this.expectInside(); t.ok(); }
    function expectInside() external { vm.expectRevert("a reason"); t.str(); }
    function testHanging() public { this.hang(); t.str(); }
    function hang() external { vm.expectRevert("a reason"); }
    function testCheatcode() public { (bool s,) = address(vm).call(abi.encodeWithSignature("_expectCheatcodeRevert()")); s; vm.addr(0); }
    function testCheatcodeReason() public { (bool s,) = address(vm).call(abi.encodeWithSignature("_expectCheatcodeRevert(bytes)", bytes("private key cannot be 0"))); s; vm.addr(0); }
    function testUncaughtCustom() public view { t.custom(); }
    function testUncaughtPanic() public view { t.over(1); }
    function testUncaughtEmpty() public view { t.empty(); }
    function testUncaughtLong() public view { t.long(); }
    function testUncaughtInvalid() public { t.boom(); }
}
contract ExpectEmitTest is Cheating {
    event E(address indexed a, uint256 indexed b, uint256 c);
    event F(uint256 c);
    event G(uint256 c);
    event Anon(uint256 indexed a, uint256 b) anonymous;
    Target t; Target u;
    function setUp() public { t = new Target(); u = new Target(); }
    function testOk() public { vm.expectEmit(true, true, false, true); emit E(address(1), 2, 3); t.emitE(address(1), 2, 3); }
    function testShort() public { vm.expectEmit(); emit E(address(1), 2, 3); t.emitE(address(1), 2, 3); }
    function testData() public { vm.expectEmit(); emit E(address(1), 2, 3); t.emitE(address(1), 2, 4); }
    function testTopic() public { vm.expectEmit(); emit E(address(1), 2, 3); t.emitE(address(2), 2, 3); }
    function testTopicAndData() public { vm.expectEmit(); emit E(address(1), 2, 3); t.emitE(address(2), 3, 4); }
    function testTopicIgnored() public { vm.expectEmit(false, true, false, true); emit E(address(1), 2, 3); t.emitE(address(2), 2, 3); }
    function testDataIgnored() public { vm.expectEmit(true, true, false, false); emit E(address(1), 2, 3); t.emitE(address(1), 2, 4); }
    function testEmitter() public { vm.expectEmit(address(t)); emit F(3); t.emitF(3); }
    function testEmitterWrong() public { vm.expectEmit(address(u)); emit F(3); t.emitF(3); }
    function testEmitterFull() public { vm.expectEmit(true, true, true, true, address(u)); emit F(3); t.emitVia(u, 3); }
    function testOtherEvent() public { vm.expectEmit(); emit G(3); t.emitF(3); }
    function testNever() public { vm.expectEmit(); emit F(3); }
    function testNoLog() public { vm.expectEmit(); t.ok(); }
    function testNoneEmitted() public { vm.expectEmit(); emit F(3); t.pay(3); }
    function testStaticBetween() public { vm.expectEmit(); emit F(3); t.ok(); t.emitF(3); }
    function testSecond() public { vm.expectEmit(); emit F(4); t.emitTwo(3); }
    function testBoth() public { vm.expectEmit(); emit F(3); vm.expectEmit(); emit F(4); t.emitTwo(3); }
    function testBothOrder() public { vm.expectEmit(); emit F(4); vm.expectEmit(); emit F(3); t.emitTwo(3); }
    function testTwoCalls() public { vm.expectEmit(); emit F(3); t.emitF(3); vm.expectEmit(); emit F(4); t.emitF(4); }
    function testTwoCallsOnce() public { vm.expectEmit(); emit F(3); vm.expectEmit(); emit F(4); t.emitF(3); t.emitF(4); }
    function testCount() public { vm.expectEmit(2); emit F(3); this.twice(); }
    function twice() external { t.emitF(3); t.emitF(3); }
    function thrice() external { t.emitF(3); t.emitF(3); t.emitF(3); }
    function testCountOne() public { vm.expectEmit(2); emit F(3); t.emitF(3); }
    function testCountThree() public { vm.expectEmit(2); emit F(3); this.thrice(); }
    function testCountZero() public { vm.expectEmit(0); emit F(3); t.emitF(4); }
    function testCountZeroBad() public { vm.expectEmit(0); emit F(3); t.emitF(3); }
    function testCountEmitter() public { vm.expectEmit(address(t), 2); emit F(3); this.twice(); }
    function testAnon() public { vm.expectEmitAnonymous(); emit Anon(1, 2); t.anon(1, 2); }
    function testAnonWrong() public { vm.expectEmitAnonymous(); emit Anon(1, 2); t.anon(1, 3); }
    function testAnonTopic() public { vm.expectEmitAnonymous(); emit Anon(1, 2); t.anon(2, 2); }
    function testReverts() public { vm.expectEmit(); emit F(3); t.str(); }
    function testLogWithoutTopics() public { vm.expectEmit(); emit F(3); t.log0(3); }
    function testLogWithoutTopicsThenRight() public { vm.expectEmit(); emit F(3); this.bare(3); }
    function bare(uint256 x) external { t.log0(x); t.emitF(x); }
    function testExpectsLogWithoutTopics() public { vm.expectEmit(); assembly { mstore(0, 3) log0(0, 32) } t.log0(3); }
    function testExpectsLogWithoutTopicsInCall() public { vm.expectEmit(); t.log0(3); }
    function testExpectsLogWithoutTopicsCaught() public { vm.expectEmit(); try t.log0(3) {} catch (bytes memory r) { vm.assertEq(r, hex"00"); } }
    function testExpectsLogWithoutTopicsReverts() public { vm.expectEmit(); vm.expectRevert("use vm.expectEmitAnonymous to match anonymous events"); t.log0(3); }
    /// forge-config: default.allow_internal_expect_revert = true
    function testExpectsLogWithoutTopicsRevertsHere() public { vm.expectEmit(); vm.expectRevert("use vm.expectEmitAnonymous to match anonymous events"); assembly { mstore(0, 3) log0(0, 32) } }
    function testAnonymousWithoutTopics() public { vm.expectEmitAnonymous(false, false, false, false, true); assembly { mstore(0, 3) log0(0, 32) } t.log0(3); }
    function testAnonymousWithoutTopicsWrong() public { vm.expectEmitAnonymous(); assembly { mstore(0, 3) log0(0, 32) } t.log0(4); }
    function testInnerDepth() public { vm.expectEmit(); emit F(3); t.emitVia(u, 3); }
    function testRecord() public { vm.recordLogs(); t.emitE(address(1), 2, 3); emit F(9); Vm.Log[] memory l = vm.getRecordedLogs(); vm.assertEq(l.length, 2); vm.assertEq(l[0].topics.length, 3); vm.assertEq(l[0].emitter, address(t)); vm.assertEq(l[1].data, abi.encode(9)); vm.assertEq(vm.getRecordedLogs().length, 0); }
    function testRecordNone() public { t.emitF(1); vm.assertEq(vm.getRecordedLogs().length, 0); }
}
contract ExpectCallTest is Cheating {
    Target t; Target u;
    function setUp() public { t = new Target(); u = new Target(); }
    function testOk() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3))); t.get(3); }
    function testNot() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3))); t.get(4); }
    function testPartial() public { vm.expectCall(address(t), abi.encodeWithSelector(Target.get.selector)); t.get(4); }
    function testInner() public { vm.expectCall(address(u), abi.encodeCall(Target.get, (3))); t.callGet(u, 3); }
    function testTwice() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3))); vm.expectCall(address(t), abi.encodeCall(Target.get, (3))); t.get(3); }
    function testCount() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3)), 2); t.get(3); t.get(3); }
    function testCountMore() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3)), 1); t.get(3); t.get(3); }
    function testCountZero() public { vm.expectCall(address(t), abi.encodeCall(Target.get, (3)), 0); t.get(4); }
    function testCountTwice() public { vm.expectCall(address(t), hex"01020304", 0); vm.expectCall(address(t), hex"01020304", 0); }
    function testValue() public { vm.expectCall(address(t), 7, abi.encodeCall(Target.pay, (3))); t.pay{value: 7}(3); }
    function testValueWrong() public { vm.expectCall(address(t), 7, abi.encodeCall(Target.pay, (3))); t.pay{value: 8}(3); }
    function testGas() public { vm.expectCall(address(t), 0, 50000, abi.encodeCall(Target.pay, (3))); t.pay{gas: 50000}(3); }
    function testGasValue() public { vm.expectCall(address(t), 3, 50000, abi.encodeCall(Target.pay, (3))); t.pay{gas: 50000, value: 3}(3); }
    function testMinGas() public { vm.expectCallMinGas(address(t), 0, 50000, abi.encodeCall(Target.pay, (3))); t.pay(3); }
    function testGasWrong() public { vm.expectCall(address(t), 0, 50001, abi.encodeCall(Target.pay, (3))); t.pay{gas: 50000}(3); }
    function testStaticValueZero() public { vm.expectCall(address(t), 0, abi.encodeCall(Target.get, (3))); t.get(3); }
    function testStaticValueOne() public { vm.expectCall(address(t), 1, abi.encodeCall(Target.get, (3))); t.get(3); }
    function testStaticGas() public { vm.expectCall(address(t), 0, 50000, abi.encodeCall(Target.get, (3))); t.get{gas: 50000}(3); }
    function testStaticGasWrong() public { vm.expectCall(address(t), 0, 50001, abi.encodeCall(Target.get, (3))); t.get{gas: 50000}(3); }
    function testStaticGasCount() public { vm.expectCall(address(t), 0, 50000, abi.encodeCall(Target.get, (3)), 2); t.get{gas: 50000}(3); t.get{gas: 50000}(3); }
    function testStaticLowLevelGas() public { vm.expectCall(address(t), 0, 50000, abi.encodeCall(Target.pay, (3))); (bool ok,) = address(t).staticcall{gas: 50000}(abi.encodeCall(Target.pay, (3))); ok; }
    function testStaticMinGas() public { vm.expectCallMinGas(address(t), 0, 40000, abi.encodeCall(Target.get, (3))); t.get{gas: 50000}(3); }
    function testStaticMinGasTooLittle() public { vm.expectCallMinGas(address(t), 0, 50001, abi.encodeCall(Target.get, (3))); t.get{gas: 50000}(3); }
    function testStaticInnerMinGas() public { vm.expectCallMinGas(address(u), 0, 40000, abi.encodeCall(Target.get, (3))); t.callGet(u, 3); }
    function testDelegateGas() public { vm.expectCall(address(t), 0, 50000, abi.encodeCall(Target.get, (3))); (bool ok,) = address(t).delegatecall{gas: 50000}(abi.encodeCall(Target.get, (3))); ok; }
    function testMockStaticValueZero() public { vm.mockCall(address(t), 0, abi.encodeCall(Target.get, (3)), abi.encode(99)); vm.assertEq(t.get(3), 99); }
    function testMockStaticValueOne() public { vm.mockCall(address(t), 1, abi.encodeCall(Target.get, (3)), abi.encode(99)); vm.assertEq(t.get(3), 3); }
    function testMockDelegateValueZero() public { vm.mockCall(address(t), 0, abi.encodeCall(Target.get, (3)), abi.encode(99)); (, bytes memory r) = address(t).delegatecall(abi.encodeCall(Target.get, (3))); vm.assertEq(r.length, 32); }
    function testMock() public { vm.mockCall(address(t), abi.encodeCall(Target.get, (3)), abi.encode(99)); vm.assertEq(t.get(3), 99); vm.assertEq(t.get(4), 4); vm.assertEq(u.callGet(t, 3), 99); vm.clearMockedCalls(); vm.assertEq(t.get(3), 3); }
    function testMockSelector() public { vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); vm.mockCall(address(t), abi.encodeCall(Target.get, (3)), abi.encode(98)); vm.assertEq(t.get(3), 98); vm.assertEq(t.get(4), 99); }
    function testMockLongest() public { vm.mockCall(address(t), abi.encodePacked(Target.get.selector, bytes31(0)), abi.encode(97)); vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); vm.assertEq(t.get(3), 97); vm.assertEq(t.get(1 << 200), 99); }
    function testMockValue() public { vm.mockCall(address(t), 7, abi.encodeWithSelector(Target.pay.selector), abi.encode(99)); vm.assertEq(t.pay{value: 7}(1), 99); vm.assertEq(t.pay{value: 6}(1), 6); vm.assertEq(address(t).balance, 13); }
    function testMockNoCode() public { vm.mockCall(address(0x77), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); vm.assertEq(Target(payable(address(0x77))).get(1), 99); }
    function testMockRevert() public { vm.mockCallRevert(address(t), abi.encodeWithSelector(Target.get.selector), "gone"); vm.expectRevert(bytes("gone")); t.get(1); }
    function testMockRevertUncaught() public { vm.mockCallRevert(address(t), abi.encodeWithSelector(Target.get.selector), abi.encodeWithSignature("Error(string)", "gone")); t.get(1); }
    function testMockCalls() public { bytes[] memory r = new bytes[](2); r[0] = abi.encode(1); r[1] = abi.encode(2); vm.mockCalls(address(t), abi.encodeWithSelector(Target.get.selector), r); vm.assertEq(t.get(0), 1); vm.assertEq(t.get(0), 2); vm.assertEq(t.get(0), 2); }
    function testMockFunction() public { Repl r = new Repl(); t.pay(5); vm.mockFunction(address(t), address(r), abi.encodeWithSelector(Target.get.selector)); vm.assertEq(t.get(1), 1005); }
    function testMockOverwrite() public { vm.mockCall(address(t), bytes(hex"6d4ce63c"), abi.encode(1)); vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(100)); vm.assertEq(t.get(4), 100); }
    function testExpectMocked() public { vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); vm.expectCall(address(t), abi.encodeCall(Target.get, (3))); t.get(3); }
    function testMockDelegate() public { vm.mockCall(address(t), abi.encodeWithSelector(Target.get.selector), abi.encode(99)); (, bytes memory r) = address(t).delegatecall(abi.encodeCall(Target.get, (1))); vm.assertEq(abi.decode(r, (uint256)), 99); }
    function testMockReceive() public { vm.mockCall(address(0x99), bytes(""), ""); (bool ok,) = address(0x99).call{value: 1}(""); vm.assertTrue(ok); }
    function testExpectCreate() public { vm.expectCreate(type(Small).runtimeCode, address(this)); new Small(); }
    function testExpectCreateNot() public { vm.expectCreate(hex"6001", address(this)); new Small(); }
    function testExpectCreate2() public { vm.expectCreate2(type(Small).runtimeCode, address(this)); new Small{salt: 0}(); }
    function testExpectCreateIsNotCreate2() public { vm.expectCreate(type(Small).runtimeCode, address(this)); new Small{salt: 0}(); }
    function testRecordAccess() public { vm.record(); t.pay(5); t.get(1); (bytes32[] memory r, bytes32[] memory w) = vm.accesses(address(t)); vm.assertEq(r.length, 2); vm.assertEq(w.length, 1); vm.assertEq(w[0], bytes32(0)); vm.stopRecord(); t.get(1); (r,) = vm.accesses(address(t)); vm.assertEq(r.length, 2); }
    function testDiff() public { vm.startStateDiffRecording(); t.pay{value: 3}(5); Vm.AccountAccess[] memory d = vm.stopAndReturnStateDiff(); vm.assertEq(d.length, 1); vm.assertEq(d[0].account, address(t)); vm.assertEq(d[0].accessor, address(this)); vm.assertEq(d[0].value, 3); vm.assertEq(d[0].newBalance, 3); vm.assertEq(d[0].storageAccesses.length, 2); vm.assertEq(uint256(d[0].storageAccesses[1].newValue), 5); vm.assertEq(d[0].chainInfo.chainId, 31337); vm.assertEq(d[0].depth, 1); }
    function testDiffDeep() public { vm.startStateDiffRecording(); t.callGet(u, 1); (bool ok,) = address(this).call(abi.encodeCall(this.fails, ())); ok; new Small(); Vm.AccountAccess[] memory d = vm.stopAndReturnStateDiff(); vm.assertEq(d.length, 5); vm.assertEq(d[1].account, address(u)); vm.assertEq(uint256(d[1].kind), 3); vm.assertTrue(d[2].reverted); vm.assertEq(uint256(d[4].kind), 4); vm.assertEq(d[4].deployedCode, type(Small).runtimeCode); vm.assertEq(uint256(d[1].depth), 2); vm.assertEq(uint256(d[3].depth), 2); vm.assertTrue(d[3].reverted); }
    function testDiffResumes() public { vm.startStateDiffRecording(); t.two(u); Vm.AccountAccess[] memory d = vm.stopAndReturnStateDiff(); vm.assertEq(d.length, 5); for (uint256 i; i < 5; i++) vm.assertEq(d[i].storageAccesses.length, 1); vm.assertEq(uint256(d[2].kind), 6); vm.assertEq(d[2].account, address(t)); vm.assertEq(uint256(d[2].storageAccesses[0].previousValue), 1); vm.assertEq(uint256(d[2].storageAccesses[0].newValue), 2); }
    function fails() external { t.pay(1); revert(); }
    function testIntercept() public { vm.interceptInitcode(); try new Small() {} catch (bytes memory e) { vm.assertEq(e, type(Small).creationCode); } }
}
contract Repl { uint256 v; function get(uint256) external view returns (uint256) { return v + 1000; } }
contract Small { function one() external pure returns (uint256) { return 1; } }
