// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, BatchFailure, BatchReturn, Cid, FilAddress} from "./FilecoinTypes.sol";

/// f06: verifiers and clients of verified data, with their allocations and claims.
interface IVerifiedRegistry is FilecoinErrors {
    struct Claim {
        uint64 provider;
        uint64 client;
        Cid data;
        uint64 size;
        int64 termMin;
        int64 termMax;
        int64 termStart;
        uint64 sector;
    }

    struct ClaimTerm {
        uint64 provider;
        uint64 claimId;
        int64 termMax;
    }

    /// Method 3916220144. `allowance`: bytes of data.
    function addVerifiedClient(FilAddress calldata addr, int256 allowance) external;

    /// Method 2421068268. `datacapRecovered`: bytes of data.
    function removeExpiredAllocations(
        uint64 client,
        uint64[] calldata allocationIds
    ) external returns (uint64[] memory considered, BatchReturn memory results, int256 datacapRecovered);

    /// Method 2199871187.
    function getClaims(
        uint64 provider,
        uint64[] calldata claimIds
    ) external view returns (BatchReturn memory batchInfo, Claim[] memory claims);

    /// Method 1752273514.
    function extendClaimTerms(
        ClaimTerm[] calldata terms
    ) external returns (int128 successCount, BatchFailure[] memory failCodes);

    /// Method 2873373899.
    function removeExpiredClaims(
        uint64 provider,
        uint64[] calldata claimIds
    ) external returns (uint64[] memory considered, BatchReturn memory results);
}
