// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract LedgerNUMBER {
    mapping(address => uint256) public held;
    uint256 public total;
    error TooMuch(uint256 asked, uint256 held);
    event Moved(address indexed from, address indexed to, uint256 amount);

    function put(uint256 amount) external {
        held[msg.sender] += amount;
        total += amount;
    }

    function move(address to, uint256 amount) external returns (uint256 left) {
        left = held[msg.sender];
        if (amount > left) revert TooMuch(amount, left);
        unchecked {
            left -= amount;
        }
        held[msg.sender] = left;
        held[to] += amount;
        emit Moved(msg.sender, to, amount);
    }

    function sum(uint256[] memory amounts) external pure returns (uint256 found) {
        for (uint256 i = 0; i < amounts.length; i++) {
            found += amounts[i];
        }
    }
}
