// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// f02: mints tokens and pays block rewards.
interface IReward is FilecoinErrors {
    struct WeightRecord {
        uint64 vStart;
        int64 slope;
        int64 tStart;
        uint64 floor;
        uint64 cap;
    }

    struct WeightRecordUpdate {
        uint64 id;
        WeightRecord weight;
    }

    struct RecipientShare {
        FilAddress recipient;
        uint64 share;
    }

    struct DistributionInit {
        FilAddress writer;
        RecipientShare[] shares;
    }

    /// Method 3362570548.
    function setWeightRecords(WeightRecordUpdate[] calldata updates) external;

    /// Method 3951753085.
    function stepWeightRecords(WeightRecordUpdate[] calldata updates) external;

    /// Method 386660827. `activationEpoch`: an epoch.
    function registerStream(
        uint64 id,
        WeightRecord calldata weight,
        DistributionInit[] calldata distribution,
        int64 activationEpoch
    ) external;

    /// Method 1623858416.
    function removeStream(uint64 id) external;

    /// Method 3872725033.
    function setDistribution(uint64 id, FilAddress calldata writer) external;

    /// Method 187585191.
    function cancelPending(uint64[] calldata id, uint8 op) external;

    /// Method 2414422607.
    function setShares(uint64 id, RecipientShare[] calldata shares) external;

    /// Method 3068846150.
    function replaceAddress(
        uint64 id,
        FilAddress calldata old,
        FilAddress calldata newAddress
    ) external returns (uint64);

    /// Method 4045527845.
    function claim(uint64 id, FilAddress[] calldata wallets) external returns (int256[] memory amounts);
}
