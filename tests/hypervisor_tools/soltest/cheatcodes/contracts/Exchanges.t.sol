// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating} from "./Vm.sol";
// What a call has beside the state when the state is exchanged: transient words, and new and destroyed contracts.
contract Mortal {
    constructor() payable {}
    function destroy(address to) external { selfdestruct(payable(to)); }
}
contract Transient {
    function set(uint256 w) public { assembly { tstore(1, w) } }
    function get() public view returns (uint256 w) { assembly { w := tload(1) } }
}
contract ExchangesTest is Cheating, Transient {
    event log_named_uint(string key, uint256 val);
    function say() internal { emit log_named_uint("word", get()); }
    function report(Mortal m) internal { emit log_named_uint("balance", address(m).balance); emit log_named_uint("code", address(m).code.length); }
    function testTransientSnapshot() public { set(7); vm.snapshotState(); say(); }
    function testTransientBack() public { set(7); uint256 n = vm.snapshotState(); set(8); vm.revertToState(n); say(); }
    function testTransientBackDelete() public { set(7); uint256 n = vm.snapshotState(); set(8); vm.revertToStateAndDelete(n); say(); }
    function testTransientBackFromNone() public { uint256 n = vm.snapshotState(); set(8); vm.revertToState(n); say(); }
    function testTransientBackTwice() public { set(7); uint256 n = vm.snapshotState(); set(8); vm.revertToState(n); set(9); vm.revertToState(n); say(); }
    function testTransientOfOther() public { Transient t = new Transient(); t.set(7); uint256 n = vm.snapshotState(); t.set(8); vm.revertToState(n); emit log_named_uint("other", t.get()); }
    function testTransientEtch() public { set(7); Transient t = new Transient(); vm.etch(address(0x999), address(t).code); Transient(address(0x999)).set(6); vm.etch(address(0x999), address(t).code); say(); emit log_named_uint("other", Transient(address(0x999)).get()); }
    function testTransientNonce() public { set(7); vm.setNonce(address(0x999), 5); vm.resetNonce(address(0x999)); vm.deal(address(0x999), 1); say(); }
    function testBurnsBack() public { Mortal m = new Mortal{value: 3}(); uint256 n = vm.snapshotState(); vm.revertToState(n); m.destroy(address(m)); report(m); }
    function testBurnsSnapshot() public { Mortal m = new Mortal{value: 3}(); vm.snapshotState(); m.destroy(address(m)); report(m); }
    function testBurnsCreatedAfter() public { uint256 n = vm.snapshotState(); Mortal m = new Mortal{value: 3}(); vm.revertToState(n); report(m); m = new Mortal{value: 3}(); m.destroy(address(m)); report(m); }
    function testBurnsThenBack() public { Mortal m = new Mortal{value: 3}(); uint256 n = vm.snapshotState(); m.destroy(address(m)); vm.revertToState(n); report(m); m.destroy(address(m)); report(m); }
    function testBurntThenBack() public { Mortal m = new Mortal{value: 3}(); m.destroy(address(m)); uint256 n = vm.snapshotState(); vm.revertToState(n); report(m); vm.deal(address(m), 2); m.destroy(address(m)); report(m); }
    function testCreate2Back() public { uint256 n = vm.snapshotState(); Mortal m = new Mortal{salt: 0}(); vm.revertToState(n); m = new Mortal{salt: 0}(); m.destroy(address(m)); report(m); }
}
contract LeftTest is Cheating {
    event log_named_uint(string key, uint256 val);
    uint256 snapshot;
    Mortal[8] m;
    Mortal early;
    constructor() { early = new Mortal(); }
    function setUp() public {
        for (uint256 i; i < 8; i++) m[i] = new Mortal{value: 3}();
        m[0].destroy(address(1000));
        m[7].destroy(address(m[7]));
        snapshot = vm.snapshotState();
        m[1].destroy(address(1000));
        vm.revertToState(snapshot);
        m[2].destroy(address(1000));
        m[3].destroy(address(m[3]));
        early.destroy(address(1000));
        vm.revertToState(snapshot);
        m[4].destroy(address(1000));
        m[5].destroy(address(m[5]));
    }
    function show(string memory key, Mortal x) internal { emit log_named_uint(key, address(x).code.length); emit log_named_uint(key, address(x).balance); }
    function all() internal {
        show("0", m[0]); show("1", m[1]); show("2", m[2]); show("3", m[3]); show("4", m[4]); show("5", m[5]); show("6", m[6]); show("7", m[7]); show("early", early);
    }
    function testLeft() public { all(); }
    function testLeftBack() public { vm.revertToState(snapshot); all(); }
    function testBackThenLeave() public { vm.revertToState(snapshot); m[6].destroy(address(m[6])); all(); }
    function testLeaveOld() public { m[6].destroy(address(m[6])); all(); }
    function testBackLater() public { uint256 n = vm.snapshotState(); m[6].destroy(address(m[6])); vm.revertToState(n); all(); }
}
contract SnapshotLastTest is Cheating {
    event log_named_uint(string key, uint256 val);
    Mortal m;
    Mortal o;
    function setUp() public { m = new Mortal{value: 3}(); o = new Mortal{value: 3}(); m.destroy(address(1000)); uint256 n = vm.snapshotState(); vm.revertToState(n); }
    function testRemoved() public { emit log_named_uint("code", address(m).code.length); o.destroy(address(o)); emit log_named_uint("balance", address(o).balance); }
}

