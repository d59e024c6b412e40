// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// A wallet with several signers.
/// Calls by contracts are rejected (exit code 18): only accounts may call these functions.
interface IMultisig is FilecoinErrors {
    /// Method 2. `value`: attoFIL. `params`: CBOR or empty. `ret`: CBOR or empty.
    function propose(
        FilAddress calldata to,
        int256 value,
        uint64 method,
        bytes calldata params
    ) external payable returns (int64 txnId, bool applied, uint32 code, bytes memory ret);

    /// Method 3. `ret`: CBOR or empty.
    function approve(
        int64 id,
        bytes calldata proposalHash
    ) external payable returns (bool applied, uint32 code, bytes memory ret);

    /// Method 4.
    function cancel(int64 id, bytes calldata proposalHash) external;

    /// Method 5.
    function addSigner(FilAddress calldata signer, bool increase) external;

    /// Method 6.
    function removeSigner(FilAddress calldata signer, bool decrease) external;

    /// Method 7.
    function swapSigner(FilAddress calldata from, FilAddress calldata to) external;

    /// Method 8.
    function changeNumApprovalsThreshold(int128 newThreshold) external;

    /// Method 9. `startEpoch`: an epoch. `unlockDuration`: an epoch. `amount`: attoFIL.
    function lockBalance(int64 startEpoch, int64 unlockDuration, int256 amount) external;
}
