// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

library Doubling {
    function double(uint256 value) external pure returns (uint256) {
        return 2 * value;
    }
}

contract Kept {
    uint256 public immutable number;

    constructor(uint256 first) {
        number = first;
    }

    function twice() external view returns (uint256) {
        return Doubling.double(number);
    }
}

contract Child {
    uint256 public immutable number = 7;
}

contract Factory {
    Child public child;

    function create() external {
        child = new Child();
    }
}
