// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors} from "./FilecoinTypes.sol";

/// An account controlled by a key.
interface IAccount is FilecoinErrors {
    /// Method 2643134072.
    function authenticateMessage(bytes calldata signature, bytes calldata message) external view returns (bool);
}
