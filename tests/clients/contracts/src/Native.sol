// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {DataCapAPI} from "filecoin-solidity-api/contracts/v0.8/DataCapAPI.sol";
import {PrecompilesAPI} from "filecoin-solidity-api/contracts/v0.8/PrecompilesAPI.sol";
import {SendAPI} from "filecoin-solidity-api/contracts/v0.8/SendAPI.sol";

/// Filecoin's own actors, by the published library.
contract Native {
    error Failed(int256 exit);

    string public kept;

    function keepName() external {
        (int256 exit, string memory name) = DataCapAPI.name();
        if (exit != 0) revert Failed(exit);
        kept = name;
    }

    function pay(uint64 actor) external payable {
        int256 exit = SendAPI.send(CommonTypes.FilActorId.wrap(actor), msg.value);
        if (exit != 0) revert Failed(exit);
    }

    function idOf(address account) external view returns (uint64) {
        return PrecompilesAPI.resolveEthAddress(account);
    }
}
