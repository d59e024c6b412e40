// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MinerAPI} from "filecoin-solidity-api/contracts/v0.8/MinerAPI.sol";
import {PowerAPI} from "filecoin-solidity-api/contracts/v0.8/PowerAPI.sol";
import {PrecompilesAPI} from "filecoin-solidity-api/contracts/v0.8/PrecompilesAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {MinerTypes} from "filecoin-solidity-api/contracts/v0.8/types/MinerTypes.sol";
import {PowerTypes} from "filecoin-solidity-api/contracts/v0.8/types/PowerTypes.sol";
import {BigInts} from "filecoin-solidity-api/contracts/v0.8/utils/BigInts.sol";
import {FilAddresses} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddresses.sol";

/// Reads what the network knows of a storage miner, in one call that changes nothing.
contract MinerFacts {
    struct Facts {
        uint64 owner; // actor ids: the masked-ID address is ff, eleven zeros, the id
        uint64 beneficiary;
        uint64 sectorSize; // bytes
        uint256 rawPower; // bytes that are proven
        bool meetsMinimum; // enough of them to win blocks
        int256 available; // attoFIL that the owner could take out; negative for a miner in debt
    }

    /// An actor answered with this exit code; below 0 the machine refused the call.
    error Refused(uint64 miner, string what, int256 exit);
    /// More than 256 bits.
    error TooBig(uint64 miner, string what);

    function facts(uint64 miner) external view returns (Facts memory found) {
        CommonTypes.FilActorId target = CommonTypes.FilActorId.wrap(miner);
        int256 exit;

        // First whether this is a miner at all: accounts accept each method of such a number and answer nothing.
        PowerTypes.MinerRawPowerReturn memory power;
        (exit, power) = PowerAPI.minerRawPower(miner);
        check(miner, "MinerRawPower", exit);
        found.meetsMinimum = power.meets_consensus_minimum;
        found.rawPower = unsigned(miner, "MinerRawPower", power.raw_byte_power);

        MinerTypes.GetOwnerReturn memory owner;
        (exit, owner) = MinerAPI.getOwner(target);
        check(miner, "GetOwner", exit);
        found.owner = PrecompilesAPI.resolveAddress(owner.owner);

        MinerTypes.GetBeneficiaryReturn memory beneficiary;
        (exit, beneficiary) = MinerAPI.getBeneficiary(target);
        check(miner, "GetBeneficiary", exit);
        found.beneficiary = PrecompilesAPI.resolveAddress(beneficiary.active.beneficiary);

        (exit, found.sectorSize) = MinerAPI.getSectorSize(target);
        check(miner, "GetSectorSize", exit);

        CommonTypes.BigInt memory balance;
        (exit, balance) = MinerAPI.getAvailableBalance(target);
        check(miner, "GetAvailableBalance", exit);
        bool overflow;
        (found.available, overflow) = BigInts.toInt256(balance);
        if (overflow) revert TooBig(miner, "GetAvailableBalance");
    }

    /// Whether an Ethereum account or a contract is the miner's owner, worker or one of its control addresses.
    function isControlledBy(uint64 miner, address who) external view returns (bool controls) {
        int256 exit;
        (exit,) = PowerAPI.minerRawPower(miner);
        check(miner, "MinerRawPower", exit);
        (exit, controls) = MinerAPI.isControllingAddress(CommonTypes.FilActorId.wrap(miner), FilAddresses.fromEthAddress(who));
        check(miner, "IsControllingAddress", exit);
    }

    function check(uint64 miner, string memory what, int256 exit) private pure {
        if (exit != 0) revert Refused(miner, what, exit);
    }

    function unsigned(uint64 miner, string memory what, CommonTypes.BigInt memory value) private view returns (uint256 number) {
        bool overflow;
        (number, overflow) = BigInts.toUint256(value);
        if (overflow) revert TooBig(miner, what);
    }
}
