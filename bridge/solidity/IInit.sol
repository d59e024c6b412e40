// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, Cid, FilAddress} from "./FilecoinTypes.sol";

/// f01: creates actors.
/// Calls by contracts are rejected (exit code 18): only accounts may call these functions.
interface IInit is FilecoinErrors {
    /// Method 2. `constructorParams`: CBOR or empty.
    function exec(
        Cid calldata codeCid,
        bytes calldata constructorParams
    ) external payable returns (FilAddress memory idAddress, FilAddress memory robustAddress);
}
