// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Sum {
    function next(uint256 value) external pure returns (uint256) {
        return value + 7;
    }
}
