// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Vm} from "./Vm.sol";

contract Box {
    uint256 public a;
    uint256 public b;
    mapping(uint256 => uint256) m;

    function set(uint256 x) external payable {
        a = x;
        m[x] = b + 1;
    }

    function bad() external {
        a = 9;
        revert("bad");
    }

    function sum() external view returns (uint256) {
        return a + b;
    }
}

// What scripts have left, genesis files, state diffs as text. A test that ends with `says` fails with the words that are compared.
contract ScriptsTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Box box;
    Box unused;
    uint256 mine;

    function setUp() public {
        box = new Box();
    }

    function says(bytes memory data) internal {
        revert(vm.toString(data));
    }

    // --- broadcasts ---

    function testDeployment() public {
        require(vm.getDeployment("Box") == vm.getDeployment("Box", 31337));
        says(abi.encode(vm.getDeployment("Box"), vm.getDeployments("Box", 31337), vm.getDeployments("None", 31337)));
    }

    function testBroadcasts() public {
        says(abi.encode(vm.getBroadcasts("Box", 31337), vm.getBroadcasts("None", 31337), vm.getBroadcasts("Box", 5)));
    }

    function testBroadcastCall() public {
        says(abi.encode(vm.getBroadcast("Box", 31337, Vm.BroadcastTxType.Call)));
    }

    function testBroadcastCreate() public {
        says(abi.encode(vm.getBroadcast("Box", 31337, Vm.BroadcastTxType.Create)));
    }

    function testBroadcastsCreate2() public {
        says(abi.encode(vm.getBroadcasts("Box", 31337, Vm.BroadcastTxType.Create2)));
    }

    function testNoBroadcast() public {
        vm.getBroadcast("None", 31337, Vm.BroadcastTxType.Create);
    }

    function testNoDeployment() public {
        vm.getDeployment("None");
    }

    function testNoDeploymentOnChain() public {
        vm.getDeployment("Box", 5);
    }

    // --- what is of no use to a test ---

    function testPrompt() public {
        vm.prompt("x");
    }

    function testPromptUint() public {
        vm.promptUint("x");
    }

    function testPromptSecret() public {
        vm.promptSecret("x");
    }

    function testPromptSecretUint() public {
        vm.promptSecretUint("x");
    }

    function testPromptAddress() public {
        vm.promptAddress("x");
    }

    function testAttachBlob() public {
        vm.attachBlob(hex"1234");
        require(blobhash(0) == 0);
        box.set(1);
    }

    // --- artifacts ---

    function testCurrentFile() public {
        revert(vm.currentFilePath());
    }

    function testArtifactPaths() public {
        string memory path = vm.getArtifactPathByCode(type(Box).creationCode);
        require(vm.contains(path, ".json"));
        require(keccak256(bytes(path)) == keccak256(bytes(vm.getArtifactPathByDeployedCode(address(box).code))));
    }

    function testNoArtifact() public {
        vm.getArtifactPathByCode(hex"0102");
    }

    function testNoDeployedArtifact() public {
        vm.getArtifactPathByDeployedCode(hex"0102");
    }

    // --- signatures ---

    function testSignWithNonce() public {
        for (uint256 i = 1; i < 9; i++) {
            bytes32 digest = keccak256(abi.encode(i));
            (uint8 v, bytes32 r, bytes32 s) = vm.signWithNonceUnsafe(i * 99, digest, i);
            require(ecrecover(digest, v, r, s) == vm.addr(i * 99));
            require(uint256(s) <= 57896044618658097711785492504343953926418782139537452191302581570759080747168);
        }
        (uint8 v1, bytes32 r1, bytes32 s1) = vm.signWithNonceUnsafe(7, keccak256("x"), 12345);
        says(abi.encode(v1, r1, s1));
    }

    function testSignWithoutNonce() public {
        vm.signWithNonceUnsafe(7, keccak256("x"), 0);
    }

    function testSignWithLargeNonce() public {
        vm.signWithNonceUnsafe(7, keccak256("x"), type(uint256).max);
    }

    function testSignWithoutKey() public {
        vm.signWithNonceUnsafe(0, keccak256("x"), 5);
    }

    // --- state diffs ---

    function _record() internal {
        vm.startStateDiffRecording();
        box.set{value: 5}(3);
        mine = 4;
        try box.bad() {} catch {}
        box.sum();
        vm.deal(address(78), 9);
        payable(address(78)).transfer(3);
        vm.label(address(box), "BOX");
        unused = new Box();
    }

    function testStorageAccesses() public {
        vm.startStateDiffRecording();
        box.set{value: 5}(3);
        try box.bad() {} catch {}
        says(abi.encode(vm.getStorageAccesses()));
    }

    function testDiffText() public {
        _record();
        revert(vm.getStateDiff());
    }

    function testDiffJson() public {
        _record();
        revert(vm.getStateDiffJson());
    }

    function testDiffOfCheatcode() public {
        vm.startStateDiffRecording();
        vm.store(address(box), 0, bytes32(uint256(8)));
        box.set(8);
        revert(vm.getStateDiff());
    }

    function testDiffUnchanged() public {
        box.set(3);
        vm.startStateDiffRecording();
        box.set(4);
        box.set(3);
        revert(vm.getStateDiffJson());
    }

    function testNoDiff() public {
        require(bytes(vm.getStateDiff()).length == 0 && vm.getStorageAccesses().length == 0);
        _record();
        vm.stopAndReturnStateDiff();
        require(bytes(vm.getStateDiff()).length == 0 && vm.getStorageAccesses().length == 0);
        revert(vm.getStateDiffJson());
    }

    // --- genesis files ---

    function testDump() public {
        vm.deal(address(0x99), 12);
        vm.setNonce(address(0x98), 3);
        vm.store(address(box), bytes32(uint256(5)), bytes32(uint256(6)));
        vm.dumpState("files/dump.json");
        revert(vm.readFile("files/dump.json"));
    }

    function testDumpAndLoad() public {
        vm.deal(address(0x99), 12);
        vm.dumpState("files/dump2.json");
        vm.deal(address(0x99), 13);
        vm.loadAllocs("files/dump2.json");
        require(address(0x99).balance == 12);
    }

    function testLoad() public {
        vm.writeFile(
            "files/allocs.json",
            '{"0x0000000000000000000000000000000000000097":{"balance":"0x10","nonce":"0x2","code":"0x6001","storage":{"0x0000000000000000000000000000000000000000000000000000000000000001":"0x0000000000000000000000000000000000000000000000000000000000000009"}}}'
        );
        vm.loadAllocs("files/allocs.json");
        address who = address(0x97);
        says(abi.encode(who.balance, vm.getNonce(who), who.code, vm.load(who, bytes32(uint256(1)))));
    }

    function testLoadGenesis() public {
        vm.writeFile("files/genesis.json", '{"alloc":{"0x0000000000000000000000000000000000000097":{"balance":"0x10"}}}');
        vm.loadAllocs("files/genesis.json");
        require(address(0x97).balance == 16);
    }

    function testLoadNone() public {
        vm.loadAllocs("files/none.json");
    }
}
