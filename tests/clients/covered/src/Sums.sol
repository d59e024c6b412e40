// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// A library whose functions are inlined, and one that is linked.
library Sums {
    error Empty();

    function oddOnes(uint256[] memory values) internal pure returns (uint256 total) {
        if (values.length == 0) {
            revert Empty();
        }
        for (uint256 i = 0; i < values.length; i++) {
            if (values[i] % 2 == 0) {
                continue;
            }
            total += values[i];
        }
    }

    function isqrt(uint256 value) public pure returns (uint256 root) {
        root = value;
        uint256 next = value / 2 + 1;
        while (next < root) {
            root = next;
            next = (value / next + next) / 2;
        }
    }

    function neverCalled(uint256 value) internal pure returns (uint256) {
        return value + 1;
    }
}
