// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SendAPI} from "filecoin-solidity-api/contracts/v0.8/SendAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";

/// Holds the FIL of clients for one storage provider. A client pays the provider, or gives its claim to another client.
contract Escrow {
    error PaymentFailed(int256 exit);

    uint64 public immutable provider;
    mapping(address client => uint256) public held;

    constructor(uint64 actor) {
        provider = actor;
    }

    function deposit() external payable {
        held[msg.sender] += msg.value;
    }

    function transfer(address to, uint256 amount) external virtual {
        held[msg.sender] -= amount;
        held[to] += amount;
    }

    function pay(uint256 amount) external {
        held[msg.sender] -= amount;
        int256 exit = SendAPI.send(CommonTypes.FilActorId.wrap(provider), amount);
        if (exit != 0) revert PaymentFailed(exit);
    }
}
