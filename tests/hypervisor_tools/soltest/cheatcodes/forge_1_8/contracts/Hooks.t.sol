// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

// The expected behaviour is that of the comments in forge 1.8's interface.
interface HookVm {
    function registerSloadHook(address target, bytes4 callback) external;
    function registerSstoreHook(address target, bytes4 callback) external;
    function registerMappingSstoreHook(address target, bytes32 rootSlot, bytes4 callback) external;
    function record() external;
    function accesses(address) external returns (bytes32[] memory reads, bytes32[] memory writes);
    function recordLogs() external;
    struct Log { bytes32[] topics; bytes data; address emitter; }
    function getRecordedLogs() external returns (Log[] memory);
    function mockCall(address, bytes calldata, bytes calldata) external;
    function expectRevert(bytes calldata) external;
    struct Gas { uint64 gasLimit; uint64 gasTotalUsed; uint64 gasMemoryUsed; int64 gasRefunded; uint64 gasRemaining; }
    function lastCallGas() external view returns (Gas memory);
}

contract Store {
    uint256 public plain;
    mapping(address => uint256) public flat;
    mapping(address => mapping(uint256 => uint256)) public deep;

    function setPlain(uint256 value) external { plain = value; }
    function setTwice(uint256 value) external { plain = value; plain = value + 1; }
    function setFlat(address key, uint256 value) external { flat[key] = value; }
    function setDeep(address key, uint256 inner, uint256 value) external { deep[key][inner] = value; }
    function setSlot(uint256 slot, uint256 value) external { assembly { sstore(slot, value) } }
    function hash(bytes32 key, bytes32 root) external pure returns (bytes32) { return keccak256(abi.encode(key, root)); }
    function measured(uint256 value) external returns (uint256 gas) { gas = gasleft(); plain = value; gas -= gasleft(); }
    function fails(uint256 value) external { plain = value; revert("own"); }
}

contract Borrower {
    uint256 slot0;
    function borrow(address code, bytes calldata data) external {
        (bool success,) = code.delegatecall(data);
        require(success);
    }
}

abstract contract Hooked {
    HookVm constant vm = HookVm(address(uint160(uint256(keccak256("hevm cheat code")))));
    event Noted(uint256 value);

    Store store;
    uint256 calls;
    address account;
    uint256 slot;
    uint256 before;
    uint256 current;
    uint256 root;
    bytes32[] keys;

    function setUp() public virtual { store = new Store(); current = 5; }

    function onLoad(address account_, bytes32 slot_, bytes32 value) external {
        require(msg.sender == address(vm), "only hooks");
        (calls, account, slot, current) = (calls + 1, account_, uint256(slot_), uint256(value));
    }

    function onStore(address account_, bytes32 slot_, bytes32 before_, bytes32 value) public {
        require(msg.sender == address(vm), "only hooks");
        (calls, account, slot, before, current) = (calls + 1, account_, uint256(slot_), uint256(before_), uint256(value));
    }

    function onMapping(
        address account_, bytes32 slot_, bytes32 root_, bytes32[] calldata keys_, bytes32 before_, bytes32 value
    ) external {
        onStore(account_, slot_, before_, value);
        (root, keys) = (uint256(root_), keys_);
    }

    function refused(bytes memory call, string memory wanted) internal {
        (bool success, bytes memory data) = address(vm).call(call);
        require(!success, "it succeeded");
        bytes memory rest = new bytes(data.length - 4);
        for (uint256 i; i < rest.length; i++) rest[i] = data[i + 4];
        require(keccak256(bytes(abi.decode(rest, (string)))) == keccak256(bytes(wanted)), abi.decode(rest, (string)));
    }
}

