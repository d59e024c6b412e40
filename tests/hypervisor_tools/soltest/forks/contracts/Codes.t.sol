pragma solidity ^0.8.20;
interface Vm {
    struct Chain { string name; uint256 chainId; string chainAlias; string rpcUrl; }
    function cool(address) external; function coolSlot(address, bytes32) external;
    function getChain(string calldata) external view returns (Chain memory);
    function getChain(uint256) external view returns (Chain memory);
    function setEvmVersion(string calldata) external; function getEvmVersion() external returns (string memory);
    function executeTransaction(bytes calldata) external returns (bytes memory);
    function broadcastRawTransaction(bytes calldata) external;
    function setArbitraryStorage(address) external; function setArbitraryStorage(address, bool) external;
    function getRawBlockHeader(uint256) external view returns (bytes memory);
    function createSelectFork(string calldata) external returns (uint256);
    function deal(address, uint256) external;
    function toString(address) external returns (string memory);
    function getNonce(address) external view returns (uint64);
    function load(address, bytes32) external view returns (bytes32);
    function store(address, bytes32, bytes32) external;
    function copyStorage(address, address) external;
    function startSnapshotGas(string calldata) external; function stopSnapshotGas() external returns (uint256);
    function roll(uint256) external;
    function prank(address) external;
    function expectSafeMemory(uint64, uint64) external; function startDebugTraceRecording() external;
    function isImplicitlyApproved(address) external view returns (bool); function getStorageSlots(address, string calldata) external view returns (uint256[] memory);
}
library console {
    function log(string memory a) internal view { _s(abi.encodeWithSignature("log(string)", a)); }
    function log(string memory a, uint256 b) internal view { _s(abi.encodeWithSignature("log(string,uint256)", a, b)); }
    function log(string memory a, string memory b) internal view { _s(abi.encodeWithSignature("log(string,string)", a, b)); }
    function _s(bytes memory d) private view { address c = 0x000000000000000000636F6e736F6c652e6c6f67; assembly { pop(staticcall(gas(), c, add(d, 32), mload(d), 0, 0)) } }
}
contract S { uint256 public a = 1; uint256 public b; mapping(uint256 => uint256) public m; function set(uint256 n) external { a = n; } function clz(uint256 x) external view returns (uint256 r) { assembly { r := basefee() } } }
contract CodesTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    S s;
    function setUp() public { s = new S(); }
    function g() internal returns (uint256) { uint256 b = gasleft(); s.a(); return b - gasleft(); }
    function test_cool() public { console.log("1", g()); console.log("2", g()); vm.cool(address(s)); console.log("3", g()); s.set(9); vm.cool(address(s)); console.log("a", s.a()); }
    function test_coolSlot() public { console.log("1", g()); console.log("2", g()); vm.coolSlot(address(s), bytes32(0)); console.log("3", g()); s.set(9); vm.coolSlot(address(s), bytes32(0)); console.log("a", s.a()); }
    function test_coolStranger() public { vm.cool(address(0x1234)); vm.coolSlot(address(0x1234), bytes32(uint256(1))); }
    function one(string memory n) internal { Vm.Chain memory c = vm.getChain(n); console.log(c.name, c.chainId); console.log(c.chainAlias, c.rpcUrl); }
    function two(uint256 n) internal { Vm.Chain memory c = vm.getChain(n); console.log(c.name, c.chainId); console.log(c.chainAlias, c.rpcUrl); }
    function test_chain1() public { one("mainnet"); }
    function test_chain2() public { two(1); }
    function test_chain3() public { two(314); }
    function test_chain4() public { two(314159); }
    function test_chain6() public { one("nowhere"); }
    function test_chain7() public { two(31337); }
    function test_chain8() public { two(987654321); }
    function test_chain9() public { two(11155111); two(10); two(8453); two(42161); two(137); two(17000); two(560048); }
    function test_chainA() public { one("anvil"); }
    function test_chainB() public { one(""); }
    function test_chainC() public { one("sepolia"); one("base"); }
    function test_evm() public { console.log(vm.getEvmVersion()); vm.setEvmVersion("cancun"); console.log(vm.getEvmVersion()); vm.setEvmVersion("osaka"); console.log(vm.getEvmVersion()); (bool ok, bytes memory r) = address(new Raw(hex"60011e60005260206000f3")).call(""); console.log("ok", ok ? 1 : 0); vm.setEvmVersion("prague"); (ok, r) = address(new Raw(hex"60011e60005260206000f3")).call(""); console.log("ok", ok ? 1 : 0); }
    function test_evm2() public { vm.setEvmVersion("nothing"); }
    function test_evm3() public { vm.setEvmVersion("london"); console.log(vm.getEvmVersion()); }
    function test_arb() public { S t = new S(); vm.setArbitraryStorage(address(t)); console.log("a", t.a()); uint256 x = t.b(); console.log("nz", x != 0 ? 1 : 0); console.log("same", x == t.b() ? 1 : 0); console.log("l", uint256(vm.load(address(t), bytes32(uint256(1)))) == x ? 1 : 0); console.log("m", t.m(4) != 0 && t.m(4) == t.m(4) ? 1 : 0); t.set(4); console.log("a", t.a());  uint256 b = gasleft(); t.m(7); console.log("g", b - gasleft()); }
    function test_arbOver() public { S t = new S(); vm.setArbitraryStorage(address(t), true); uint256 x = t.a(); console.log("a", x != 1 ? 1 : 0); t.set(7); console.log("a", t.a()); }
    function test_arbOver2() public { vm.setArbitraryStorage(address(s), true); uint256 x = s.a(); console.log("a", x != 1 ? 1 : 0); s.set(7); console.log("a", s.a()); }
    function test_exec() public { address f = 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf; vm.deal(f, 1 ether); bytes memory r = vm.executeTransaction(hex"02f866827a6980010a82520894000000000000000000000000000000000000beef8203e880c080a076c087c5171f99932cf0ad4bdb583b8a592441a93b7cc098d47067adc4c23455a056e1fa41c34a79b959f15c28ecc90017fc1f93b42fac5054197a20c8c0b611ef"); console.log("r", r.length); console.log("b", address(0xBEEF).balance); console.log("n", vm.getNonce(f)); console.log("f", f.balance); }
    function test_execPoor() public { vm.executeTransaction(hex"02f866827a6980010a82520894000000000000000000000000000000000000beef8203e880c080a076c087c5171f99932cf0ad4bdb583b8a592441a93b7cc098d47067adc4c23455a056e1fa41c34a79b959f15c28ecc90017fc1f93b42fac5054197a20c8c0b611ef"); }
    function test_execBad() public { vm.executeTransaction(hex"0102"); }
    function test_broadcastRaw() public { address f = 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf; vm.deal(f, 1 ether); vm.broadcastRawTransaction(hex"02f866827a6980010a82520894000000000000000000000000000000000000beef8203e880c080a076c087c5171f99932cf0ad4bdb583b8a592441a93b7cc098d47067adc4c23455a056e1fa41c34a79b959f15c28ecc90017fc1f93b42fac5054197a20c8c0b611ef"); console.log("b", address(0xBEEF).balance); console.log("n", vm.getNonce(f)); console.log("f", f.balance); }
    function test_headerNone() public { vm.getRawBlockHeader(3); }
}
contract Raw { constructor(bytes memory c) { assembly { return(add(c, 32), mload(c)) } } }
