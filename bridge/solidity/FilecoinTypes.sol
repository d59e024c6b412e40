// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

/// A failed item: its index in the parameters and its exit code.
struct BatchFailure {
    int128 index;
    uint32 code;
}

/// Result of a batch: the number of successes, and the failed items.
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

/// Errors with which a call of an actor reverts, besides those of contracts that the actor calls.
interface FilecoinErrors {
    /// The actor exited with a code other than 0; `data` is its return data, usually empty.
    error ActorError(uint64 actor, uint64 method, uint32 exitCode, bytes data);

    /// The actor has no method with this selector.
    error UnknownFunction(uint64 actor, bytes4 selector);

    /// The function does not accept value.
    error NotPayable(uint64 actor, bytes4 selector);

    /// The arguments are not in the canonical ABI encoding, or not valid for the method.
    error BadCalldata(uint256 position, string why);

    /// The return value does not match its type or exceeds its range. The call is reverted.
    error BadAnswer(uint64 actor, uint64 method, string why);
}

/// Conversion to Filecoin addresses.
library Filecoin {
    /// Returns the address to call for an actor ID: f07 is Filecoin.actor(7).
    function actor(uint64 id) internal pure returns (address) {
        return address((uint160(0xff) << 152) | uint160(id));
    }

    /// Returns the f0 address of an actor ID.
    function idAddress(uint64 id) internal pure returns (FilAddress memory) {
        bytes memory data = hex"00";
        while (id > 0x7f) {
            data = bytes.concat(data, bytes1(uint8(id) | 0x80));
            id >>= 7;
        }
        return FilAddress(bytes.concat(data, bytes1(uint8(id))));
    }

    /// Returns the Filecoin address of `who`: f0 for a masked ID, f410 for all others.
    function addressOf(address who) internal pure returns (FilAddress memory) {
        if (uint160(who) >> 64 == uint160(0xff) << 88) return idAddress(uint64(uint160(who)));
        return FilAddress(abi.encodePacked(hex"040a", who));
    }
}
