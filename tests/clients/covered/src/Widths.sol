// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// Two contracts with a function of the same name. The inner condition is never true.
contract Bytes {
    function width(uint256 value) external pure returns (uint256 found) {
        assembly {
            if value {
                found := 1
                if gt(value, 255) {
                    found := 2
                }
            }
        }
    }
}

contract Words {
    uint256 private stored;

    function width(uint256 value) external pure returns (uint256) {
        return value == 0 ? 0 : 1;
    }

    function neverCalled() external {
        delete stored;
    }
}
