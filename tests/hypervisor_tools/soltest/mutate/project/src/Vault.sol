// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Deposits up to a limit, which the owner sets.
contract Vault {
    address public immutable owner = msg.sender;
    uint256 public limit;
    mapping(address => uint256) public balances;

    event Deposited(address indexed from, uint256 amount);

    modifier onlyOwner() {
        require(msg.sender == owner, "not the owner");
        _;
    }

    function setLimit(uint256 value) external onlyOwner {
        limit = value;
    }

    function deposit(uint256 amount) external {
        require(amount <= limit, "over the limit");
        balances[msg.sender] += amount;
        emit Deposited(msg.sender, amount);
    }

    function fee(uint256 amount) public pure returns (uint256) {
        if (amount < 100) return 0;
        return amount / 50;
    }

    function close() external {
        delete balances[msg.sender];
    }
}
