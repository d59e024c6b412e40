// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Rewards of actors, which they claim themselves.
contract Rewards {
    mapping(address claimant => uint256) public due;

    constructor() payable {}

    /// Credit an actor by its ID. Planted bug: contracts see the masked ID of an actor only as long as it has no
    /// Ethereum address; others claim under that one, so their reward is lost.
    function credit(uint64 actor, uint256 amount) external {
        due[address((uint160(0xff) << 152) | actor)] += amount;
    }

    function claim() external {
        uint256 amount = due[msg.sender];
        require(amount > 0, "nothing is due");
        due[msg.sender] = 0;
        payable(msg.sender).transfer(amount);
    }
}