contract RawHooksTest is Hooked {
    function testLoad() public {
        store.setPlain(7);
        vm.registerSloadHook(address(store), this.onLoad.selector);
        require(store.plain() == 7, "a static call whose callback writes");
        require(calls == 1 && account == address(store) && slot == 0 && current == 7);
        store.setPlain(8);
        require(calls == 1, "a write is no read");
    }

    function testStore() public {
        store.setPlain(7);
        vm.registerSstoreHook(address(store), this.onStore.selector);
        store.setPlain(9);
        require(calls == 1 && account == address(store) && slot == 0 && before == 7 && current == 9);
        store.setTwice(20);
        require(calls == 3 && before == 20 && current == 21);
        store.setPlain(21);
        require(calls == 4 && before == 21 && current == 21, "a write of the same word");
        require(store.plain() == 21 && calls == 4);
    }

    function testBoth() public {
        vm.registerSloadHook(address(store), this.onLoad.selector);
        vm.registerSstoreHook(address(store), this.onStore.selector);
        store.setPlain(store.plain() + 1);
        require(calls == 2);
    }

    function testReplacement() public {
        vm.registerSstoreHook(address(store), this.onOther.selector);
        vm.registerSstoreHook(address(store), this.onStore.selector);
        store.setPlain(1);
        require(calls == 1);
    }

    function onOther(address, bytes32, bytes32, bytes32) external { calls = 100; }

    function testDelegateCall() public {
        Borrower borrower = new Borrower();
        vm.registerSstoreHook(address(store), this.onOther.selector);
        vm.registerSstoreHook(address(borrower), this.onStore.selector);
        borrower.borrow(address(store), abi.encodeCall(store.setPlain, (3)));
        require(calls == 1 && account == address(borrower) && current == 3);
    }

    function testOnlyTheTarget() public {
        vm.registerSstoreHook(address(store), this.onStore.selector);
        new Store().setPlain(1);
        require(calls == 0);
    }

    // State of callbacks follows the frame; the registration stays.
    function testRevert() public {
        (bool success,) = address(this).call(abi.encodeCall(this.registerAndFail, ()));
        require(!success && calls == 0);
        store.setPlain(2);
        require(calls == 1 && before == 0 && current == 2);
        (success,) = address(store).call(abi.encodeCall(store.fails, (5)));
        require(!success && calls == 1 && store.plain() == 2);
    }

    function registerAndFail() external {
        vm.registerSstoreHook(address(store), this.onStore.selector);
        store.setPlain(1);
        require(calls == 1);
        revert();
    }

    function onFailure(address, bytes32, bytes32, bytes32) external { calls++; revert("hook"); }

    function testCallbackFails() public {
        vm.registerSstoreHook(address(store), this.onFailure.selector);
        (bool success, bytes memory data) = address(store).call(abi.encodeCall(store.setPlain, (5)));
        require(!success && keccak256(data) == keccak256(abi.encodeWithSignature("Error(string)", "hook")));
        require(store.plain() == 0 && calls == 0);
        vm.expectRevert("hook");
        store.setPlain(5);
    }

    function onLoop(address, bytes32, bytes32, bytes32 value) external { calls++; store.setPlain(uint256(value) + 1); }

    function testNoHooksInCallbacks() public {
        vm.registerSstoreHook(address(store), this.onLoop.selector);
        store.setPlain(1);
        require(calls == 1 && store.plain() == 2);
    }

    // A warm slot from 1 to 2: 2900 for the change, 100 for warm access, and the stack operations.
    function testGas() public {
        store.setPlain(1);
        store.measured(2);
        uint256 plain = store.measured(1);
        vm.registerSstoreHook(address(store), this.onStore.selector);
        uint256 hooked = store.measured(2);
        require(hooked == plain && calls == 1);
    }

    function onNoise(address, bytes32, bytes32, bytes32) external {
        calls++;
        emit Noted(1);
        store.flat(address(this));
    }

    function testHiddenFromRecordings() public {
        vm.registerSstoreHook(address(store), this.onNoise.selector);
        vm.recordLogs();
        vm.record();
        store.setPlain(1);
        (bytes32[] memory reads, bytes32[] memory writes) = vm.accesses(address(this));
        require(calls == 1 && writes.length == 0, "of the callback");
        (reads, writes) = vm.accesses(address(store));
        require(writes.length == 1 && reads.length == 1, "an SSTORE reads and writes");
        require(vm.getRecordedLogs().length == 0);
    }

    function onPlain(address, bytes32, bytes32, bytes32) external { calls++; current = store.plain(); }

    function testHiddenFromMocks() public {
        vm.mockCall(address(store), abi.encodeCall(store.plain, ()), abi.encode(77));
        vm.registerSstoreHook(address(store), this.onPlain.selector);
        store.setPlain(6);
        require(calls == 1 && current == 6 && store.plain() == 77);
    }

    function testHiddenFromExpectRevert() public {
        vm.registerSstoreHook(address(store), this.onStore.selector);
        vm.expectRevert("own");
        store.fails(1);
    }

    function onExpecting(address, bytes32, bytes32, bytes32) external { calls++; vm.expectRevert("never"); }

    function testExpectationOfCallback() public {
        vm.registerSstoreHook(address(store), this.onExpecting.selector);
        store.setPlain(1);
        require(calls == 1 && store.plain() == 1);
    }

    function onClearing(address, bytes32, bytes32, bytes32) external { calls++; current = 0; }

    // Clearing a slot that was set before the transaction refunds 4800 (EIP-3529), but not for a callback.
    function testRefund() public {
        vm.registerSstoreHook(address(store), this.onClearing.selector);
        store.setPlain(1);
        require(calls == 1 && vm.lastCallGas().gasRefunded == 0);
    }

    function testRegisteredByAnother() public {
        Registrar registrar = new Registrar();
        registrar.register(store);
        store.setPlain(1);
        require(registrar.calls() == 1 && calls == 0);
    }
}

