pragma solidity ^0.8.20;
import {Vm, vm, console} from "./Vm.sol";
contract Caller { function go() external { vm.roll(77); } function deep(Caller c) external { c.go(); } }
contract Maker { function make() external { new Caller().go(); } }
contract AccessTest {
    Caller constant K = Caller(address(0x7777)); Caller early;
    function setUp() public { early = new Caller(); vm.createSelectFork("first"); vm.etch(address(K), type(Caller).runtimeCode); }
    function test_refused() public { K.go(); }
    function test_allowed() public { vm.allowCheatcodes(address(K)); K.go(); console.log("b", block.number); }
    function test_persistent() public { vm.makePersistent(address(K)); K.go(); console.log("b", block.number); }
    function test_created() public { Caller c = new Caller(); c.go(); console.log("b", block.number); }
    function test_early() public { early.go(); console.log("b", block.number); }
    function test_make() public { Maker m = Maker(address(0x8888)); vm.etch(address(m), type(Maker).runtimeCode); m.make(); }
    function test_load() public { console.log("x", uint256(vm.load(address(K), 0))); }
    function test_revoked() public { vm.makePersistent(address(K)); vm.revokePersistent(address(K)); K.go(); console.log("b", block.number); }
}
contract NoForkTest { function test_noFork() public { Caller k = Caller(address(0x7777)); vm.etch(address(k), type(Caller).runtimeCode); k.go(); console.log("b", block.number); } }
contract WrittenTest {
    address constant C = 0x5FbDB2315678afecb367f032d93F642f64180aa3; address constant DEV = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    uint256 a; uint256 b;
    function number() internal returns (uint256 n) { (bool ok, bytes memory r) = C.call(abi.encodeWithSignature("number()")); require(ok); n = abi.decode(r, (uint256)); }
    function set(uint256 n) internal { (bool ok, ) = C.call(abi.encodeWithSignature("set(uint256)", n)); require(ok); }
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second"); vm.selectFork(b); set(0); vm.selectFork(a); set(0); vm.deal(address(9), 4); }
    function test_zeroStays() public { console.log("n", number()); vm.selectFork(b); console.log("n", number()); vm.selectFork(a); console.log("n", number()); console.log("d", address(9).balance); }
    function test_overZero() public { set(3); console.log("n", number()); vm.selectFork(b); set(4); vm.selectFork(a); console.log("n", number()); }
    function test_undone() public { uint256 s = vm.snapshotState(); vm.deal(DEV, 5); vm.deal(address(9), 6); vm.revertToState(s); console.log("dev", DEV.balance > 9999 ether ? 1 : 0); console.log("d", address(9).balance); }
}
