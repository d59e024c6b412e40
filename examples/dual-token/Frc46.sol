// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {CBOR} from "solidity-cborutils/contracts/CBOR.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {CBORDecoder} from "filecoin-solidity-api/contracts/v0.8/utils/CborDecode.sol";
import {FilAddressIdConverter} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddressIdConverter.sol";
import {PrecompilesAPI} from "filecoin-solidity-api/contracts/v0.8/PrecompilesAPI.sol";
import {UtilsHandlers} from "filecoin-solidity-api/contracts/v0.8/utils/UtilsHandlers.sol";

/// The words of FRC-46: method numbers (FRC-42), parameters and answers in CBOR, the receiver's hook.
library Frc46 {
    using CBOR for CBOR.CBORBuffer;
    using CBORDecoder for bytes;

    /// Parameters that are no CBOR of the right kind, or a negative or too big amount.
    error BadParameters();
    /// The receiver's hook exited with this code, or was not reached (below 0).
    error ReceiverRefused(uint64 receiver, int256 exit);

    uint64 internal constant NAME = 48890204;
    uint64 internal constant SYMBOL = 2061153854;
    uint64 internal constant GRANULARITY = 3936767397;
    uint64 internal constant TOTAL_SUPPLY = 114981429;
    uint64 internal constant BALANCE = 3261979605;
    uint64 internal constant ALLOWANCE = 4205072950;
    uint64 internal constant TRANSFER = 80475954;
    uint64 internal constant TRANSFER_FROM = 3621052141;
    uint64 internal constant INCREASE_ALLOWANCE = 1777121560;
    uint64 internal constant DECREASE_ALLOWANCE = 1529376545;
    uint64 internal constant REVOKE_ALLOWANCE = 2765635761;
    uint64 internal constant BURN = 1434719642;
    uint64 internal constant BURN_FROM = 2979674018;

    uint32 private constant TOKEN_TYPE = 2233613279;

    // ---- reading: each function takes a position and returns the next one

    /// An array of so many items.
    function readTuple(bytes memory params, uint256 items) internal pure returns (uint256 next) {
        uint256 found;
        (found, next) = params.readFixedArray(0);
        if (found != items) revert BadParameters();
    }

    /// An actor by any of its addresses, as contracts see it; none if there is no such actor.
    function readHolder(bytes memory params, uint256 position) internal view returns (address holder, uint256 next) {
        bytes memory raw;
        (raw, next) = params.readBytes(position);
        (bool success, bytes memory id) = PrecompilesAPI.RESOLVE_ADDRESS_PRECOMPILE_ADDR.staticcall(raw);
        if (!success) revert BadParameters();
        if (id.length > 0) holder = FilAddressIdConverter.toAddress(uint64(abi.decode(id, (uint256))));
    }

    /// An amount: nothing for zero, else a sign byte and the digits.
    function readAmount(bytes memory params, uint256 position) internal pure returns (uint256 amount, uint256 next) {
        bytes memory raw;
        (raw, next) = params.readBytes(position);
        if (raw.length > 33 || (raw.length > 0 && raw[0] != 0)) revert BadParameters();
        for (uint256 i = 1; i < raw.length; i++) {
            amount = (amount << 8) | uint8(raw[i]);
        }
    }

    function readData(bytes memory params, uint256 position) internal pure returns (bytes memory data, uint256 next) {
        return params.readBytes(position);
    }

    /// Nothing comes after the parameters.
    function end(bytes memory params, uint256 position) internal pure {
        if (position != params.length) revert BadParameters();
    }

    // ---- writing

    function writeAmount(CBOR.CBORBuffer memory to, uint256 amount) internal pure {
        bytes memory raw;
        if (amount > 0) {
            uint256 digits = 0;
            for (uint256 rest = amount; rest > 0; rest >>= 8) {
                digits++;
            }
            raw = new bytes(1 + digits);
            for (uint256 i = digits; i > 0; i--) {
                raw[i] = bytes1(uint8(amount));
                amount >>= 8;
            }
        }
        to.writeBytes(raw);
    }

    function encodeAmount(uint256 amount) internal pure returns (bytes memory) {
        CBOR.CBORBuffer memory to = CBOR.create(64);
        writeAmount(to, amount);
        return to.data();
    }

    function encodeText(string memory text) internal pure returns (bytes memory) {
        CBOR.CBORBuffer memory to = CBOR.create(64);
        to.writeString(text);
        return to.data();
    }

    /// Several amounts as an array.
    function encodeAmounts(uint256[] memory amounts) internal pure returns (bytes memory) {
        CBOR.CBORBuffer memory to = CBOR.create(128);
        to.startFixedArray(uint64(amounts.length));
        for (uint256 i = 0; i < amounts.length; i++) {
            writeAmount(to, amounts[i]);
        }
        return to.data();
    }

    /// What a transfer answers: amounts, and what the receiver's hook returned.
    function encodeTransfer(uint256[] memory amounts, bytes memory received) internal pure returns (bytes memory) {
        CBOR.CBORBuffer memory to = CBOR.create(160);
        to.startFixedArray(uint64(amounts.length + 1));
        for (uint256 i = 0; i < amounts.length; i++) {
            writeAmount(to, amounts[i]);
        }
        to.writeBytes(received);
        return to.data();
    }

    // ---- the receiver

    /// Tells the receiver; it may refuse, and then nothing has happened.
    function tell(address from, address to, address operator, uint256 amount, bytes memory operatorData)
        internal
        returns (bytes memory)
    {
        CBOR.CBORBuffer memory payload = CBOR.create(192);
        payload.startFixedArray(6);
        payload.writeUInt64(idOf(from));
        payload.writeUInt64(idOf(to));
        payload.writeUInt64(idOf(operator));
        writeAmount(payload, amount);
        payload.writeBytes(operatorData);
        payload.writeBytes("");
        (int256 exit, bytes memory answer) = UtilsHandlers.universalReceiverHook(
            CommonTypes.FilActorId.wrap(idOf(to)), CommonTypes.UniversalReceiverParams(TOKEN_TYPE, payload.data())
        );
        if (exit != 0) revert ReceiverRefused(idOf(to), exit);
        return answer;
    }

    function idOf(address holder) private view returns (uint64) {
        (bool native, uint64 id) = FilAddressIdConverter.isIDAddress(holder);
        return native ? id : PrecompilesAPI.resolveEthAddress(holder);
    }
}