contract WordsLeftTest is Cheating, Transient {
    event log_named_uint(string key, uint256 val);
    uint256 n;
    function setUp() public { set(7); n = vm.snapshotState(); }
    function testLater() public { emit log_named_uint("word", get()); set(8); vm.revertToState(n); emit log_named_uint("word", get()); }
}
contract Maker {
    function create() external payable returns (Mortal) { return new Mortal{value: 3}(); }
}
contract DeepTest is Cheating, Transient {
    event log_named_uint(string key, uint256 val);
    function within(Mortal m) external { uint256 n = vm.snapshotState(); vm.revertToState(n); m.destroy(address(m)); revert("undone"); }
    function exchanged(Mortal m) external { uint256 n = vm.snapshotState(); vm.revertToState(n); m.destroy(address(m)); }
    function show(Mortal x) internal { emit log_named_uint("balance", address(x).balance); emit log_named_uint("code", address(x).code.length); }
    function testDeep() public { Mortal m = new Mortal{value: 3}(); this.exchanged(m); show(m); }
    function testUndone() public { Mortal m = new Mortal{value: 3}(); try this.within(m) {} catch {} show(m); m.destroy(address(m)); show(m); }
    function testOther() public { Maker k = new Maker(); Mortal m = k.create{value: 3}(); uint256 n = vm.snapshotState(); vm.revertToState(n); m.destroy(address(m)); show(m); }
    function testEtched() public { Mortal m = new Mortal{value: 3}(); vm.etch(address(0x777), address(m).code); vm.deal(address(0x777), 3); uint256 n = vm.snapshotState(); vm.revertToState(n); Mortal(address(0x777)).destroy(address(0x777)); show(Mortal(address(0x777))); }
    function testWords() public { Held h = new Held(); h.set(1, 5); uint256 n = vm.snapshotState(); h.set(1, 6); h.set(2, 7); vm.revertToState(n); emit log_named_uint("1", h.words(1)); emit log_named_uint("2", h.words(2)); h.set(2, 8); emit log_named_uint("2", h.words(2)); }
}
contract Held {
    mapping(uint256 => uint256) public words;
    function set(uint256 k, uint256 w) external { words[k] = w; }
    function destroy(address to) external { selfdestruct(payable(to)); }
}
contract AgainTest is Cheating {
    event log_named_uint(string key, uint256 val);
    function make() internal returns (Held) { return new Held{salt: 0}(); }
    Held h;
    function setUp() public { h = make(); h.set(1, 5); uint256 n = vm.snapshotState(); vm.revertToState(n); h.destroy(address(1)); }
    function testAgain() public { emit log_named_uint("code", address(h).code.length); h = make(); emit log_named_uint("word", h.words(1)); emit log_named_uint("nonce", vm.getNonce(address(h))); }
}
contract LoadedTest is Cheating {
    event log_named_uint(string key, uint256 val);
    Held h;
    function setUp() public { h = new Held{salt: 0}(); h.set(1, 5); h.destroy(address(1)); uint256 n = vm.snapshotState(); vm.revertToState(n); h.words(1); }
    function testAgain() public { emit log_named_uint("code", address(h).code.length); h = new Held{salt: 0}(); emit log_named_uint("word", h.words(1)); emit log_named_uint("nonce", vm.getNonce(address(h))); }
}
