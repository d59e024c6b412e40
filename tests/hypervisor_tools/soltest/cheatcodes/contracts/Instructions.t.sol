// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";

// Cheatcodes about single instructions: where they write memory, and a record of them.
contract Worker {
    uint256 kept;
    event Noted(uint256 indexed what, uint256 other);

    function store(uint256 at) external pure {
        assembly {
            mstore(at, 1)
        }
    }

    function copy(uint256 at, uint256 size) external pure {
        assembly {
            calldatacopy(at, 0, size)
        }
    }

    function nothing() external pure {}

    function keep(uint256 what) external returns (uint256) {
        kept = what;
        emit Noted(what, 7);
        return what + 1;
    }

    function burn() external view {
        assembly {
            for {} 1 {} {
                mstore(0x80, add(mload(0x80), 1))
            }
        }
    }

    function burnStoring() external {
        while (true) kept += 1;
    }

    function burnMemory() external pure {
        assembly {
            mstore(0x10000000, 1)
        }
    }

    function lend(address code) external returns (bytes memory given) {
        (, given) = code.delegatecall(abi.encodeCall(Worker.keep, (4)));
    }
}

contract MemoryTest is Cheating {
    Worker worker;

    function setUp() public {
        worker = new Worker();
    }

    function free() internal pure returns (uint64 at) {
        assembly {
            at := mload(0x40)
        }
    }

    function testStore() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore(0x80, 1)
        }
    }

    function testStoreOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore(0xa0, 1)
        }
    }

    function testStoreAcross() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore(0x81, 1)
        }
    }

    function testScratch() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore(0x00, 1)
            mstore(0x40, mload(0x40))
        }
    }

    function testZeroSlot() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore(0x60, 1)
        }
    }

    function testByte() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore8(0x9f, 1)
        }
    }

    function testByteOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            mstore8(0x7f, 1)
        }
    }

    function testSeveralRanges() public {
        vm.expectSafeMemory(0x80, 0xa0);
        vm.expectSafeMemory(0x100, 0x140);
        assembly {
            mstore(0x120, 1)
            mstore(0x80, 1)
        }
    }

    function testSeveralRangesOutside() public {
        vm.expectSafeMemory(0x100, 0x140);
        vm.expectSafeMemory(0x200, 0x240);
        assembly {
            mstore(0x150, 1)
        }
    }

    function testLoadExpands() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            pop(mload(0x1000))
        }
    }

    function testLoadHeld() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            pop(mload(0x60))
        }
    }

    function testCopyOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            calldatacopy(0xa0, 0, 4)
        }
    }

    function testCodecopyOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            codecopy(0x90, 0, 0x20)
        }
    }

    function testExtcodecopyOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        address other = address(worker);
        assembly {
            extcodecopy(other, 0x90, 0, 0x20)
        }
    }

    function testHashExpands() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            pop(keccak256(0x1000, 0x20))
        }
    }

    function testHashHeld() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            pop(keccak256(0x60, 0x20))
        }
    }

    function testLogExpands() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            log1(0x1000, 0x20, 5)
        }
    }

    function testCreateExpands() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            pop(create(0, 0x1000, 0x20))
        }
    }

    function testStaticcallOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        address other = address(worker);
        assembly {
            pop(staticcall(gas(), other, 0, 0, 0x1000, 0x20))
        }
    }

    function testDelegatecallInside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        address other = address(worker);
        assembly {
            pop(delegatecall(gas(), other, 0, 0, 0x80, 0x20))
        }
    }

    function testCallOutside() public {
        vm.expectSafeMemory(0x80, 0xa0);
        address other = address(worker);
        assembly {
            pop(call(gas(), other, 0, 0, 0, 0x1000, 0x20))
        }
    }

    function testReturnExpands() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            return(0x1000, 0x20)
        }
    }

    function testRevertHeld() public {
        vm.expectSafeMemory(0x80, 0xa0);
        assembly {
            revert(0x40, 0x20)
        }
    }

    function testStopped() public {
        vm.expectSafeMemory(0x80, free());
        vm.stopExpectSafeMemory();
        assembly {
            mstore(0x1000, 1)
        }
    }

    function testStoppedAtTheEnd() public {
        uint64 at = free();
        vm.expectSafeMemory(at, at + 0x20);
        assembly {
            mstore(at, 1)
            mstore(0x40, add(at, 0x20))
        }
        vm.stopExpectSafeMemory();
        assembly {
            mstore(0x1000, 1)
        }
    }

    function testEmptyRange() public {
        vm.expectSafeMemory(0xa0, 0xa0);
    }

    function testTurnedRange() public {
        vm.expectSafeMemory(0xa0, 0x80);
    }

    function testInCall() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        worker.store(0x80);
    }

    function testInCallOutside() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        worker.store(0xa0);
    }

    function testInCallCopies() public {
        vm.expectSafeMemoryCall(0x80, 0x100);
        worker.copy(0x80, 0x44);
    }

    function testInCallCopiesOutside() public {
        vm.expectSafeMemoryCall(0x80, 0x90);
        worker.copy(0x80, 0x44);
    }

    function testInLaterCall() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        worker.nothing();
        worker.store(0xc0);
    }

    function testInCallCaught() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        try worker.store(0xa0) {
            vm.assertEq(uint256(1), uint256(2));
        } catch {}
    }

    function testInCallExpected() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        vm.expectRevert("memory write at offset 0xA0 of size 0x20 not allowed; safe range: [0x00, 0x60) U [0x80, 0xA0)");
        worker.store(0xa0);
    }

    function testNotInThis() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        assembly {
            mstore(0x1000, 1)
        }
        worker.nothing();
    }

    function testLargeOffset() public {
        vm.expectSafeMemoryCall(0x80, 0xa0);
        worker.store(type(uint256).max);
    }
}

