pragma solidity ^0.8.20;
import {Vm, vm, console} from "./Vm.sol";
import {Counter} from "./Counter.sol";
contract UrlTest {
    Counter constant C = Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3);
    address constant DEV = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    uint256 x; Counter mine;
    function setUp() public { x = 4; mine = new Counter(); mine.set(6); C.set(99); }
    function test_env() public {
        console.log("active", vm.activeFork()); console.log("number", block.number); console.log("chain", block.chainid);
                console.log("n", C.number()); console.log("mine", mine.number());
        console.log("me", uint160(address(this))); console.log("myb", address(this).balance); console.log("sender", uint160(msg.sender));
        console.log("nonce", vm.getNonce(address(this)));
    }
    function test_other() public { uint256 f = vm.createSelectFork("second"); console.log("f", f); console.log("n", C.number()); console.log("x", x); console.log("m", address(mine).code.length); vm.selectFork(0); console.log("n", C.number()); console.log("mine", mine.number()); }
    function test_roll() public { vm.rollFork(2); console.log("n", C.number()); console.log("m", address(mine).code.length); console.log("b", block.number); }
    function test_set() public { C.set(1); console.log("n", C.number()); }
    function test_gasless() public { payable(DEV).transfer(1); }
    function testFuzz_set(uint256 n) public { C.set(n); require(C.number() == n); require(C.seen(DEV) == 86010); }
}
