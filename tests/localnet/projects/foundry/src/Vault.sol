// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Checks, console} from "./Lib.sol";

contract Vault {
    uint256 public immutable most;
    mapping(address => uint256) public held;

    constructor(uint256 most_) {
        require(most_ > 0, "most is zero");
        most = most_;
    }

    function put(uint256 amount) external payable {
        console.log("put", amount);
        Checks.within(amount, most);
        held[msg.sender] += amount;
    }

    function take(uint256 amount) external {
        held[msg.sender] -= amount;
    }

    function boom(uint256[] calldata items, uint256 at) external view returns (uint256) {
        return items[at];
    }
}

contract Caller {
    Vault public immutable vault = new Vault(5);

    function put(uint256 amount) external {
        vault.put(amount);
    }
}
