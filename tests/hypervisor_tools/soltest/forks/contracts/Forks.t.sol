pragma solidity ^0.8.20;
import {Vm, vm, console} from "./Vm.sol";
import {Counter} from "./Counter.sol";
contract Held { uint256 public x = 7; function setX(uint256 n) external { x = n; } }
contract ForksTest {
    Counter constant C = Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3);
    address constant DEV = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    uint256 a; uint256 b; Held early;
    bytes32 tx2;
    function setUp() public {
        tx2 = vm.envBytes32("TX2");
        early = new Held();
        a = vm.createFork("first");
        b = vm.createFork("second", 3);
    }
    function test_ids() public { console.log("a", a); console.log("b", b); console.log("n", block.number); console.log("c", block.chainid); }
    function test_noActive() public { vm.activeFork(); }
    function test_unknownFork() public { vm.selectFork(9); }
    function test_rollNoActive() public { vm.rollFork(1); }
    function test_rpcNoActive() public { vm.rpc("eth_blockNumber", "[]"); }
    function test_badAlias() public { vm.createFork("nowhere"); }
    function test_missingEnv() public { vm.createFork("missing"); }
    function test_future() public { vm.createFork("first", 999999); }
    function test_futureSelect() public { vm.createSelectFork("first", 999999); }
    function test_select() public {
        vm.selectFork(a);
        console.log("active", vm.activeFork()); console.log("number", block.number); console.log("chain", block.chainid);
        console.log("limit", block.gaslimit > 0 ? 1 : 0);
        console.log("coinbase", uint160(address(block.coinbase))); require(block.timestamp > 1, "time");
        console.log("c", C.number()); console.log("bal", address(C).balance); console.log("seen", C.seen(DEV));
        console.log("nonce", vm.getNonce(DEV)); require(DEV.balance > 9999 ether && DEV.balance < 10000 ether, "balance");
        require(blockhash(block.number - 1) == vm.envBytes32("HASH6"), "hash"); require(blockhash(block.number) == 0, "own hash");
        console.log("self", address(this).balance);
        console.log("code", address(C).code.length); console.log("early", address(early).code.length);
    }
    function test_two() public {
        vm.selectFork(a); C.set(1); console.log("a", C.number());
        vm.selectFork(b); console.log("b", C.number()); console.log("chain", block.chainid); C.set(2);
        vm.selectFork(a); console.log("a", C.number()); console.log("b0", C.seen(DEV));
        C.set(0); console.log("zero", C.number());
        vm.selectFork(b); console.log("b", C.number());
        vm.selectFork(a); console.log("zero", C.number());
    }
    function test_persist() public {
        vm.selectFork(a); Held h = new Held(); h.setX(9);
        console.log("p", vm.isPersistent(address(h)) ? 1 : 0); console.log("pt", vm.isPersistent(address(this)) ? 1 : 0); console.log("pd", vm.isPersistent(DEV) ? 1:0);
        vm.makePersistent(address(h));
        vm.selectFork(b); console.log("x", h.x()); h.setX(11);
        vm.selectFork(a); console.log("x", h.x());
        vm.revokePersistent(address(h)); h.setX(12);
        vm.selectFork(b); console.log("x", h.x());
    }
    function test_notPersistent() public {
        vm.selectFork(a); Held h = new Held();
        vm.selectFork(b); console.log("len", address(h).code.length); h.x();
    }
    function test_earlyGone() public { vm.selectFork(a); early.x(); }
    function test_createdBefore() public { Held h = new Held(); vm.selectFork(a); console.log("x", h.x()); vm.selectFork(b); console.log("x", h.x()); }
    function test_remotePersistent() public {
        vm.selectFork(a); C.bump(); vm.makePersistent(address(C));
        vm.selectFork(b); console.log("n", C.number()); console.log("seen", C.seen(DEV));
    }
    function test_roll() public {
        vm.selectFork(a); C.set(5); uint256 t = block.timestamp; vm.rollFork(3); console.log("n", C.number()); console.log("bn", block.number); require(t >= block.timestamp, "time");
        vm.rollFork(b, 2); vm.selectFork(b); console.log("n", C.number()); console.log("bn", block.number);
    }
    function test_rollDown() public { vm.selectFork(a); vm.rollFork(999999); }
    function test_rollTx() public { vm.selectFork(a); vm.rollFork(tx2); console.log("n", C.number()); console.log("bn", block.number); console.log("nonce", vm.getNonce(DEV)); }
    function test_createTx() public { uint256 f = vm.createFork("first", tx2); vm.selectFork(f); console.log("n", C.number()); console.log("bn", block.number); }
    function test_createSelectTx() public { vm.createSelectFork("first", tx2); console.log("n", C.number()); console.log("bn", block.number); console.log("nonce", vm.getNonce(DEV)); }
    function test_transact() public { vm.selectFork(vm.createFork("first", 5)); console.log("n", C.number()); vm.transact(vm.envBytes32("TX1")); console.log("n", C.number()); console.log("bn", block.number); console.log("nonce", vm.getNonce(DEV)); vm.transact(tx2); console.log("n", C.number()); }
    function test_transactUnknown() public { vm.selectFork(a); vm.transact(bytes32(uint256(5))); }
    function test_rollEnv() public {
        uint256 f = vm.createSelectFork("first", 4); vm.roll(100); vm.warp(5); vm.selectFork(b); console.log("bn", block.number); vm.selectFork(f); console.log("bn", block.number); console.log("t", block.timestamp);
    }
    function test_rpc() public {
        vm.selectFork(a); bytes memory r = vm.rpc("eth_getBalance", "[\"0x5FbDB2315678afecb367f032d93F642f64180aa3\", \"latest\"]");
        console.log("len", r.length); console.log("v", uint8(r[0]));
        r = vm.rpc("eth_getStorageAt", "[\"0x5FbDB2315678afecb367f032d93F642f64180aa3\", \"0x0\", \"0x3\"]"); console.log("len", r.length);
        r = vm.rpc("second", "eth_chainId", "[]"); console.log("len", r.length); console.log("c", uint8(r[0]));
                r = vm.rpc("eth_syncing", "[]"); console.log("len", r.length);
        r = vm.rpc("eth_accounts", "[]"); console.log("len", r.length);
    }
    function test_rpcError() public { vm.rpc("first", "eth_nothing", "[]"); }
    function test_logs() public {
        vm.selectFork(a); bytes32[] memory t = new bytes32[](0);
        Vm.EthGetLogs[] memory l = vm.eth_getLogs(1, 7, address(C), t); console.log("logs", l.length);
        console.log("bn", l[0].blockNumber); console.log("t", uint256(l[0].topics[0])); console.log("d", l[0].data.length); console.log("i", l[1].logIndex);
        t = new bytes32[](1); t[0] = bytes32(uint256(1)); console.log("none", vm.eth_getLogs(1, 7, address(C), t).length);
    }
    function test_logsMany() public { vm.selectFork(a); vm.eth_getLogs(1, 2, address(C), new bytes32[](5)); }
    function test_logsNoFork() public { vm.eth_getLogs(1, 2, address(C), new bytes32[](0)); }
    function test_snapshot() public {
        vm.selectFork(a); C.set(50); uint256 s = vm.snapshotState(); vm.selectFork(b); C.set(60); vm.revertToState(s);
        console.log("active", vm.activeFork()); console.log("n", C.number()); console.log("bn", block.number);
    }
    function test_cheats() public {
        vm.selectFork(a); vm.deal(DEV, 5); vm.store(address(C), bytes32(0), bytes32(uint256(77))); console.log("n", C.number()); console.log("b", DEV.balance);
        vm.prank(DEV); C.set(3); console.log("seen", C.seen(DEV)); vm.etch(address(C), hex"00"); console.log("l", address(C).code.length);
        vm.selectFork(b); console.log("n", C.number()); console.log("b", DEV.balance > 5 ? 1 : 0);
    }
    function test_same() public { uint256 f = vm.createFork("second", 3); console.log("f", f); vm.selectFork(b); C.set(4); vm.selectFork(f); console.log("n", C.number()); C.set(0); vm.selectFork(b); console.log("n", C.number()); }
    function testFuzz_fork(uint64 n) public { vm.selectFork(a); C.set(n); require(C.number() == n); vm.selectFork(b); require(C.number() == 86020); }
    function test_expect() public { vm.expectRevert(bytes("x")); this.boom(); }
    function boom() external pure { revert("x"); }
    function test_url() public { require(bytes(vm.rpcUrl("second")).length > 10, "url"); vm.rpcUrl("nope"); }
    function test_urlEnv() public { vm.rpcUrl("missing"); }
    function test_bigBlock() public { vm.createFork("first", 1 << 70); }
}
contract SetUpFork {
    Counter constant C = Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3);
    Held h; uint256 a; uint256 b;
    function setUp() public { h = new Held(); a = vm.createSelectFork("first", 3); C.set(42); b = vm.createFork("second"); h.setX(5); }
    function test_a() public { console.log("n", C.number()); console.log("x", h.x()); console.log("f", vm.activeFork()); console.log("bn", block.number); vm.selectFork(b); console.log("n", C.number()); console.log("x", h.x()); vm.selectFork(a); console.log("n", C.number()); }
    function test_b() public { console.log("n", C.number()); C.set(1); }
}
