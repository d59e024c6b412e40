// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

import {StdInvariant} from "./StdInvariant.sol";

/// The cheatcodes that the projects use.
interface Vm {
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata error) external pure;
    function assertEq(int256 left, int256 right) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(string calldata left, string calldata right) external pure;
    function assertFalse(bool condition) external pure;
    function assertLt(uint256 left, uint256 right) external pure;
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata error) external pure;
    function assume(bool condition) external pure;
    function deal(address account, uint256 balance) external;
    function expectRevert() external;
    function expectRevert(bytes calldata reason) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function revertToState(uint256 snapshot) external returns (bool);
    function skip(bool skipTest) external;
    function snapshotState() external returns (uint256);
    function store(address target, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
}

/// A base for test contracts, as small as the projects beside it allow: it lies where forge-std lies in a user's project.
/// Runners learn of a failure without a revert from `failed`, or from the slot of that name at the cheatcodes' address.
abstract contract Test is StdInvariant {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bool public constant IS_TEST = true;
    bool private hasFailed;

    function failed() public view returns (bool) {
        return hasFailed || vm.load(address(vm), "failed") != 0;
    }

    function fail() internal {
        vm.store(address(vm), "failed", bytes32(uint256(1)));
        hasFailed = true;
    }

    function fail(string memory message) internal {
        fail();
        vm.assertTrue(false, message);
    }

    function assertEq(uint256 left, uint256 right) internal pure {
        vm.assertEq(left, right);
    }

    function assertEq(uint256 left, uint256 right, string memory error) internal pure {
        vm.assertEq(left, right, error);
    }

    function assertEq(int256 left, int256 right) internal pure {
        vm.assertEq(left, right);
    }

    function assertEq(address left, address right) internal pure {
        vm.assertEq(left, right);
    }

    function assertEq(string memory left, string memory right) internal pure {
        vm.assertEq(left, right);
    }

    function assertTrue(bool condition) internal pure {
        vm.assertTrue(condition);
    }

    function assertFalse(bool condition) internal pure {
        vm.assertFalse(condition);
    }

    function assertLt(uint256 left, uint256 right) internal pure {
        vm.assertLt(left, right);
    }
}
