pragma solidity ^0.8.24;
import {vm} from "./Vm.sol";
// What a call has beside the state of each fork: transient words, and new and destroyed contracts.
contract Mortal {
    constructor() payable {}
    function destroy(address to) external { selfdestruct(payable(to)); }
}
contract Transient {
    function set(uint256 w) public { assembly { tstore(1, w) } }
    function get() public view returns (uint256 w) { assembly { w := tload(1) } }
}
contract OfForksTest is Transient {
    event log_named_uint(string key, uint256 val);
    uint256 a; uint256 b;
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second"); }
    function say() internal { emit log_named_uint("word", get()); }
    function report(Mortal m) internal { emit log_named_uint("balance", address(m).balance); emit log_named_uint("code", address(m).code.length); }
    function testFirst() public { set(7); vm.selectFork(a); say(); set(8); vm.selectFork(b); say(); set(9); vm.selectFork(a); say(); vm.selectFork(b); say(); }
    function testSame() public { vm.selectFork(a); set(7); vm.selectFork(a); say(); }
    function testRoll() public { vm.selectFork(a); set(7); vm.rollFork(3); say(); }
    function testRollOfFirst() public { set(5); vm.selectFork(a); set(7); vm.rollFork(3); say(); }
    function testCreateFork() public { set(7); vm.createFork("first"); say(); }
    function testCreateSelect() public { set(7); vm.createSelectFork("first"); say(); }
    function testBack() public { vm.selectFork(a); set(7); uint256 n = vm.snapshotState(); vm.selectFork(b); set(8); vm.revertToState(n); say(); }
    function testOther() public { Transient t = new Transient(); vm.makePersistent(address(t)); t.set(7); vm.selectFork(a); emit log_named_uint("other", t.get()); t.set(8); vm.selectFork(b); emit log_named_uint("other", t.get()); vm.selectFork(a); emit log_named_uint("other", t.get()); }
    function testBurnsSelect() public { Mortal m = new Mortal{value: 3}(); vm.makePersistent(address(m)); vm.selectFork(a); m.destroy(address(m)); report(m); }
    function testBurnsOn() public { vm.selectFork(a); Mortal m = new Mortal{value: 3}(); m.destroy(address(m)); report(m); }
    function testBurnsSelectUnkept() public { Mortal m = new Mortal{value: 3}(); vm.selectFork(a); m.destroy(address(m)); report(m); vm.selectFork(b); report(m); }
    function testBurnsThere() public { vm.selectFork(a); Mortal m = new Mortal{value: 3}(); vm.selectFork(b); vm.selectFork(a); m.destroy(address(m)); report(m); }
    function testBurnsRoll() public { vm.selectFork(a); Mortal m = new Mortal{value: 3}(); vm.makePersistent(address(m)); vm.rollFork(3); m.destroy(address(m)); report(m); }
}
contract LeftOnForksTest {
    event log_named_uint(string key, uint256 val);
    Mortal m0; Mortal m1; Mortal m2; Mortal m3; uint256 a; uint256 b;
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second");
        m0 = new Mortal(); m1 = new Mortal(); vm.makePersistent(address(m0)); vm.makePersistent(address(m1));
        m0.destroy(address(1000)); vm.selectFork(a); m1.destroy(address(1000)); m2 = new Mortal(); m3 = new Mortal(); m2.destroy(address(1000)); vm.selectFork(b); vm.selectFork(a); m3.destroy(address(1000));
    }
    function show(string memory key, Mortal x) internal { emit log_named_uint(key, address(x).code.length); }
    function testLeft() public { show("0", m0); show("1", m1); show("2", m2); show("3", m3); vm.selectFork(b); show("2", m2); show("3", m3); }
}

contract StaleTest is Transient {
    event log_named_uint(string key, uint256 val);
    uint256 a; uint256 b; Mortal m;
    function setUp() public { a = vm.createSelectFork("first"); b = vm.createFork("second"); set(7); m = new Mortal{value: 3}(); vm.selectFork(b); set(8); }
    function testWords() public { emit log_named_uint("word", get()); vm.selectFork(a); emit log_named_uint("word", get()); vm.selectFork(b); emit log_named_uint("word", get()); }
    function testBurns() public { vm.selectFork(a); m.destroy(address(m)); emit log_named_uint("balance", address(m).balance); }
}
contract EarlyTest {
    event log_named_uint(string key, uint256 val);
    uint256 a; uint256 b; Mortal m;
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second"); m = new Mortal{value: 3}(); }
    function testLoaded() public { emit log_named_uint("balance", address(m).balance); vm.selectFork(a); emit log_named_uint("balance", address(m).balance); }
    function testUnloaded() public { vm.selectFork(a); emit log_named_uint("balance", address(m).balance); }
}
