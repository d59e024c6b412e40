// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from actors/schemas: `make bindings`.
pragma solidity ^0.8.8;

/// An item that failed: its place among the parameters, and why.
struct BatchFailure {
    int128 index;
    uint32 code;
}

/// Only failures are listed.
struct BatchReturn {
    int128 successCount;
    BatchFailure[] failCodes;
}

/// A CID in binary.
struct Cid {
    bytes data;
}

/// A Filecoin address: a byte for its protocol, then its payload.
struct FilAddress {
    bytes data;
}

/// What a call of an actor reverts with, other than what its own call of a contract reverted with.
interface FilecoinErrors {
    /// The actor ended with an exit code other than 0; `data` is what it said about it, mostly nothing.
    error ActorError(uint64 actor, uint64 method, uint32 exitCode, bytes data);

    /// No method of the actor goes by this selector.
    error UnknownFunction(uint64 actor, bytes4 selector);

    /// The function takes no value.
    error NotPayable(uint64 actor, bytes4 selector);

    /// The arguments are not in the one form that the ABI has for them, or stand for nothing.
    error BadCalldata(uint256 position, string why);

    /// The actor's answer has another shape, or a number too large for its type. Nothing of the call stays.
    error BadAnswer(uint64 actor, uint64 method, string why);
}

/// Filecoin's addresses as Solidity needs them.
library Filecoin {
    /// Where an actor is called, by its ID: f07 is Filecoin.actor(7).
    function actor(uint64 id) internal pure returns (address) {
        return address((uint160(0xff) << 152) | uint160(id));
    }

    /// An f0 address, which names an actor by its ID.
    function idAddress(uint64 id) internal pure returns (FilAddress memory) {
        bytes memory data = hex"00";
        while (id > 0x7f) {
            data = bytes.concat(data, bytes1(uint8(id) | 0x80));
            id >>= 7;
        }
        return FilAddress(bytes.concat(data, bytes1(uint8(id))));
    }

    /// The address of whoever Solidity knows as `who`: f0 for a masked ID, f410 for all others.
    function addressOf(address who) internal pure returns (FilAddress memory) {
        if (uint160(who) >> 64 == uint160(0xff) << 88) return idAddress(uint64(uint160(who)));
        return FilAddress(abi.encodePacked(hex"040a", who));
    }
}