contract MemoryOfSetUpTest is Cheating {
    Worker worker;

    function setUp() public {
        worker = new Worker();
        vm.expectSafeMemoryCall(0x80, 0xa0);
    }

    function testLater() public view {
        worker.store(0xa0);
    }
}

contract StepsTest is Cheating {
    event log_named_uint(string key, uint256 val);
    event log_named_bytes32(string key, bytes32 val);

    Worker worker;

    function setUp() public {
        worker = new Worker();
    }

    function testNothingRecorded() public {
        vm.stopAndReturnDebugTraceRecording();
    }

    function digest(Vm.DebugStep[] memory steps) internal {
        vm.assertGt(steps.length, 0);
        bytes32 all;
        bytes32 memories;
        bytes32 stacks;
        uint256 failed;
        for (uint256 i; i < steps.length; ++i) {
            Vm.DebugStep memory step = steps[i];
            all = keccak256(abi.encode(all, step.opcode, step.depth, step.contractAddr));
            stacks = keccak256(abi.encode(stacks, step.stack));
            memories = keccak256(abi.encode(memories, step.memoryInput));
            if (step.isOutOfGas) failed += i;
        }
        emit log_named_uint("steps", steps.length);
        emit log_named_bytes32("opcodes, depths, contracts", all);
        emit log_named_bytes32("stacks", stacks);
        emit log_named_bytes32("memory", memories);
        emit log_named_uint("out of gas", failed);
    }

    function testOwn() public {
        vm.startDebugTraceRecording();
        uint256 sum = 3;
        assembly {
            sum := add(sum, mload(0x40))
            mstore(0x00, sum)
            sum := keccak256(0x00, 0x20)
        }
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testCalled() public {
        vm.startDebugTraceRecording();
        worker.keep(3);
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testLent() public {
        vm.startDebugTraceRecording();
        worker.lend(address(worker));
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testCreated() public {
        vm.startDebugTraceRecording();
        new Worker();
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testOutOfGas() public {
        vm.startDebugTraceRecording();
        try worker.burn{gas: 3000}() {} catch {}
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testOutOfGasStoring() public {
        vm.startDebugTraceRecording();
        try worker.burnStoring{gas: 30000}() {} catch {}
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testOutOfGasMemory() public {
        vm.startDebugTraceRecording();
        try worker.burnMemory{gas: 30000}() {} catch {}
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testTwice() public {
        vm.startDebugTraceRecording();
        worker.keep(3);
        vm.stopAndReturnDebugTraceRecording();
        vm.startDebugTraceRecording();
        worker.keep(4);
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function testStartedAgain() public {
        vm.startDebugTraceRecording();
        worker.keep(3);
        vm.startDebugTraceRecording();
        worker.keep(4);
        digest(vm.stopAndReturnDebugTraceRecording());
    }

    function startDeep() external {
        vm.startDebugTraceRecording();
        worker.keep(3);
    }

    function testStartedDeep() public {
        this.startDeep();
        worker.keep(4);
        digest(vm.stopAndReturnDebugTraceRecording());
    }
}
