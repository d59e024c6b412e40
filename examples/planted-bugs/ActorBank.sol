// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Native} from "solidity/Native.sol";

/// Holds FIL for actors, and pays it back by the method that runs a contract's `receive`.
contract ActorBank {
    uint64 private constant INVOKE_EVM = 3844450837;

    mapping(address client => uint256) public held;

    function deposit() external payable {
        held[msg.sender] += msg.value;
    }

    /// Planted bug: the actor is paid before its account is emptied, and may come back meanwhile.
    function withdraw(uint64 actor) external {
        (int256 exit,) = Native.call(actor, INVOKE_EVM, held[msg.sender], "");
        require(exit == 0, "the actor takes nothing");
        held[msg.sender] = 0;
    }
}
