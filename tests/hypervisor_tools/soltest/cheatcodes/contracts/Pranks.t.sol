// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.20;
import {Cheating, Vm} from "./Vm.sol";

contract Who {
    address public made = msg.sender;
    constructor() payable {}
    function who() external view returns (address, address) { return (msg.sender, tx.origin); }
    function deep() external view returns (address, address) { return this.who(); }
    function pay() external payable returns (address, uint256) { return (msg.sender, msg.value); }
    uint256 public slot0ish;
    function set(uint256 v) external { slot0ish = v; }
}
contract Refusing { constructor() payable { revert("refused"); } }
contract Delegate {
    address target;
    uint256 x;
    constructor(address t) { target = t; }
    function who() external returns (address a, address b) {
        (, bytes memory r) = target.delegatecall(abi.encodeCall(Who.who, ()));
        (a, b) = abi.decode(r, (address, address));
    }
}
contract Pranker is Cheating {
    function prankThem(address a) external { vm.prank(a); }
    function startThem(address a) external { vm.startPrank(a); }
    function askInner(Who w) external view returns (address, address) { return w.who(); }
    function callOther(PranksTest t) external view returns (address a) { (a,) = t.askWho(); }
    function callBack() external view returns (address, address) { return PranksTest(msg.sender).askWho(); }
}
contract PranksTest is Cheating {
    Who w;
    address alice = address(0xA11CE);
    address bob = address(0xB0B);
    function setUp() public { w = new Who(); }
    function check(address s, address o) internal { (address a, address b) = w.who(); vm.assertEq(a, s); vm.assertEq(b, o); }
    function testOnce() public { vm.prank(alice); check(alice, tx.origin); check(address(this), tx.origin); }
    function testPrankAsCallee() public { vm.prank(address(w)); w.who(); }
    function testPrankAsOtherCallee() public { Who o = w; vm.prank(alice); o.who(); vm.prank(address(o)); o.who(); }
    function testStoppedPrankOfCallee() public { vm.startPrank(address(w)); vm.stopPrank(); w.who(); }
    function testOrigin() public { vm.prank(alice, bob); check(alice, bob); check(address(this), tx.origin); }
    function testOriginBack() public { vm.prank(alice, bob); w.who(); vm.assertEq(tx.origin, 0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38); }
    function testStart() public { vm.startPrank(alice, bob); check(alice, bob); check(alice, bob); vm.stopPrank(); check(address(this), tx.origin); }
    function testDeep() public { vm.prank(alice, bob); (address a, address b) = w.deep(); vm.assertEq(a, address(w)); vm.assertEq(b, bob); }
    function testTwice() public { vm.prank(alice); vm.prank(bob); }
    function testStartThenPrank() public { vm.startPrank(alice); w.who(); vm.prank(bob); }
    function testStartStart() public { vm.startPrank(alice); w.who(); vm.startPrank(bob); check(bob, tx.origin); }
    function testStartStartUnused() public { vm.startPrank(alice); vm.startPrank(bob); }
    function testCreate() public { vm.prank(alice); Who n = new Who(); vm.assertEq(n.made(), alice); vm.assertEq(address(n), vm.computeCreateAddress(alice, 0)); vm.assertEq(vm.getNonce(alice), 1); }
    function testCreate2() public { vm.prank(alice); Who n = new Who{salt: bytes32(uint256(1))}(); vm.assertEq(n.made(), alice);
        vm.assertEq(address(n), vm.computeCreate2Address(bytes32(uint256(1)), keccak256(type(Who).creationCode), alice)); }
    function testCreateInStart() public { vm.startPrank(alice); Who n = new Who(); Who m = new Who(); vm.assertEq(m.made(), alice); vm.assertEq(n.made(), alice); check(alice, tx.origin); }
    function testValue() public { vm.deal(alice, 5); vm.prank(alice); (address a, uint256 v) = w.pay{value: 5}(); vm.assertEq(a, alice); vm.assertEq(v, 5); vm.assertEq(alice.balance, 0); vm.assertEq(address(w).balance, 5); }
    function testValueTooMuch() public { vm.prank(alice); w.pay{value: 5}(); }
    function testCreateValue() public { vm.deal(alice, 7); vm.prank(alice); new Who{value: 7}(); vm.assertEq(alice.balance, 0); }
    function testPranksInHelper() public { Pranker p = new Pranker(); p.prankThem(alice); check(address(this), tx.origin); }
    function testHelperStart() public { Pranker p = new Pranker(); p.startThem(alice); check(address(this), tx.origin); }
    function testPrankDeeperCall() public { Pranker p = new Pranker(); vm.prank(alice); (address a,) = p.askInner(w); vm.assertEq(a, address(p)); }
    function askWho() external view returns (address, address) { return w.who(); }
    function testPrankReentered() public { Pranker p = new Pranker(); vm.startPrank(address(this), bob); (address a, address b) = p.callBack(); vm.assertEq(a, address(this)); vm.assertEq(b, bob); }
    function testPrankReenteredByAnother() public { Pranker p = new Pranker(); this.startFor(p); }
    function startFor(Pranker p) external { vm.startPrank(alice); (bool ok, bytes memory r) = address(p).call(abi.encodeCall(Pranker.callOther, (this))); require(ok); vm.assertEq(abi.decode(r, (address)), address(this)); check(alice, tx.origin); }
    function testPrankView() public { vm.startPrank(alice); (address a,) = w.who(); vm.assertEq(a, alice); (bool ok, bytes memory r) = address(w).staticcall(abi.encodeCall(Who.who, ())); (a,) = abi.decode(r, (address,address)); vm.assertEq(a, alice); ok; }
    function testDelegateNone() public { Delegate d = new Delegate(address(w)); vm.prank(alice); (address a, ) = d.who(); vm.assertEq(a, alice); }
    function testDelegatePrank() public { (bool ok, bytes memory r) = address(w).delegatecall(abi.encodeCall(Who.who, ())); (address a,) = abi.decode(r, (address,address)); vm.assertEq(a, msg.sender);
        vm.prank(address(w), true); (ok, r) = address(w).delegatecall(abi.encodeCall(Who.who, ())); (a,) = abi.decode(r, (address,address)); vm.assertEq(a, address(w)); }
    function testDelegatePrankEOA() public { vm.prank(alice, true); }
    function testReadCallers() public { (VmMode m, address s, address o) = callers(); vm.assertEq(uint8(m), 0); s; o; vm.prank(alice); (m, s, o) = callers(); vm.assertEq(uint8(m), 3); vm.assertEq(s, alice); }
    enum VmMode {a,b,c,d,e}
    function callers() internal returns (VmMode m, address s, address o) { (bool ok, bytes memory r) = address(vm).call(abi.encodeWithSignature("readCallers()")); require(ok); (m, s, o) = abi.decode(r, (VmMode, address, address)); }
    function testStopWithout() public { vm.stopPrank(); check(address(this), tx.origin); }
    function testBroadcast() public { vm.broadcast(alice); (address a, address b) = w.who(); vm.assertEq(a, alice); vm.assertEq(b, alice); }
    function testBroadcastCreate2() public { vm.startBroadcast(alice); Who n = new Who{salt: 0}(); vm.stopBroadcast(); vm.assertEq(n.made(), DEPLOYER);
        vm.assertEq(address(n), vm.computeCreate2Address(0, keccak256(type(Who).creationCode), DEPLOYER)); }
    function testBroadcastCreate2Value() public { vm.deal(alice, 5); vm.startBroadcast(alice); Who n = new Who{salt: 0, value: 3}(); vm.stopBroadcast();
        vm.assertEq(n.made(), DEPLOYER); vm.assertEq(address(n).balance, 3); vm.assertEq(alice.balance, 2); vm.assertEq(DEPLOYER.balance, 0); }
    function testBroadcastCreate2ValueOnce() public { vm.deal(alice, 5); vm.broadcast(alice); Who n = new Who{salt: 0, value: 5}(); vm.assertEq(address(n).balance, 5); vm.assertEq(alice.balance, 0); }
    function testBroadcastCreate2TooMuch() public { vm.deal(alice, 2); vm.startBroadcast(alice); new Who{salt: 0, value: 3}(); }
    function testBroadcastCreate2Refused() public { vm.deal(alice, 5); vm.startBroadcast(alice); try new Refusing{salt: 0, value: 3}() { vm.assertTrue(false); } catch (bytes memory reason) { vm.assertEq(reason, ""); }
        vm.stopBroadcast(); vm.assertEq(alice.balance, 5); vm.assertEq(DEPLOYER.balance, 0); }
    address constant DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    function testBroadcastStart() public { vm.startBroadcast(alice); w.set(5); w.set(6); vm.stopBroadcast(); check(address(this), tx.origin); }
    function testPrankThenCheat() public { vm.prank(alice); vm.deal(bob, 1); check(alice, tx.origin); }
    function testPrankZero() public { vm.prank(address(0)); check(address(0), tx.origin); }
    function testBroadcastOfTestsSender() public { vm.assertEq(uint256(vm.getNonce(msg.sender)), 2); vm.broadcast(); Who made = new Who(); vm.assertEq(address(made), vm.computeCreateAddress(msg.sender, 2)); vm.broadcast(); made.set(5); vm.assertEq(uint256(vm.getNonce(msg.sender)), 4); }
}
