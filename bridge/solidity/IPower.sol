// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// f04: storage power by miner. Versions 10 and 11 have no ramp (15 fields).
interface IPower is FilecoinErrors {
    /// Method 1173380165.
    function createMiner(
        FilAddress calldata owner,
        FilAddress calldata worker,
        int64 windowPostProofType,
        bytes calldata peer,
        bytes[] calldata multiaddrs
    ) external payable returns (FilAddress memory idAddress, FilAddress memory robustAddress);

    /// Method 931722534.
    function networkRawPower() external view returns (int256);

    /// Method 3753401894.
    function minerRawPower(uint64 actor) external view returns (int256 rawBytePower, bool meetsConsensusMinimum);

    /// Method 1987646258.
    function minerCount() external view returns (int128);

    /// Method 196739875.
    function minerConsensusCount() external view returns (int128);

    /// Method 36284446.
    function minerPower(uint64 actor) external view returns (int256 rawBytePower, int256 qualityAdjPower);
}
