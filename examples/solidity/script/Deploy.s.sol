// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {DataCapName} from "../contracts/DataCapName.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Deploys the contract and lets it keep the name. What forge runs here is its own simulation, which knows nothing of
/// Filecoin's precompiles: so only calls that do not touch them may be made before the broadcast.
contract Deploy {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (DataCapName deployed) {
        vm.startBroadcast();
        deployed = new DataCapName();
        vm.stopBroadcast();
    }
}
