// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "solidity/Cbor.sol";
import {Native} from "solidity/Native.sol";

/// A pool that lends DataCap. Whoever brings some registers it, and gets credit for it.
contract DataCapPool {
    uint64 private constant DATACAP = 7;
    uint64 private constant BALANCE = 3261979605;

    mapping(address member => uint256) public credit;
    uint256 public credited;

    /// Accept DataCap, as the token asks each receiver (FRC-46).
    function handle_filecoin_method(uint64, uint64, bytes calldata)
        external
        pure
        returns (uint32 exit, uint64 codec, bytes memory answer)
    {
        return (0, 0, "");
    }

    /// Credit the caller with DataCap that has arrived. Planted bug: what is credited is not remembered.
    function register() external {
        credit[msg.sender] += balance() - credited;
    }

    /// The pool's DataCap, in 10^18 per byte.
    function balance() public returns (uint256 amount) {
        (int256 exit, bytes memory answer) =
            Native.call(DATACAP, BALANCE, 0, Cbor.encodeBytes(bytes.concat(hex"040a", bytes20(address(this)))));
        require(exit == 0, "the token refuses");
        (amount,) = Cbor.decodeTokens(answer, 0);
    }
}
