// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.8;

/// Hands on whatever it is given, and what comes back.
contract Relay {
    receive() external payable {}

    function call(address to, bytes calldata data, uint256 value) external payable returns (bool, bytes memory) {
        return to.call{value: value}(data);
    }

    function look(address to, bytes calldata data) external view returns (bool, bytes memory) {
        return to.staticcall(data);
    }

    function borrow(address to, bytes calldata data) external returns (bool, bytes memory) {
        return to.delegatecall(data);
    }
}
