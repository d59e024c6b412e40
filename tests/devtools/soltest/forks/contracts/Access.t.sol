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
