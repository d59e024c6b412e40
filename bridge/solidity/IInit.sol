// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from actors/schemas: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, Cid, FilAddress} from "./FilecoinTypes.sol";

/// f01: creates actors.
/// It refuses contracts (exit code 18): these functions are for the accounts of people.
interface IInit is FilecoinErrors {
    /// Method 2. `constructorParams`: CBOR, or nothing.
    function exec(
        Cid calldata codeCid,
        bytes calldata constructorParams
    ) external payable returns (FilAddress memory idAddress, FilAddress memory robustAddress);
}
