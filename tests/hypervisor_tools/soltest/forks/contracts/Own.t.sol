pragma solidity ^0.8.20;
import {Vm, vm, console} from "./Vm.sol";
import {Counter} from "./Counter.sol";

/// What is otherwise than in forge 1.7.1, on purpose.
contract OwnForks {
    Counter constant C = Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3);
    uint256 a; uint256 b;
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second", 3); }
    function inner() external { vm.selectFork(b); C.set(123); revert("x"); }
    /// forge stays on the fork that a call has selected which reverted, and keeps what it wrote there.
    function test_revertedSelection() public {
        vm.selectFork(a); uint256 chain = block.chainid; C.set(8); try this.inner() {} catch {}
        require(vm.activeFork() == a && C.number() == 8, "the selection was not taken back");
        require(block.chainid == chain && block.number == 7, "the block was not taken back");
        vm.selectFork(b); require(C.number() == 86020, "what was written was not taken back");
        require(block.chainid == 777 && block.number == 3, "the other block");
    }
    function roll() external { vm.rollFork(1); require(block.number == 1, "rolled"); revert("x"); }
    function rollOther() external { vm.rollFork(b, 1); revert("x"); }
    /// And the block that a call has rolled to, of the active fork or of another.
    function test_revertedRoll() public {
        vm.selectFork(a); uint256 time = block.timestamp; C.set(8); try this.roll() {} catch {}
        require(block.number == 7 && block.timestamp == time && C.number() == 8, "the roll was not taken back");
        try this.rollOther() {} catch {}
        vm.selectFork(b); require(block.number == 3 && C.number() == 86020, "the other's roll was not taken back");
        vm.selectFork(a); require(block.number == 7 && C.number() == 8, "what was left is lost");
    }
    function select(uint256 f) external { vm.selectFork(f); require(C.number() == 86014, "not executed"); revert("x"); }
    function expected(uint256 f) external { vm.expectRevert(bytes("x")); this.select(f); }
    /// And the transactions that a fork begins with are executed when it is selected again.
    function test_revertedPending() public {
        uint256 f = vm.createFork("first", vm.envBytes32("TX2")); vm.selectFork(b);
        try this.select(f) { revert("passed"); } catch {}
        require(vm.activeFork() == b && block.chainid == 777 && block.number == 3, "the selection was not taken back");
        this.expected(f); require(block.number == 3, "an expected revert is one, too");
        uint256 snapshot = vm.snapshotState(); vm.selectFork(f); vm.revertToState(snapshot);
        require(block.number == 3 && C.number() == 86020, "the snapshot's fork");
        vm.selectFork(f); require(C.number() == 86014 && block.number == 6, "the pending transactions are lost");
    }
    function begin() external { vm.createSelectFork("second", 3); revert("x"); }
    /// And a fork that is created and selected for the first time.
    function test_revertedFirst() public {
        (uint256 chain, uint256 number) = (block.chainid, block.number); try this.begin() {} catch {}
        require(block.chainid == chain && block.number == number, "the first block"); vm.selectFork(2);
        require(block.chainid == 777 && C.number() == 86020, "the fork was made");
    }
    /// forge checks the chain id of the fork that is active.
    function test_transactOnAnother() public {
        uint256 f = vm.createFork("first", 5); vm.selectFork(b); vm.transact(f, vm.envBytes32("TX1"));
        require(vm.activeFork() == b && block.chainid == 777 && block.number == 3, "another fork is active");
        vm.selectFork(f); require(C.number() == 86013, "not executed");
    }
    /// forge's forks share one block between tests, and these two would disturb each other.
    function test_rolled() public { vm.selectFork(a); require(block.number == 7, "rolled"); vm.roll(50); }
    function test_rolledToo() public { vm.selectFork(a); require(block.number == 7, "rolled"); vm.roll(50); }
    function test_deadNode() public { vm.createSelectFork("http://127.0.0.1:9"); }
    function test_badParameters() public { vm.rpc("first", "eth_chainId", "{"); }
    function test_noArray() public { vm.rpc("first", "eth_chainId", "{}"); }
    function test_persistentCode() public {
        vm.selectFork(a); vm.makePersistent(address(C)); C.set(0);
        vm.selectFork(b); require(C.number() == 0, "a zero that was written is carried");
    }
    function test_header() public { vm.selectFork(a); vm.getRawBlockHeader(3); }
    function test_json() public { require(keccak256(bytes(vm.rpcJson("eth_chainId", "[]"))) == 0, "no fork"); }
}

/// Where there was no fork before the call that reverts.
contract OwnForksFirst {
    function begin() external { vm.createSelectFork("second", 3); revert("x"); }
    function test_reverted() public {
        (uint256 chain, uint256 number, uint256 time) = (block.chainid, block.number, block.timestamp);
        try this.begin() {} catch {}
        require(block.chainid == chain && block.number == number && block.timestamp == time, "the block was not taken back");
        vm.selectFork(0); require(block.chainid == 777 && block.number == 3, "the fork was made");
    }
}

/// On a fork of a network under Filecoin's rules, whose actors are the network's own.
contract FilecoinFork {
    Counter c; uint256 x;
    function setUp() public { c = Counter(vm.envAddress("COUNTER")); x = c.number(); }
    function test_state() public {
        require(c.number() == 42, "number"); require(block.number == vm.envUint("EPOCH"), "epoch"); require(block.chainid == vm.envUint("CHAIN"), "chain");
        require(address(bytes20(hex"ff00000000000000000000000000000000000002")).balance == vm.envUint("REWARD"), "reward actor");
        c.set(7); require(c.number() == 7 && c.seen(address(this)) == 7, "written"); vm.deal(address(5), 3); require(address(5).balance == 3, "dealt");
    }
    function test_again() public { require(c.number() == 42 && x == 42, "another test has written"); new Counter(); }
    function test_forks() public {
        require(vm.activeFork() == 0, "the run's"); c.set(7); uint256 f = vm.createFork("first"); vm.selectFork(f);
        require(f == 1 && c.number() == 42 && x == 42, "a fork of its own"); c.set(8);
        vm.selectFork(0); require(c.number() == 7, "left with 7"); vm.selectFork(f); require(c.number() == 8, "left with 8");
        vm.rollFork(0, uint256(0)); vm.selectFork(0); require(address(c).code.length == 0, "before it was created");
    }
}

/// On a fork of a node that answers what it should not.
contract HostileFork {
    function test_word() public { vm.createSelectFork("hostile"); Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3).number(); }
}
