// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "solidity/Cbor.sol";
import {Native} from "solidity/Native.sol";

/// A vault whose clients' FIL is in the storage market's escrow. An operator withdraws what it is allowed to.
contract MarketVault {
    uint64 private constant MARKET = 5;
    uint64 private constant ADD_BALANCE = 822473126;
    uint64 private constant WITHDRAW_BALANCE = 2280458852;

    mapping(address client => uint256) public held;
    mapping(address client => mapping(address operator => uint256)) public allowance;

    function deposit() external payable {
        held[msg.sender] += msg.value;
        call(ADD_BALANCE, msg.value, self());
    }

    function approve(address operator, uint256 amount) external {
        allowance[msg.sender][operator] = amount;
    }

    /// Planted bug: the allowance stays as it was.
    function withdrawFor(address client, uint256 amount) external {
        require(amount <= allowance[client][msg.sender], "not allowed");
        held[client] -= amount;
        call(WITHDRAW_BALANCE, 0, bytes.concat(Cbor.encodeArray(2), self(), Cbor.encodeTokens(amount)));
        payable(msg.sender).transfer(amount);
    }

    function self() private view returns (bytes memory) {
        return Cbor.encodeBytes(bytes.concat(hex"040a", bytes20(address(this))));
    }

    function call(uint64 method, uint256 value, bytes memory params) private {
        (int256 exit,) = Native.call(MARKET, method, value, params);
        require(exit == 0, "the market refuses");
    }

    receive() external payable {}
}
