// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {RewardStreams} from "./RewardStreams.sol";

/// Two owners govern a stream of the block reward. What both must want is done at the second one's call with the same
/// arguments. f02 knows this contract as its stream-weight authority, and as the writer of the stream's shares.
contract StreamCouncil {
    event Wanted(address indexed owner, bytes32 indexed decision);
    event Done(bytes32 indexed decision);
    event Replaced(uint64 indexed id, address indexed old, address indexed heir);
    event Paid(uint64 indexed id, address indexed wallet, uint256 amount);

    error NotAnOwner(address caller);
    error SameOwners(address owner);
    error NoShare(uint64 id, address wallet);

    address public immutable first;
    address public immutable second;
    mapping(bytes32 decision => address) public wantedBy;

    modifier onlyOwner() {
        if (msg.sender != first && msg.sender != second) revert NotAnOwner(msg.sender);
        _;
    }

    /// Runs at the second owner's call; the first one's is noted.
    modifier byBoth() {
        if (msg.sender != first && msg.sender != second) revert NotAnOwner(msg.sender);
        bytes32 decision = keccak256(msg.data);
        address by = wantedBy[decision];
        if (by == address(0) || by == msg.sender) {
            wantedBy[decision] = msg.sender;
            emit Wanted(msg.sender, decision);
            return;
        }
        delete wantedBy[decision];
        _;
        emit Done(decision);
    }

    constructor(address first_, address second_) {
        if (first_ == second_) revert SameOwners(first_);
        (first, second) = (first_, second_);
    }

    /// Another weight of a stream, from the timelock's end on.
    function setWeight(uint64 id, RewardStreams.Weight calldata weight) external byBoth {
        RewardStreams.setWeight(id, weight);
    }

    /// A stream whose shares this contract writes.
    function registerStream(
        uint64 id,
        RewardStreams.Weight calldata weight,
        RewardStreams.Share[] calldata shares,
        int64 activation
    ) external byBoth {
        RewardStreams.registerStream(id, weight, address(this), shares, activation);
    }

    /// The shares of the next period.
    function setShares(uint64 id, RewardStreams.Share[] calldata shares) external byBoth {
        RewardStreams.setShares(id, shares);
    }

    /// One owner is enough where a recipient has lost a key.
    function replaceAddress(uint64 id, address old, address heir) external onlyOwner {
        if (!RewardStreams.replaceAddress(id, old, heir)) revert NoShare(id, old);
        emit Replaced(id, old, heir);
    }

    /// Pays recipients, at anybody's call: the money goes to them, not to the caller.
    function claim(uint64 id, address[] calldata wallets) external returns (uint256[] memory amounts) {
        amounts = RewardStreams.claim(id, wallets);
        for (uint256 i = 0; i < wallets.length; i++) {
            if (amounts[i] > 0) emit Paid(id, wallets[i], amounts[i]);
        }
    }
}
