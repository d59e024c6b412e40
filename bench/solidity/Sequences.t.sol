// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Purse {
    mapping(address => uint256) public held;
    uint256 public total;

    function put(uint96 amount) external {
        held[msg.sender] += amount;
        total += amount;
    }

    function take(uint96 amount) external {
        uint256 mine = held[msg.sender];
        uint256 taken = amount > mine ? mine : amount;
        held[msg.sender] = mine - taken;
        total -= taken;
    }
}

contract SequencesTest {
    Purse purse;

    function setUp() public {
        purse = new Purse();
    }

    function invariant_total() public view {
        require(purse.total() < 1 << 200);
    }
}
