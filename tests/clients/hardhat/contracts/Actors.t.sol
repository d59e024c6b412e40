// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FilecoinFork} from "./FilecoinFork.sol";
import {Native} from "./Native.sol";

/// Hardhat's Solidity tests run inside Hardhat: without a fork and FilecoinFork.sol nothing is at 0xfe..05.
contract AloneTest {
    function test_no_actor_answers() public {
        Native native = new Native();
        try native.keepName() {
            revert("an actor has answered");
        } catch (bytes memory reason) {
            require(bytes4(reason) == bytes4(keccak256("ActorNotFound()")), "another reason");
        }
    }
}

/// On a fork of a node they do reach actors.
contract ForkTest {
    function test_an_actor_answers() public {
        FilecoinFork.activate();
        Native native = new Native();
        native.keepName();
        require(keccak256(bytes(native.kept())) == keccak256("DataCap"), native.kept());
    }
}
