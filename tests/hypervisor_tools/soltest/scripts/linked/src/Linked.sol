// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

library Twice {
    function twice(uint256 a) external pure returns (uint256) {
        return 2 * a;
    }
}

library Deep {
    function four(uint256 a) external pure returns (uint256) {
        return Twice.twice(Twice.twice(a));
    }
}

library Apart {
    function apart(uint256 a) external pure returns (uint256) {
        return a + 3;
    }
}

contract Linked {
    uint256 public kept;

    constructor(uint256 a) {
        kept = Deep.four(a) + Apart.apart(a);
    }
}
