// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Holds FIL on one network, for a receiver on another.
contract Vault {
    event Locked(address indexed receiver, uint256 amount);

    function lock(address receiver) external payable {
        emit Locked(receiver, msg.value);
    }
}
