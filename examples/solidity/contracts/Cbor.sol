// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// As much CBOR as the parameters and answers of the counter actor need.
library Cbor {
    error UnexpectedCbor(bytes data, uint256 position);

    uint8 private constant UNSIGNED = 0;
    uint8 private constant NEGATIVE = 1;
    uint8 private constant BYTES = 2;
    uint8 private constant TEXT = 3;
    uint8 private constant ARRAY = 4;

    // ---- writing

    function encodeUnsigned(uint64 number) internal pure returns (bytes memory) {
        return head(UNSIGNED, number);
    }

    function encodeBytes(bytes memory content) internal pure returns (bytes memory) {
        return bytes.concat(head(BYTES, uint64(content.length)), content);
    }

    function encodeText(string memory content) internal pure returns (bytes memory) {
        return bytes.concat(head(TEXT, uint64(bytes(content).length)), bytes(content));
    }

    /// The start of an array: its items follow.
    function encodeArray(uint64 length) internal pure returns (bytes memory) {
        return head(ARRAY, length);
    }

    /// An amount of attoFIL: a byte string, empty for zero, else a zero byte (plus) and the digits.
    function encodeTokens(uint256 amount) internal pure returns (bytes memory) {
        if (amount == 0) return encodeBytes("");
        bytes memory digits = new bytes(33);
        uint256 first = 33;
        for (; amount > 0; amount >>= 8) {
            digits[--first] = bytes1(uint8(amount));
        }
        return encodeBytes(slice(digits, first - 1, 34 - first));
    }

    function head(uint8 major, uint64 number) private pure returns (bytes memory) {
        if (number < 24) return abi.encodePacked((major << 5) | uint8(number));
        if (number <= type(uint8).max) return abi.encodePacked((major << 5) | 24, uint8(number));
        if (number <= type(uint16).max) return abi.encodePacked((major << 5) | 25, uint16(number));
        if (number <= type(uint32).max) return abi.encodePacked((major << 5) | 26, uint32(number));
        return abi.encodePacked((major << 5) | 27, number);
    }

    // ---- reading: each function takes a position and returns the next one

    function decodeUnsigned(bytes memory data, uint256 position) internal pure returns (uint64 number, uint256 next) {
        uint8 major;
        (major, number, next) = readHead(data, position);
        if (major != UNSIGNED) revert UnexpectedCbor(data, position);
    }

    function decodeSigned(bytes memory data, uint256 position) internal pure returns (int64 number, uint256 next) {
        (uint8 major, uint64 magnitude, uint256 after_) = readHead(data, position);
        if (major > NEGATIVE || magnitude > uint64(type(int64).max)) revert UnexpectedCbor(data, position);
        return (major == UNSIGNED ? int64(magnitude) : -1 - int64(magnitude), after_);
    }

    function decodeBytes(bytes memory data, uint256 position) internal pure returns (bytes memory content, uint256 next) {
        (uint8 major, uint64 length, uint256 start) = readHead(data, position);
        if (major != BYTES || start + length > data.length) revert UnexpectedCbor(data, position);
        return (slice(data, start, length), start + length);
    }

    function decodeArray(bytes memory data, uint256 position) internal pure returns (uint64 length, uint256 next) {
        uint8 major;
        (major, length, next) = readHead(data, position);
        if (major != ARRAY) revert UnexpectedCbor(data, position);
    }

    /// The inverse of encodeTokens, for amounts that are not negative.
    function decodeTokens(bytes memory data, uint256 position) internal pure returns (uint256 amount, uint256 next) {
        bytes memory digits;
        (digits, next) = decodeBytes(data, position);
        if (digits.length > 33 || (digits.length > 0 && digits[0] != 0)) revert UnexpectedCbor(data, position);
        for (uint256 i = 1; i < digits.length; i++) {
            amount = (amount << 8) | uint8(digits[i]);
        }
    }

    function readHead(bytes memory data, uint256 position)
        private
        pure
        returns (uint8 major, uint64 number, uint256 next)
    {
        if (position >= data.length) revert UnexpectedCbor(data, position);
        uint8 first = uint8(data[position]);
        major = first >> 5;
        uint8 low = first & 31;
        if (low < 24) return (major, low, position + 1);
        if (low > 27) revert UnexpectedCbor(data, position);
        next = position + 1 + (1 << (low - 24));
        if (next > data.length) revert UnexpectedCbor(data, position);
        for (uint256 i = position + 1; i < next; i++) {
            number = (number << 8) | uint8(data[i]);
        }
    }

    function slice(bytes memory data, uint256 start, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; i++) {
            part[i] = data[start + i];
        }
    }
}
