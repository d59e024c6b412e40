// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Native} from "solidity/Native.sol";

/// Pays salaries to actors of any kind, once each.
contract Payroll {
    mapping(uint64 actor => uint256) public paid;

    constructor() payable {}

    /// Planted bug: an exit code other than 0 moves no money, but the salary counts as paid.
    function pay(uint64 actor, uint256 amount) external {
        require(paid[actor] == 0 && amount <= address(this).balance, "paid, or too much");
        Native.call(actor, 0, amount, "");
        paid[actor] = amount;
    }
}
