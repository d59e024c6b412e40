// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Box, Proxy} from "../src/Coin.sol";
import {Native} from "../src/Native.sol";
import {Notes} from "../src/Notes.sol";

/// The two cheat codes that a script needs.
interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// Six transactions in a row, those of a proxy among them.
contract Deploy {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        VM.startBroadcast();
        Notes notes = new Notes("first");
        notes.write{value: 1 ether}(7, "scripted");
        Notes second = new Notes{salt: bytes32("salt")}("second");
        second.write(8, "salted");
        Box logic = new Box();
        new Proxy(address(logic), abi.encodeCall(Box.initialize, (42)));
        VM.stopBroadcast();
    }
}

/// The deployment script of contracts that use Filecoin's library.
contract DeployNative {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external {
        VM.startBroadcast();
        new Native();
        VM.stopBroadcast();
    }
}
