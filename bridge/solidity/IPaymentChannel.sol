// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// A payment channel between two parties, with lanes.
/// Calls by contracts are rejected (exit code 18): only accounts may call these functions.
/// Exit codes specific to this actor:
/// 32 channel state update after settled
interface IPaymentChannel is FilecoinErrors {
    struct ModVerifyParams {
        FilAddress actor;
        uint64 method;
        bytes data;
    }

    struct Merge {
        int128 lane;
        int128 nonce;
    }

    struct SignedVoucher {
        FilAddress channelAddr;
        int64 timeLockMin;
        int64 timeLockMax;
        bytes secretPreImage;
        ModVerifyParams[] extra;
        int128 lane;
        int128 nonce;
        int256 amount;
        int64 minSettleHeight;
        Merge[] merges;
        bytes[] signature;
    }

    /// Method 2.
    function updateChannelState(SignedVoucher calldata sv, bytes calldata secret) external;

    /// Method 3.
    function settle() external;

    /// Method 4.
    function collect() external;
}
