// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Counter {
    uint256 public count;
    mapping(address => uint256) public hits;

    event Bumped(address indexed who, uint256 count);

    error TooMany(uint256 limit);

    function bump(uint256 by) external payable returns (uint256) {
        if (by > 100) revert TooMany(100);
        count += by;
        hits[msg.sender] += 1;
        emit Bumped(msg.sender, count);
        return count;
    }

    function spin(uint256 rounds) external pure returns (uint256 sum) {
        unchecked {
            for (uint256 i; i < rounds; ++i) sum = (sum * 6364136223846793005 + i) ^ (sum >> 13);
        }
    }
}
