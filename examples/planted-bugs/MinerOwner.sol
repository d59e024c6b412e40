// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "solidity/Cbor.sol";
import {Native} from "solidity/Native.sol";

/// The owner of a storage miner. Two of three guardians decide who owns it next.
contract MinerOwner {
    uint64 private constant CHANGE_OWNER = 1010589339;

    uint64 public miner;
    address[3] public guardians;
    mapping(uint64 owner => mapping(address guardian => bool)) public agreed;
    mapping(uint64 owner => uint256) public votes;

    constructor(address[3] memory guardians_) {
        guardians = guardians_;
    }

    /// Name the miner that this contract owns, once.
    function own(uint64 miner_) external {
        require(miner == 0, "there is a miner");
        miner = miner_;
    }

    /// Planted bug: a guardian may vote twice.
    function vote(uint64 owner) external {
        require(msg.sender == guardians[0] || msg.sender == guardians[1] || msg.sender == guardians[2], "a stranger");
        agreed[owner][msg.sender] = true;
        if (++votes[owner] < 2) return;
        (int256 exit,) = Native.call(miner, CHANGE_OWNER, 0, Cbor.encodeBytes(bytes.concat(hex"00", leb(owner))));
        require(exit == 0, "the miner refuses");
    }

    function agreements(uint64 owner) external view returns (uint256 count) {
        for (uint256 i = 0; i < 3; i++) {
            if (agreed[owner][guardians[i]]) count++;
        }
    }

    /// An actor ID as an unsigned LEB128 number, as in ID addresses.
    function leb(uint64 number) private pure returns (bytes memory text) {
        for (; number > 127; number >>= 7) {
            text = bytes.concat(text, bytes1(uint8(number) | 0x80));
        }
        text = bytes.concat(text, bytes1(uint8(number)));
    }
}
