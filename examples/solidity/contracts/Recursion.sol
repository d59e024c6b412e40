// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "./Cbor.sol";
import {CounterActor} from "./CounterActor.sol";
import {Native} from "./Native.sol";

/// Calls that go deep on purpose: to itself, and to and fro between this contract and the counter actor.
contract Recursion {
    /// Calls itself until `depth` calls are nested. `levels` counts the frames from here downwards, `reached` says
    /// whether the depth was reached (else a call failed, and what ran above it goes on).
    function dive(uint64 depth) external returns (uint64 levels, bool reached) {
        if (depth == 0) return (1, true);
        (bool called, bytes memory output) = address(this).call(abi.encodeCall(this.dive, (depth - 1)));
        if (!called || output.length == 0) return (1, false);
        (levels, reached) = abi.decode(output, (uint64, bool));
        levels++;
    }

    /// Starts with the actor f0`actor`: contract, actor, contract, and so on.
    function ping(uint64 actor, uint64 depth) external returns (uint64 levels, int64 exit) {
        return descend(actor, depth);
    }

    /// The counter actor's way back into this contract.
    function pong(uint64 depth) external returns (uint64 levels, int64 exit) {
        return descend(Native.idOf(msg.sender), depth);
    }

    /// `exit` is 0 if `depth` nested calls were reached, else what ended the descent.
    function descend(uint64 actor, uint64 depth) private returns (uint64 levels, int64 exit) {
        if (depth == 0) return (1, 0);
        bytes memory params = bytes.concat(
            Cbor.encodeArray(2), Cbor.encodeBytes(abi.encodePacked(address(this))), Cbor.encodeUnsigned(depth - 1)
        );
        (int256 result, bytes memory answer) = Native.call(actor, CounterActor.PING_PONG, 0, params);
        if (result != 0) return (1, int64(result));
        (, uint256 position) = Cbor.decodeArray(answer, 0);
        (levels, position) = Cbor.decodeUnsigned(answer, position);
        (exit,) = Cbor.decodeSigned(answer, position);
        levels++;
    }
}
