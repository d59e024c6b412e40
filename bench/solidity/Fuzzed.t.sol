// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Fuzzed {
    function testFuzz_sum(uint128 a, uint128 b) public pure {
        uint256 sum = uint256(a) + b;
        require(sum >= a && sum - a == b);
    }
}
