// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, BatchFailure, BatchReturn, Cid, FilAddress} from "./FilecoinTypes.sol";

/// f05: the storage market and its deals.
/// Exit codes specific to this actor:
/// 32 deal expired
/// 33 deal not activated
interface IMarket is FilecoinErrors {
    struct Label {
        string[] stringValue;
        bytes[] bytesValue;
    }

    struct DealProposal {
        Cid pieceCid;
        uint64 pieceSize;
        bool verifiedDeal;
        FilAddress client;
        FilAddress provider;
        Label label;
        int64 startEpoch;
        int64 endEpoch;
        int256 storagePricePerEpoch;
        int256 providerCollateral;
        int256 clientCollateral;
    }

    struct ClientDealProposal {
        DealProposal proposal;
        bytes clientSignature;
    }

    struct DealSettlement {
        int256 payment;
        bool completed;
    }

    struct PieceChange {
        Cid data;
        uint64 size;
        bytes payload;
    }

    struct SectorChanges {
        uint64 sector;
        int64 minimumCommitmentEpoch;
        PieceChange[] added;
    }

    /// Method 822473126.
    function addBalance(FilAddress calldata addr) external payable;

    /// Method 2280458852. `amount`: attoFIL. Returns attoFIL.
    function withdrawBalance(FilAddress calldata providerOrClient, int256 amount) external returns (int256);

    /// Method 2236929350. `validDeals`: a set of numbers in RLE+.
    function publishStorageDeals(
        ClientDealProposal[] calldata deals
    ) external returns (uint64[] memory ids, bytes memory validDeals);

    /// Method 726108461. `balance`: attoFIL. `locked`: attoFIL.
    function getBalance(FilAddress calldata addr) external view returns (int256 balance, int256 locked);

    /// Method 1157985802. `size`: bytes, padded.
    function getDealDataCommitment(uint64 deal) external view returns (Cid memory data, uint64 size);

    /// Method 128053329.
    function getDealClient(uint64 deal) external view returns (uint64);

    /// Method 935081690.
    function getDealProvider(uint64 deal) external view returns (uint64);

    /// Method 46363526.
    function getDealLabel(uint64 deal) external view returns (Label memory);

    /// Method 163777312. `start`: an epoch. `duration`: an epoch.
    function getDealTerm(uint64 deal) external view returns (int64 start, int64 duration);

    /// Method 4287162428. Returns attoFIL.
    function getDealTotalPrice(uint64 deal) external view returns (int256);

    /// Method 200567895. Returns attoFIL.
    function getDealClientCollateral(uint64 deal) external view returns (int256);

    /// Method 2986712137. Returns attoFIL.
    function getDealProviderCollateral(uint64 deal) external view returns (int256);

    /// Method 2627389465.
    function getDealVerified(uint64 deal) external view returns (bool);

    /// Method 2567238399. `activated`: an epoch. `terminated`: an epoch.
    function getDealActivation(uint64 deal) external view returns (int64 activated, int64 terminated);

    /// Method 2611213344.
    function getDealSector(uint64 deal) external view returns (uint64);

    /// Method 1900091594. `deals`: a set of numbers in RLE+.
    function settleDealPayments(
        bytes calldata deals
    ) external returns (BatchReturn memory results, DealSettlement[] memory settlements);

    /// Method 2034386435.
    function sectorContentChanged(SectorChanges[] calldata changes) external returns (bool[][] memory);
}
