// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// A storage provider.
/// Exit codes specific to this actor:
/// 1000 balance invariants broken
/// 1001 notification send failed
/// 1002 notification receiver aborted
/// 1003 notification response invalid
/// 1004 notification rejected
interface IMiner is FilecoinErrors {
    struct BeneficiaryTerm {
        int256 quota;
        int256 usedQuota;
        int64 expiration;
    }

    struct ActiveBeneficiary {
        FilAddress beneficiary;
        BeneficiaryTerm term;
    }

    struct PendingBeneficiaryChange {
        FilAddress newBeneficiary;
        int256 newQuota;
        int64 newExpiration;
        bool approvedByBeneficiary;
        bool approvedByNominee;
    }

    struct VestingFund {
        int64 epoch;
        int256 amount;
    }

    /// Method 3302309124.
    function changeWorkerAddress(FilAddress calldata newWorker, FilAddress[] calldata newControlAddresses) external;

    /// Method 1236548004.
    function changePeerID(bytes calldata newId) external;

    /// Method 2280458852. `amountRequested`: attoFIL. Returns attoFIL.
    function withdrawBalance(int256 amountRequested) external returns (int256);

    /// Method 1063480576.
    function changeMultiaddrs(bytes[] calldata newMultiAddrs) external;

    /// Method 2354970453.
    function confirmChangeWorkerAddress() external;

    /// Method 3665352697.
    function repayDebt() external payable;

    /// Method 1010589339.
    function changeOwnerAddress(FilAddress calldata addr) external;

    /// Method 1570634796. `newQuota`: attoFIL. `newExpiration`: an epoch.
    function changeBeneficiary(FilAddress calldata newBeneficiary, int256 newQuota, int64 newExpiration) external;

    /// Method 4158972569.
    function getBeneficiary(
    ) external view returns (ActiveBeneficiary memory active, PendingBeneficiaryChange[] memory proposed);

    /// Method 3275365574.
    function getOwner() external view returns (FilAddress memory owner, FilAddress[] memory proposed);

    /// Method 348244887.
    function isControllingAddress(FilAddress calldata addr) external view returns (bool);

    /// Method 3858292296.
    function getSectorSize() external view returns (int128);

    /// Method 4026106874. Returns attoFIL.
    function getAvailableBalance() external view returns (int256);

    /// Method 1726876304.
    function getVestingFunds() external view returns (VestingFund[] memory vestingFunds);

    /// Method 2812875329.
    function getPeerID() external view returns (bytes memory peerId);

    /// Method 1332909407.
    function getMultiaddrs() external view returns (bytes[] memory multiAddrs);

    /// Method 4127382196. `initialPledge`: attoFIL. Returns attoFIL.
    function maxTerminationFee(int256 power, int256 initialPledge) external view returns (int256);

    /// Method 3180523767. Returns attoFIL.
    function initialPledge() external view returns (int256);

    /// Method 1321604665. `auxData`: CBOR or empty.
    function generateSectorLocation(uint64 sectorNumber) external view returns (int128 status, bytes memory auxData);

    /// Method 3092458564. `auxData`: CBOR or empty.
    function validateSectorStatus(
        uint64 sectorNumber,
        int128 status,
        bytes calldata auxData
    ) external view returns (bool);

    /// Method 3010055991. Returns an epoch.
    function getNominalSectorExpiration(uint64 sector) external view returns (int64);
}
