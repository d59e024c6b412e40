// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The methods of the reward actor, f02, that govern its streams and pay them (FIP-0118), from network version 29 on.
/// Each function is one call of CALL_ACTOR_BY_ID, with CBOR (codec 0x51) and no value.
library RewardStreams {
    /// The parts of a whole reward, and of a whole stream.
    uint64 internal constant WHOLE = 10 ** 18;

    /// A weight moves by `slope` in each epoch from `since` on, between floor and cap.
    struct Weight {
        uint64 start;
        int64 slope;
        int64 since;
        uint64 floor;
        uint64 cap;
    }

    struct Share {
        address recipient;
        uint64 share;
    }

    /// f02 ended with an exit code; below zero, the machine refused the call.
    error Refused(uint64 method, int256 exitCode);
    error UnexpectedAnswer(uint64 method, bytes answer);

    uint64 private constant REWARD = 2;
    uint64 private constant SET_WEIGHT_RECORDS = 3362570548;
    uint64 private constant REGISTER_STREAM = 386660827;
    uint64 private constant SET_SHARES = 2414422607;
    uint64 private constant REPLACE_ADDRESS = 3068846150;
    uint64 private constant CLAIM = 4045527845;

    address private constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;
    uint64 private constant CBOR = 0x51;

    uint8 private constant UNSIGNED = 0;
    uint8 private constant NEGATIVE = 1;
    uint8 private constant BYTES = 2;
    uint8 private constant ARRAY = 4;

    // ---- methods

    /// Files a new weight of one stream. For the stream-weight authority alone, as registerStream.
    function setWeight(uint64 id, Weight memory weight) internal {
        bytes memory update = bytes.concat(array(2), unsigned(id), encode(weight));
        send(SET_WEIGHT_RECORDS, bytes.concat(array(1), array(1), update));
    }

    /// Files an explicit stream, whose shares `writer` may set, for an epoch behind the timelock.
    function registerStream(uint64 id, Weight memory weight, address writer, Share[] memory shares, int64 activation)
        internal
    {
        bytes memory distribution = bytes.concat(array(2), encode(writer), encode(shares));
        send(REGISTER_STREAM, bytes.concat(array(4), unsigned(id), encode(weight), distribution, signed(activation)));
    }

    /// Ends the period: what each recipient has earned can be claimed, and the next award is split anew.
    function setShares(uint64 id, Share[] memory shares) internal {
        send(SET_SHARES, bytes.concat(array(2), unsigned(id), encode(shares)));
    }

    /// Gives one recipient's share to another address; false where the old one has none.
    function replaceAddress(uint64 id, address old, address heir) internal returns (bool) {
        bytes memory answer = send(REPLACE_ADDRESS, bytes.concat(array(3), unsigned(id), encode(old), encode(heir)));
        if (answer.length != 1 || uint8(answer[0]) > 1) revert UnexpectedAnswer(REPLACE_ADDRESS, answer);
        return uint8(answer[0]) == 0;
    }

    /// Pays wallets what they have earned, in attoFIL; whoever has earned nothing gets 0.
    function claim(uint64 id, address[] memory wallets) internal returns (uint256[] memory amounts) {
        bytes memory params = bytes.concat(array(2), unsigned(id), array(wallets.length));
        for (uint256 i = 0; i < wallets.length; i++) {
            params = bytes.concat(params, encode(wallets[i]));
        }
        bytes memory answer = send(CLAIM, params);
        bytes memory start = bytes.concat(array(1), array(wallets.length));
        uint256 position = start.length;
        if (answer.length < position) revert UnexpectedAnswer(CLAIM, answer);
        amounts = new uint256[](wallets.length);
        for (uint256 i = 0; i < wallets.length; i++) {
            (amounts[i], position) = readAmount(answer, position);
        }
    }

    function send(uint64 method, bytes memory params) private returns (bytes memory answer) {
        bytes memory input = abi.encode(method, uint256(0), uint64(0), CBOR, params, REWARD);
        (bool called, bytes memory output) = CALL_ACTOR_BY_ID.delegatecall(input);
        if (!called || output.length == 0) revert Refused(method, -1);
        int256 exitCode;
        (exitCode,, answer) = abi.decode(output, (int256, uint64, bytes));
        if (exitCode != 0) revert Refused(method, exitCode);
    }

    // ---- CBOR

    function encode(Weight memory weight) private pure returns (bytes memory) {
        bytes memory moving = bytes.concat(unsigned(weight.start), signed(weight.slope), signed(weight.since));
        return bytes.concat(array(5), moving, unsigned(weight.floor), unsigned(weight.cap));
    }

    function encode(Share[] memory shares) private pure returns (bytes memory list) {
        list = array(shares.length);
        for (uint256 i = 0; i < shares.length; i++) {
            list = bytes.concat(list, array(2), encode(shares[i].recipient), unsigned(shares[i].share));
        }
    }

    /// A masked ID (0xff, eleven zeros, ID) is the f0 address, any other one f410.
    function encode(address who) private pure returns (bytes memory) {
        if (uint160(who) >> 64 != uint160(0xff) << 88) {
            return bytes.concat(head(BYTES, 22), hex"040a", bytes20(who));
        }
        bytes memory id = hex"00";
        uint64 rest = uint64(uint160(who));
        for (; rest > 0x7f; rest >>= 7) {
            id = bytes.concat(id, bytes1(uint8(rest) | 0x80));
        }
        id = bytes.concat(id, bytes1(uint8(rest)));
        return bytes.concat(head(BYTES, uint64(id.length)), id);
    }

    function unsigned(uint64 number) private pure returns (bytes memory) {
        return head(UNSIGNED, number);
    }

    function signed(int64 number) private pure returns (bytes memory) {
        return number < 0 ? head(NEGATIVE, uint64(-1 - number)) : head(UNSIGNED, uint64(number));
    }

    function array(uint256 length) private pure returns (bytes memory) {
        return head(ARRAY, uint64(length));
    }

    function head(uint8 major, uint64 number) private pure returns (bytes memory) {
        if (number < 24) return abi.encodePacked((major << 5) | uint8(number));
        if (number <= type(uint8).max) return abi.encodePacked((major << 5) | 24, uint8(number));
        if (number <= type(uint16).max) return abi.encodePacked((major << 5) | 25, uint16(number));
        if (number <= type(uint32).max) return abi.encodePacked((major << 5) | 26, uint32(number));
        return abi.encodePacked((major << 5) | 27, number);
    }

    /// An amount: a byte string, empty for zero, else a zero byte (plus) and at most 22 digits.
    function readAmount(bytes memory data, uint256 position) private pure returns (uint256 amount, uint256 next) {
        uint256 length = position < data.length ? uint8(data[position]) ^ (BYTES << 5) : 24;
        next = position + 1 + length;
        if (length > 23 || next > data.length) revert UnexpectedAnswer(CLAIM, data);
        for (uint256 i = position + 2; i < next; i++) {
            amount = (amount << 8) | uint8(data[i]);
        }
    }
}
