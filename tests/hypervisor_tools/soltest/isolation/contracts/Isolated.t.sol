pragma solidity ^0.8.28;
interface Vm {
    function prank(address) external;
    function prank(address, address) external;
    function startPrank(address) external;
    function stopPrank() external;
    function expectRevert() external;
    function expectRevert(bytes calldata) external;
    function deal(address, uint256) external;
    function getNonce(address) external view returns (uint64);
    function setNonce(address, uint64) external;
    function fee(uint256) external;
    function txGasPrice(uint256) external;
    function load(address, bytes32) external view returns (bytes32);
    function store(address, bytes32, bytes32) external;
    function expectEmit() external;
    function mockCall(address, bytes calldata, bytes calldata) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256) external returns (bool);
    function snapshotGasLastCall(string calldata) external returns (uint256);
    function cool(address) external;
    function recordLogs() external;
    function warmSlot(address, bytes32) external;
    function etch(address, bytes calldata) external;
    function expectCall(address, bytes calldata) external;
    function coinbase(address) external;
    struct AccessListItem { address target; bytes32[] storageKeys; }
    function accessList(AccessListItem[] calldata) external;
    function noAccessList() external;
    function deployCode(string calldata) external returns (address);
    function setNonceUnsafe(address, uint64) external;
}
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
library console {
    function log(string memory a, uint256 b) internal pure { bytes memory d = abi.encodeWithSignature("log(string,uint256)", a, b); _p(_s)(d); }
    function _s(bytes memory d) private view { address c = 0x000000000000000000636F6e736F6c652e6c6f67; assembly { pop(staticcall(gas(), c, add(d, 32), mload(d), 0, 0)) } }
    function _p(function(bytes memory) view f) private pure returns (function(bytes memory) pure g) { assembly { g := f } }
}
interface ICalled { function called() external; }
contract Store {
    uint256 public x; uint256 public y; mapping(address => uint256) public m; event Did(uint256 n);
    constructor() payable {}
    receive() external payable {}
    function set(uint256 n) external { x = n; }
    function setTwice(uint256 n) external { x = n; x = n + 1; }
    function clear() external { x = 0; }
    function both() external returns (uint256) { x = x + 1; return y + x; }
    function spin(uint256 n) external { for (uint256 i; i < n; ++i) m[address(uint160(i + 1))] = i; }
    function unspin(uint256 n) external { for (uint256 i; i < n; ++i) m[address(uint160(i + 1))] = 0; }
    function tset(uint256 n) external { assembly { tstore(0, n) } }
    function tget() external view returns (uint256 n) { assembly { n := tload(0) } }
    function die(address payable to) external { selfdestruct(to); }
    function boom() external { x = 99; revert("boom"); }
    function burn() external { x = 1; assembly { invalid() } }
    function pay() external payable { y = msg.value; }
    function origin() external view returns (address, address, uint256, uint256) { return (tx.origin, msg.sender, tx.gasprice, block.basefee); }
    function gasleft_() external view returns (uint256) { return gasleft(); }
    function make() external returns (address) { return address(new Small()); }
    function emitIt(uint256 n) external { emit Did(n); }
    function back() external { ICalled(msg.sender).called(); }
    function backThenBoom() external { ICalled(msg.sender).called(); revert("boom"); }
    function deep(uint256 n) external { if (n > 0) this.deep(n - 1); else x = 3; }
    function both2(Store o) external { o.set(5); x = 6; }
    function both3(Store o) external view returns (uint256) { return o.x() + x; }
    function data(bytes calldata) external {}
}
contract Small { uint256 public x; function set(uint256 n) external { x = n; } }
contract Born {
    uint256 public cost;
    constructor() { uint256 n = gasleft(); Store(payable(address(0x5555))).x(); cost = n - gasleft(); }
}
contract Dier { constructor(address payable to) payable { selfdestruct(to); } }
library Lib { function go(Store s) external { s.set(4); s.set(5); } }
contract Test {}
contract IsolatedTest is Test {
    Store s; Store t; uint256 own; uint256 count; event Did(uint256 n);
    function setUp() public { s = new Store(); t = new Store{value: 5}(); t.set(7); own = 1; }
    function test_nothing() public {}
    function test_set() public { s.set(1); }
    function test_setTwice() public { s.set(1); s.set(2); s.set(0); }
    function test_inOne() public { s.setTwice(4); }
    function test_clear() public { t.clear(); }
    function test_clearAgain() public { t.clear(); t.set(7); t.clear(); }
    function test_view() public view { require(t.x() == 7); require(t.x() == 7); }
    function test_viewAfter() public { t.set(8); require(t.x() == 8); t.both(); require(t.y() == 0); }
    function test_spin() public { s.spin(20); s.unspin(20); }
    function test_unspin() public { s.spin(5); s.unspin(5); s.spin(5); }
    function test_transient() public { s.tset(5); console.log("t", s.tget()); require(s.tget() == 0, "transient"); }
    function test_die() public { s.die(payable(address(9))); console.log("code", address(s).code.length); }
    function test_dieSame() public { Store n = new Store{value: 3}(); n.die(payable(address(9))); console.log("code", address(n).code.length); console.log("b", address(9).balance); }
    function test_dieInConstructor() public { address d = address(new Dier{value: 4}(payable(address(9)))); console.log("code", d.code.length); console.log("b", address(9).balance); }
    function test_nonces() public { console.log("n", vm.getNonce(address(this))); new Store(); console.log("n", vm.getNonce(address(this))); s.set(1); console.log("n", vm.getNonce(address(this))); s.make(); console.log("s", vm.getNonce(address(s))); console.log("n", vm.getNonce(address(this))); }
    function test_prankNonce() public { address a = address(0xA11CE); vm.prank(a); s.set(1); console.log("n", vm.getNonce(a)); vm.deal(a, 10); vm.prank(a); s.pay{value: 3}(); console.log("b", a.balance); console.log("n", vm.getNonce(a)); }
    function test_prankCreate() public { address a = address(0xA11CE); vm.prank(a); Store n = new Store(); console.log("a", uint160(address(n))); console.log("n", vm.getNonce(a)); console.log("me", vm.getNonce(address(this))); }
    function test_prankOrigin() public { vm.prank(address(7), address(8)); (address o, address m, uint256 g, uint256 f) = s.origin(); console.log("o", uint160(o)); console.log("m", uint160(m)); console.log("g", g); console.log("f", f); }
    function test_origin() public { (address o, address m, uint256 g, uint256 f) = s.origin(); console.log("o", uint160(o)); console.log("m", uint160(m)); console.log("g", g); console.log("f", f); }
    function test_fees() public { vm.fee(9); vm.txGasPrice(11); (bool ok, bytes memory r) = address(s).call(abi.encodeCall(Store.origin, ())); require(ok); (,, uint256 g, uint256 f) = abi.decode(r, (address, address, uint256, uint256)); console.log("g", g); console.log("f", f); console.log("g", tx.gasprice); console.log("f", block.basefee); }
    function test_revert() public { try s.boom() {} catch {} console.log("x", s.x()); }
    function test_expectRevert() public { vm.expectRevert("boom"); s.boom(); s.set(2); }
    function test_invalid() public { try s.burn{gas: 100000}() {} catch {} s.set(1); }
    function test_lowGas() public { try s.set{gas: 10000}(1) {} catch {} console.log("x", s.x()); }
    function test_lowGas2() public { try s.set{gas: 30000}(1) {} catch {} console.log("x", s.x()); }
    function test_noGas() public { (bool ok,) = address(s).call{gas: 0}(""); console.log("ok", ok ? 1 : 0); }
    function test_pay() public { s.pay{value: 5}(); console.log("y", s.y()); }
    function test_payNew() public { (bool ok,) = address(0x9999).call{value: 1}(""); require(ok); (ok,) = address(0x9999).call{value: 1}(""); require(ok); }
    function test_payToo() public { payable(address(s)).transfer(4); }
    function test_poor() public { vm.deal(address(this), 1); (bool ok,) = address(s).call{value: 5}(""); console.log("ok", ok ? 1 : 0); }
    function test_own() public { own = 2; s.set(1); own = 3; s.set(2); own = 1; }
    function test_ownWarm() public { s.set(1); own = 2; s.set(1); console.log("o", own); }
    function called() external { own = own + 5; ++count; }
    function test_back() public { s.back(); console.log("o", own); own = 0; s.back(); console.log("o", own); console.log("c", count); }
    function test_ownBefore() public { own = 9; s.back(); console.log("o", own); own = 9; count = 1; }
    function self() external { own = 4; }
    function test_this() public { this.self(); own = 5; this.self(); }
    function test_create() public { new Store(); }
    function test_createCall() public { Store n = new Store(); n.set(1); n.set(2); }
    function test_create2() public { Store n = new Store{salt: bytes32(uint256(1))}(); n.set(1); n.set(2); }
    function test_make() public { Store n = Store(payable(s.make())); n.set(1); }
    function test_deep() public { s.deep(5); s.deep(1); }
    function cost() internal returns (uint256) { uint256 before = gasleft(); s.both2(t); return before - gasleft(); }
    function test_accessList() public {
        console.log("none", cost());
        Vm.AccessListItem[] memory list = new Vm.AccessListItem[](1); list[0] = Vm.AccessListItem(address(t), new bytes32[](0)); vm.accessList(list); console.log("address", cost());
        list[0].storageKeys = new bytes32[](2); vm.accessList(list); console.log("slots", cost()); console.log("again", cost());
        uint256 before = gasleft(); new Small(); console.log("creation", before - gasleft()); before = gasleft(); t.x(); console.log("static", before - gasleft());
        vm.noAccessList(); console.log("none", cost());
    }
    function test_library() public { Lib.go(s); s.set(1); }
    function test_emit() public { vm.expectEmit(); emit Did(4); s.emitIt(4); }
    function test_mock() public { vm.mockCall(address(s), abi.encodeWithSignature("x()"), abi.encode(uint256(55))); console.log("x", s.x()); t.both3(s); }
    function test_precompile() public { (bool ok,) = address(2).call("abc"); require(ok); (ok,) = address(2).staticcall("abc"); require(ok); require(sha256("abc") != 0); }
    function test_balances() public view { uint256 b = address(t).balance + address(s).balance; require(b == 5); b = address(t).code.length; require(t.x() == 7); b = address(t).balance; }
    function test_warmAfter() public { t.set(3); require(address(t).balance == 5); (bool ok,) = address(0x1234).call(""); require(ok); require(address(0x1234).balance == 0); }
    function test_two() public { s.both2(t); t.both2(s); }
    function test_snapshot() public { s.set(5); uint256 id = vm.snapshotState(); s.set(6); vm.revertToState(id); console.log("x", s.x()); s.set(7); }
    function test_cheatStore() public { vm.store(address(s), 0, bytes32(uint256(9))); s.set(10); console.log("l", uint256(vm.load(address(s), 0))); s.set(0); }
    function test_data() public { s.data(new bytes(1000)); s.data(abi.encode(type(uint256).max, type(uint256).max)); }
    function test_dataNonzero() public { bytes memory d = new bytes(3000); for (uint256 i; i < 3000; ++i) d[i] = 0x11; s.data(d); }
    function test_gasLast() public { s.set(1); console.log("g", vm.snapshotGasLastCall("one")); s.set(2); console.log("g", vm.snapshotGasLastCall("two")); s.set(0); console.log("g", vm.snapshotGasLastCall("three")); t.x(); console.log("g", vm.snapshotGasLastCall("four")); }
    function test_gasleft() public { uint256 g = gasleft(); s.set(1); console.log("used", g - gasleft()); g = gasleft(); s.set(2); console.log("used", g - gasleft()); g = gasleft(); s.set(0); console.log("used", g - gasleft()); }
    function test_callGas() public { console.log("left", s.gasleft_{gas: 100000}()); (, bytes memory r) = address(s).call{gas: 100000}(abi.encodeCall(Store.gasleft_, ())); console.log("left", abi.decode(r, (uint256))); }
    function test_fail() public { s.set(1); s.boom(); }
    function test_etch() public { vm.etch(address(0x77), address(s).code); Store(payable(address(0x77))).set(4); Store(payable(address(0x77))).set(5); }
    function test_delegate() public { (bool ok,) = address(s).delegatecall(abi.encodeCall(Store.tget, ())); require(ok); s.set(1); }
    function test_expectCall() public { vm.expectCall(address(s), abi.encodeCall(Store.set, (3))); t.both2(s); s.set(3); }
    function test_deployCode() public { vm.etch(address(0x5555), address(s).code); Store(payable(address(0x5555))).x(); uint256 g = gasleft(); address a = vm.deployCode("Isolated.t.sol:Born"); console.log("gas", g - gasleft()); console.log("cost", Born(a).cost()); console.log("n", vm.getNonce(address(this))); }
    function test_deployCodeAfterCall() public { vm.etch(address(0x5555), address(s).code); s.set(3); vm.deployCode("Isolated.t.sol:Born"); s.set(4); uint256 g = gasleft(); s.x(); console.log("gas", g - gasleft()); own = 5; }
    function test_staticThenCall() public { s.x(); s.set(1); uint256 g = gasleft(); uint256 n = address(this).code.length; console.log("gas", g - gasleft()); g = gasleft(); n = address(this).balance; console.log("gas", g - gasleft()); require(n > 0); }
    function test_backReverts() public { own = 9; try s.backThenBoom() {} catch {} uint256 g = gasleft(); own = 1; console.log("gas", g - gasleft()); }
    function test_maximalNonce() public { vm.setNonceUnsafe(address(this), type(uint64).max); uint256 g = gasleft(); (bool ok, bytes memory r) = address(s).call(abi.encodeCall(Store.set, (1))); console.log("gas", g - gasleft()); console.log("ok", ok ? 1 : 0); console.log("r", r.length); console.log("x", s.x()); console.log("n", vm.getNonce(address(this))); }
    function test_lastNonce() public { vm.setNonceUnsafe(address(this), type(uint64).max - 1); s.set(1); console.log("n", vm.getNonce(address(this))); (bool ok,) = address(s).call(abi.encodeCall(Store.set, (2))); console.log("ok", ok ? 1 : 0); console.log("x", s.x()); }
    function testFuzz_set(uint256 n) public { s.set(n); require(s.x() == n); t.set(n); }
}
/// forge-config: default.isolate = false
contract PlainTest {
    Store s;
    function setUp() public { s = new Store(); }
    function test_set() public { s.set(1); s.set(2); }
    function test_transient() public { s.tset(5); require(s.tget() == 5, "transient"); }
    /// forge-config: default.isolate = true
    function test_inline() public { s.tset(5); require(s.tget() == 0, "transient"); }
}
contract Exchanger {
    function removedBefore() external returns (uint256) { uint256 n = vm.snapshotState(); Store s = new Store(); s.die(payable(address(1))); vm.revertToState(n); return address(s).code.length; }
    function removedThere() external returns (uint256) { Store s = new Store(); s.die(payable(address(1))); uint256 n = vm.snapshotState(); vm.revertToState(n); return address(s).code.length; }
}
contract ExchangedTest is Test {
    Exchanger e;
    function setUp() public { e = new Exchanger(); }
    function test_removedBefore() public { console.log("code", e.removedBefore()); }
    function test_removedThere() public { console.log("code", e.removedThere()); }
}
