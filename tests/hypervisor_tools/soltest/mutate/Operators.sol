// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

library Free {
    function twice(int256 a) internal pure returns (int256) {
        return -a * 2;
    }
}

interface Skipped {
    function nothing(uint256 a) external returns (uint256);
}

contract Operators {
    uint8[3] small;
    bytes4 id = 0x01ffc9a7;
    address to = 0xF3993A62377BCd56AE39D773740A5390411E8BC9;

    function conditions(uint256 a, bool b, address c) external returns (bool) {
        if (b) small[0] = 1;
        if (a > 0 && c != address(0)) a--;
        for (uint256 i; i < a; ++i) a ^= 7;
        assert(a /* a - b */ - 1 < 5);
        return !b;
    }

    function unicode_(bytes calldata data) external returns (bytes memory result) {
        string memory text = unicode"é - é"; to.delegatecall(bytes(text));
        (, result) = to.delegatecall(data);
        assembly {
            if lt(gas(), 3) { sstore(0, add(1, 2)) }
        }
    }

    function reverts() external pure returns (bytes4) {
        revert Free_Error(1);
        return 0x00000001;
    }
}

error Free_Error(uint256 a);

contract OperatorsTest {
    function testNothing() external pure returns (uint256) {
        return 1 + 1;
    }
}
