// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Escrow} from "./Escrow.sol";

/// An escrow with a planted bug: a transfer to oneself adds to what is held.
contract FlawedEscrow is Escrow {
    constructor(uint64 actor) Escrow(actor) {}

    function transfer(address to, uint256 amount) external override {
        uint256 before = held[to];
        held[msg.sender] -= amount;
        held[to] = before + amount;
    }
}