contract Registrar {
    uint256 public calls;
    function register(Store store) external {
        HookVm vm = HookVm(address(uint160(uint256(keccak256("hevm cheat code")))));
        vm.registerSstoreHook(address(store), this.onStore.selector);
    }
    function onStore(address, bytes32, bytes32, bytes32) external { calls++; }
}

contract SetUpHooksTest is Hooked {
    function setUp() public override {
        super.setUp();
        vm.registerSstoreHook(address(store), this.onStore.selector);
        store.setPlain(4);
    }

    function testStays() public {
        require(calls == 1);
        store.setPlain(5);
        require(calls == 2 && before == 4);
    }
}

contract MappingHooksTest is Hooked {
    bytes32 early;

    function setUp() public override {
        super.setUp();
        vm.registerMappingSstoreHook(address(store), bytes32(uint256(1)), this.onMapping.selector);
        early = store.hash(bytes32(uint256(5)), bytes32(uint256(1)));
    }

    function testFlat() public {
        store.setFlat(address(0xa), 3);
        require(calls == 1 && root == 1 && keys.length == 1 && before == 0 && current == 3);
        require(account == address(store) && keys[0] == bytes32(uint256(0xa)));
        require(bytes32(slot) == keccak256(abi.encode(address(0xa), uint256(1))));
        store.setPlain(1);
        store.setDeep(address(0xa), 1, 1);
        require(calls == 1, "other roots");
    }

    function testDeep() public {
        vm.registerMappingSstoreHook(address(store), bytes32(uint256(2)), this.onMapping.selector);
        store.setDeep(address(0xa), 6, 3);
        require(calls == 1 && root == 2 && keys.length == 2);
        require(keys[0] == bytes32(uint256(0xa)) && keys[1] == bytes32(uint256(6)), "from the root on");
    }

    // A hook of an inner mapping does not match: its parent is known.
    function testInnerRoot() public {
        bytes32 inner = store.hash(bytes32(uint256(0xa)), bytes32(uint256(2)));
        vm.registerMappingSstoreHook(address(store), inner, this.onMapping.selector);
        store.setDeep(address(0xa), 6, 3);
        require(calls == 0);
    }

    function testHashesSinceRegistrationOnly() public {
        store.setSlot(uint256(early), 1);
        require(calls == 0, "a hash of setUp");
        bytes32 late = store.hash(bytes32(uint256(5)), bytes32(uint256(1)));
        vm.registerMappingSstoreHook(address(store), bytes32(uint256(9)), this.onMapping.selector);
        store.setSlot(uint256(late), 1);
        require(calls == 0, "a hash before the latest registration");
        late = store.hash(bytes32(uint256(5)), bytes32(uint256(1)));
        store.setSlot(uint256(late) + 1, 1);
        require(calls == 0, "an offset");
        store.setSlot(uint256(late), 2);
        require(calls == 1);
        store.setSlot(1, 2);
        require(calls == 1, "the root itself");
    }

    function testConflict() public {
        refused(
            abi.encodeCall(vm.registerSstoreHook, (address(store), this.onStore.selector)),
            "vm.registerSstoreHook: cannot register raw SSTORE hook: mapping SSTORE hooks already exist for target"
        );
        Store raw = new Store();
        vm.registerSstoreHook(address(raw), this.onStore.selector);
        refused(
            abi.encodeCall(vm.registerMappingSstoreHook, (address(raw), bytes32(0), this.onMapping.selector)),
            "vm.registerMappingSstoreHook: cannot register mapping SSTORE hook: raw SSTORE hook already exists for target"
        );
    }

    function onHashing(address, bytes32, bytes32, bytes32[] calldata, bytes32, bytes32) external {
        calls++;
        early = store.hash(bytes32(uint256(8)), bytes32(uint256(1)));
        store.setFlat(address(0xb), 1);
    }

    function testSuppressed() public {
        vm.registerMappingSstoreHook(address(store), bytes32(uint256(1)), this.onHashing.selector);
        store.setFlat(address(0xa), 1);
        require(calls == 1);
        store.setSlot(uint256(early), 1);
        require(calls == 1, "a hash in a callback");
    }
}
