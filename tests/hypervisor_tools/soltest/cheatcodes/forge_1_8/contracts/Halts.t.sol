// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.37;

interface HaltsVm {
    function expectRevert(bytes calldata reason) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
}

HaltsVm constant vm = HaltsVm(address(uint160(uint256(keccak256("hevm cheat code")))));

contract Halting {
    function outOfGas() external pure {
        for (uint256 i = 0;; ++i) {}
    }

    function invalid() external pure {
        assembly {
            invalid()
        }
    }

    function reverts() external pure {
        revert();
    }
}

// Expected halts have their names (foundry#16294).
contract HaltsTest {
    Halting private halting = new Halting();

    function testNamedHaltIsExpected() public {
        vm.expectRevert("EvmError: OutOfGas");
        halting.outOfGas{gas: 10_000}();
        vm.expectRevert("EvmError: InvalidFEOpcode");
        halting.invalid{gas: 10_000}();
    }

    function testOtherHaltIsNotExpected() public {
        (bool success, bytes memory data) = address(this).call(abi.encodeCall(this.expectsInvalid, ()));
        require(!success && data.length > 4, "failed");
        string memory wanted = "Error != expected error: EvmError: OutOfGas != EvmError: InvalidFEOpcode";
        require(keccak256(data) == keccak256(abi.encodeWithSignature("CheatcodeError(string)", wanted)), "message");
    }

    function expectsInvalid() external {
        vm.expectRevert("EvmError: InvalidFEOpcode");
        halting.outOfGas{gas: 10_000}();
    }

    function testRevertWithoutDataIsNoHalt() public {
        (bool success, bytes memory data) = address(this).call(abi.encodeCall(this.expectsRevert, ()));
        string memory wanted = "call reverted as expected, but without data";
        require(!success && keccak256(data) == keccak256(abi.encodeWithSignature("CheatcodeError(string)", wanted)), "m");
    }

    function expectsRevert() external {
        vm.expectRevert("EvmError: Revert");
        halting.reverts();
    }
}

// foundry#15987
contract JsonCommentsTest {
    function testCommentsAreSkipped() public pure {
        string memory json = '{ // one\n "a": 42, /* two\n "a": 1 */ "url": "https://example.com/*x*/" }';
        require(vm.parseJsonUint(json, ".a") == 42, "number");
        string memory url = vm.parseJsonString(json, ".url");
        require(keccak256(bytes(url)) == keccak256("https://example.com/*x*/"), "text");
    }
}

// foundry#15231
contract LoadTest {
    function testSlotOfPrecompileIsZero() public view {
        require(vm.load(address(1), 0) == 0, "slot");
    }
}
