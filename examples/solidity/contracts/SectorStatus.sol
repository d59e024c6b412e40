// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "./Cbor.sol";
import {Native} from "./Native.sol";

/// Asks a storage miner where a sector is, whether it is well, and how long it is committed (FIP-0112).
contract SectorStatus {
    /// The miner answered with an exit code.
    error MinerFailed(int256 exit);

    enum Status {
        Dead,
        Active,
        Faulty
    }

    /// FRC-42 numbers of the miner's methods.
    uint64 private constant GENERATE_SECTOR_LOCATION = 1321604665;
    uint64 private constant VALIDATE_SECTOR_STATUS = 3092458564;
    uint64 private constant GET_NOMINAL_SECTOR_EXPIRATION = 3010055991;

    /// A search through all of the miner's sectors: costs much gas. `location` is for `isStill`.
    function locate(uint64 miner, uint64 sector) external returns (Status status, bytes memory location) {
        bytes memory answer =
            ask(miner, GENERATE_SECTOR_LOCATION, bytes.concat(Cbor.encodeArray(1), Cbor.encodeUnsigned(sector)));
        (, uint256 position) = Cbor.decodeArray(answer, 0);
        uint64 number;
        (number, position) = Cbor.decodeUnsigned(answer, position);
        (location,) = Cbor.decodeBytes(answer, position);
        status = Status(number);
    }

    /// Whether a sector that was found at a location has a status now.
    function isStill(uint64 miner, uint64 sector, Status status, bytes calldata location) external returns (bool) {
        bytes memory answer = ask(
            miner,
            VALIDATE_SECTOR_STATUS,
            bytes.concat(
                Cbor.encodeArray(3),
                Cbor.encodeUnsigned(sector),
                Cbor.encodeUnsigned(uint64(status)),
                Cbor.encodeBytes(location)
            )
        );
        return answer[0] == 0xf5;
    }

    /// The epoch to which a sector is committed.
    function expiration(uint64 miner, uint64 sector) external returns (int64 epoch) {
        (epoch,) = Cbor.decodeSigned(ask(miner, GET_NOMINAL_SECTOR_EXPIRATION, Cbor.encodeUnsigned(sector)), 0);
    }

    function ask(uint64 miner, uint64 method, bytes memory params) private returns (bytes memory answer) {
        int256 exit;
        (exit, answer) = Native.call(miner, method, 0, params);
        if (exit != 0) revert MinerFailed(exit);
    }
}
