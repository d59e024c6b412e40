// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract Now { function all() external view returns (uint256, uint256, uint256, uint256, uint256, address) { return (block.timestamp, block.number, block.chainid, block.basefee, block.prevrandao, block.coinbase); } }
contract EnvTest is Cheating {
    function testDefaults() public { vm.assertEq(block.timestamp, 1); vm.assertEq(block.number, 1); vm.assertEq(block.chainid, 31337); vm.assertEq(block.basefee, 0); vm.assertEq(block.prevrandao, 0); vm.assertEq(block.coinbase, address(0)); vm.assertEq(tx.gasprice, 0); vm.assertEq(block.gaslimit, 1073741824); vm.assertEq(address(this).balance, 2**96-1); vm.assertEq(msg.sender, 0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38); vm.assertEq(tx.origin, msg.sender); }
    function testWarp() public { vm.warp(100); vm.assertEq(block.timestamp, 100); (uint256 t,,,,,) = new Now().all(); vm.assertEq(t, 100); vm.warp(105); vm.assertEq(vm.getBlockTimestamp(), 105); vm.warp(95); vm.assertEq(block.timestamp, 95); }
    function testRoll() public { vm.roll(100); vm.assertEq(block.number, 100); vm.assertEq(vm.getBlockNumber(), 100); vm.assertEq(blockhash(99), keccak256("99")); vm.assertEq(blockhash(100), 0); }
    function testSetHash() public { vm.roll(100); vm.setBlockhash(98, bytes32(uint256(7))); vm.assertEq(blockhash(98), bytes32(uint256(7))); }
    function testSetHashBad() public { vm.setBlockhash(98, bytes32(uint256(7))); }
    function testChain() public { vm.chainId(99); vm.assertEq(block.chainid, 99); (,,uint256 c,,,) = new Now().all(); vm.assertEq(c, 99); vm.assertEq(vm.getChainId(), 99); }
    function testChainBad() public { vm.chainId(2**64); }
    function testFee() public { vm.fee(99); vm.assertEq(block.basefee, 99); }
    function testRandao() public { vm.prevrandao(bytes32(uint256(42))); vm.assertEq(block.prevrandao, 42); vm.prevrandao(uint256(43)); vm.assertEq(block.prevrandao, 43); (,,,,uint256 r,) = new Now().all(); vm.assertEq(r, 43); }
    function testDifficulty() public { vm.difficulty(3); }
    function testCoinbase() public { vm.coinbase(address(5)); vm.assertEq(block.coinbase, address(5)); }
    function testGasPrice() public { vm.txGasPrice(9); vm.assertEq(tx.gasprice, 9); }
    function testDeal() public { vm.deal(address(1234), 5 ether); vm.assertEq(address(1234).balance, 5 ether); vm.deal(address(1234), 1); vm.assertEq(address(1234).balance, 1); }
    function testEtch() public { Now n = new Now(); vm.etch(address(1234), address(n).code); (uint256 t,,,,,) = Now(address(1234)).all(); vm.assertEq(t, 1); }
    function testEtchPrecompile() public { vm.etch(address(1), hex"00"); }
    function testStore() public { vm.store(address(1234), bytes32(uint256(1)), bytes32(uint256(5))); vm.assertEq(vm.load(address(1234), bytes32(uint256(1))), bytes32(uint256(5))); }
    uint256 mine = 5;
    function testStoreMine() public { uint256 s; assembly { s := mine.slot } vm.store(address(this), bytes32(s), bytes32(uint256(77))); vm.assertEq(mine, 77); mine = 78; vm.assertEq(uint256(vm.load(address(this), bytes32(s))), 78); }
    function testLoadPrecompile() public { vm.load(address(1), 0); }
    function testNonce() public { vm.assertEq(vm.getNonce(address(1234)), 0); vm.setNonce(address(1234), 5); vm.assertEq(vm.getNonce(address(1234)), 5); }
    function testNonceDown() public { vm.setNonce(address(1234), 5); vm.setNonce(address(1234), 4); }
    function testNonceUnsafe() public { vm.setNonce(address(1234), 5); vm.setNonceUnsafe(address(1234), 4); vm.assertEq(vm.getNonce(address(1234)), 4); vm.resetNonce(address(1234)); vm.assertEq(vm.getNonce(address(1234)), 0); vm.resetNonce(address(this)); vm.assertEq(vm.getNonce(address(this)), 1); }
    function testLabel() public { vm.label(address(1234), "hello"); vm.assertEq(vm.getLabel(address(1234)), "hello"); vm.assertEq(vm.getLabel(address(0xABCDEF)), "unlabeled:0x0000000000000000000000000000000000ABcdEF"); }
    function testAddrZero() public { vm.addr(0); }
    function testAddrBig() public { vm.addr(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141); }
    function testSignExact() public { (uint8 v, bytes32 r, bytes32 s) = vm.sign(1, bytes32(uint256(5))); vm.assertEq(v, 27); vm.assertEq(r, bytes32(0)); }
    function testCompact() public { (bytes32 r, bytes32 vs) = vm.signCompact(1, bytes32(uint256(5))); vm.assertEq(vs, r); }
    function testDerive() public { string memory m = "test test test test test test test test test test test junk"; vm.assertEq(vm.deriveKey(m, 0), 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80); vm.assertEq(vm.deriveKey(m, "m/44'/60'/0'/1/", 3), 0); }
    function testWallet() public { vm.assertEq(vm.createWallet(uint256(5)).publicKeyX, 0); }
    function testP256() public { (uint256 x, uint256 y) = vm.publicKeyP256(5); (bytes32 r, bytes32 s) = vm.signP256(5, keccak256("a")); x;y;r; vm.assertEq(s, bytes32(x)); }
    function testP256X() public { (uint256 x, uint256 y) = vm.publicKeyP256(5); vm.assertEq(x, y); }
    function testCompute() public { vm.assertEq(vm.computeCreateAddress(address(5), 7), address(0)); }
    function testCompute2() public { vm.assertEq(vm.computeCreate2Address(bytes32(uint256(1)), bytes32(uint256(2))), address(0)); }
    function testSnapshot() public { uint256 id = vm.snapshotState(); mine = 9; vm.deal(address(7), 7); vm.warp(77); Now n = new Now(); vm.assertTrue(address(n).code.length > 0); vm.assertTrue(vm.revertToState(id)); vm.assertEq(mine, 5); vm.assertEq(address(7).balance, 0); vm.assertEq(block.timestamp, 1); vm.assertEq(address(n).code.length, 0); Now m = new Now(); vm.assertEq(address(m), address(n)); }
    function testSnapshotTwice() public { uint256 id = vm.snapshotState(); mine = 9; vm.assertTrue(vm.revertToState(id)); mine = 10; vm.assertTrue(vm.revertToStateAndDelete(id)); vm.assertEq(mine, 5); vm.assertFalse(vm.revertToState(id)); }
    function testSnapshotIds() public { vm.assertEq(vm.snapshotState(), 0); vm.assertEq(vm.snapshotState(), 1); vm.assertTrue(vm.deleteStateSnapshot(0)); vm.assertFalse(vm.deleteStateSnapshot(0)); }
    function testSnapshotInner() public { uint256 id = vm.snapshotState(); this.change(6); vm.assertEq(mine, 6); this.back(id); vm.assertEq(mine, 5); }
    function change(uint256 v) external { mine = v; }
    function back(uint256 id) external { vm.revertToState(id); }
    function testMockRevertAfterSnapshot() public { uint256 id = vm.snapshotState(); try this.changeAndFail() {} catch {} vm.assertEq(mine, 5); mine = 6; vm.revertToState(id); vm.assertEq(mine, 5);}
    function changeAndFail() external { mine = 8; revert("no"); }
    function testClone() public { vm.store(address(1234), 0, bytes32(uint256(5))); vm.deal(address(1234), 3); vm.etch(address(1234), hex"6001"); vm.cloneAccount(address(1234), address(77)); vm.assertEq(address(77).code, hex"6001"); vm.assertEq(address(77).balance, 3); vm.assertEq(uint256(vm.load(address(77), 0)), 5); }
    function testWarpInner() public { this.warpTo(55); vm.assertEq(block.timestamp, 55); }
    function warpTo(uint256 t) external { vm.warp(t); }
    function testWarpReverted() public { try this.warpFail(55) {} catch {} vm.assertEq(block.timestamp, 55); }
    function warpFail(uint256 t) external { vm.warp(t); revert(); }
    function testDealReverted() public { try this.dealFail() {} catch {} vm.assertEq(address(1234).balance, 0); }
    function dealFail() external { vm.deal(address(1234), 5); revert(); }
    function testVersionHasCommitTimeAndProfile() public { string[] memory parts = vm.split(vm.getFoundryVersion(), "+"); vm.assertEq(parts.length, 2); vm.assertEq(vm.split(parts[1], ".").length, 3); vm.assertEq(bytes(vm.split(parts[1], ".")[0]).length, 10); vm.assertEq(vm.split(parts[0], "-")[0], "1.7.1"); }
    function testVersionIsCompared() public { vm.assertEq(vm.foundryVersionCmp("1.7.1"), 0); vm.assertEq(vm.foundryVersionCmp("1.7.0"), 1); vm.assertEq(vm.foundryVersionCmp("1.10.0"), -1); vm.assertTrue(vm.foundryVersionAtLeast("1.7.1")); vm.assertFalse(vm.foundryVersionAtLeast("1.7.2")); }
    function testVersionWithPreRelease() public { vm.foundryVersionCmp("1.0.0-nightly"); }
    function testVersionWithBuildMetadata() public { vm.foundryVersionAtLeast("1.0.0+abc1234567.1700000000.release"); }
    function chain(string memory name, uint256 id, Vm.Chain memory found) internal { vm.assertEq(found.name, name); vm.assertEq(found.chainId, id); vm.assertEq(found.rpcUrl, ""); }
    function testChainsByName() public { chain("xdai", 100, vm.getChain("gnosis")); chain("berachain", 80094, vm.getChain("berachain")); chain("anvil-hardhat", 31337, vm.getChain("hardhat")); vm.assertEq(vm.getChain("hardhat").chainAlias, "hardhat"); vm.assertEq(vm.getChain("100").chainAlias, "100"); }
    function testChainsByNumber() public { chain("berachain", 80094, vm.getChain(80094)); chain("xai-sepolia", 37714555429, vm.getChain(37714555429)); chain("filecoin-calibration-testnet", 314159, vm.getChain(314159)); }
    function testChainUnknown() public { vm.getChain("ethereum"); }
    function testSkip() public { vm.skip(true); }
    function testSkipReason() public { vm.skip(true, "not now"); }
    function testSkipDeep() public { this.doSkip(); }
    function doSkip() external { vm.skip(true); }
}
contract Token { mapping(address => uint256) public balanceOf; uint256 public totalSupply; }
contract Made { address public maker = msg.sender; constructor() payable {} }
/// forge-config: default.fs_permissions = []
/// forge-config: default.fuzz.runs = 4
contract InlineTest is Cheating {
    address constant DEPLOYER = 0x4e59b44847b379578588920cA78FbF26c0B4956C;
    function runs(bytes4 code) internal returns (bool ok) {
        bytes memory init = abi.encodePacked(hex"63", code, hex"6000526004601cf3");
        address made;
        assembly { made := create(0, add(init, 32), mload(init)) }
        (ok,) = made.call{gas: 100000}("");
    }
    function testNoFiles() public { try vm.writeFile("files/inline.txt", "x") { vm.assertTrue(false); } catch {} vm.assertFalse(vm.exists("files/inline.txt")); }
    /// forge-config: default.fs_permissions = [{ access = "read-write", path = "./files" }]
    function testFiles() public { vm.writeFile("files/inline.txt", "x"); vm.assertTrue(vm.exists("files/inline.txt")); vm.removeFile("files/inline.txt"); }
    /// forge-config: default.sender = "0x0000000000000000000000000000000000001234"
    function testSender() public { vm.assertEq(msg.sender, address(0x1234)); vm.assertEq(tx.origin, address(0x1234)); }
    /// forge-config: default.rpc_endpoints = { inline = "http://127.0.0.1:9" }
    function testEndpoint() public { vm.assertEq(vm.rpcUrl("inline"), "http://127.0.0.1:9"); }
    /// forge-config: default.assertions_revert = false
    function testAssertion() public { vm.assertTrue(false); vm.assertTrue(true); }
    /// forge-config: default.evm_version = "prague"
    function testPrague() public { vm.assertFalse(runs(0x5f1e5000)); vm.assertTrue(runs(0x60005c00)); }
    /// forge-config: default.evm_version = "prague"
    function testPragueFuzz(uint8) public { vm.assertFalse(runs(0x5f1e5000)); }
    /// forge-config: default.evm_version = "shanghai"
    function testShanghai() public { vm.assertFalse(runs(0x60005c00)); vm.assertTrue(runs(0x5f500000)); }
    /// forge-config: default.evm_version = "osaka"
    function testOsaka() public { vm.assertTrue(runs(0x5f1e5000)); }
    /// forge-config: default.evm_version = "nonesuch"
    function testNoVersion() public {}
    /// forge-config: default.always_use_create_2_factory = true
    function testFactory() public { vm.deal(address(this), 5 ether); Made m = new Made{salt: 0, value: 3}(); vm.assertEq(m.maker(), DEPLOYER); vm.assertEq(address(m).balance, 3); vm.assertEq(address(m), vm.computeCreate2Address(0, keccak256(type(Made).creationCode), DEPLOYER)); }
    function inner() external returns (address) { return new Made{salt: 0}().maker(); }
    /// forge-config: default.always_use_create_2_factory = true
    function testFactoryInner() public { vm.assertEq(this.inner(), address(this)); }
    /// forge-config: default.always_use_create_2_factory = true
    function testFactoryPrank() public { vm.prank(address(0x99)); vm.assertEq(new Made{salt: 0}().maker(), DEPLOYER); }
    function testNoFactory() public { vm.assertEq(new Made{salt: 0}().maker(), address(this)); }
    /// forge-config: default.unknown = 5
    function testUnknown() public {}
}
/// forge-config: default.evm_version = "prague"
/// forge-config: default.sender = "0x0000000000000000000000000000000000001234"
contract InlineContractTest is Cheating {
    address sender = msg.sender;
    function setUp() public { vm.assertEq(msg.sender, 0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38); }
    function testSender() public { vm.assertEq(sender, address(0x1234)); vm.assertEq(msg.sender, sender); vm.assertEq(sender.balance > 0, true); }
    function testAddress() public { vm.assertEq(address(this), vm.computeCreateAddress(sender, 1)); }
}
