// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Native} from "../src/Native.sol";
import {FilecoinFork} from "../lib/FilecoinFork.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Transactions that call actors: forge runs them before it sends them, and so needs the precompiles.
contract UseActors {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        FilecoinFork.activate();
        VM.startBroadcast();
        Native native = new Native();
        native.keepName();
        require(keccak256(bytes(native.kept())) == keccak256("DataCap"), "forge has asked the actor");
        native.pay{value: 1.5 ether}(100);
        VM.stopBroadcast();
    }
}

/// The same without the precompiles.
contract UseActorsAlone {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        VM.startBroadcast();
        new Native().keepName();
        VM.stopBroadcast();
    }
}
