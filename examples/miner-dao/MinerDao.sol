// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MinerAPI} from "filecoin-solidity-api/contracts/v0.8/MinerAPI.sol";
import {PrecompilesAPI} from "filecoin-solidity-api/contracts/v0.8/PrecompilesAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {MinerTypes} from "filecoin-solidity-api/contracts/v0.8/types/MinerTypes.sol";
import {BigInts} from "filecoin-solidity-api/contracts/v0.8/utils/BigInts.sol";
import {FilAddressIdConverter} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddressIdConverter.sol";
import {FilAddresses} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddresses.sol";

/// Owns a storage miner, a built-in actor, and changes who gets its money when the majority of its members wants that.
contract MinerDao {
    /// A beneficiary may take out `quota` attoFIL of the miner's until the epoch `expiration`.
    struct Proposal {
        uint64 beneficiary;
        uint256 quota;
        int64 expiration;
        uint64 votingEnds;
        uint32 votes;
        bool executed;
    }

    event OwnershipTaken(uint64 indexed miner);
    event Proposed(uint256 indexed proposal, address indexed by, uint64 beneficiary, uint256 quota, int64 expiration);
    event Voted(uint256 indexed proposal, address indexed by);
    event Executed(uint256 indexed proposal);

    error NotAMember(address caller);
    error NoMembers();
    error MemberTwice(address member);
    error VotedAlready(uint256 proposal, address caller);
    error VotingOver(uint256 proposal);
    error ExecutedAlready(uint256 proposal);
    error NoMajority(uint256 proposal, uint256 votes, uint256 needed);
    /// The miner actor answered with an exit code, or the machine refused the call (below 0).
    error MinerRefused(uint64 miner, int256 exit);

    uint64 public immutable miner;
    uint64 public immutable votingEpochs;
    uint256 public immutable majority;
    mapping(address member => bool) public isMember;
    Proposal[] public proposals;
    mapping(uint256 proposal => mapping(address member => bool)) public hasVoted;

    modifier onlyMember() {
        if (!isMember[msg.sender]) revert NotAMember(msg.sender);
        _;
    }

    /// Members are Ethereum accounts, contracts, or native accounts by the masked-ID address that contracts see.
    constructor(uint64 miner_, address[] memory members, uint64 votingEpochs_) {
        if (members.length == 0) revert NoMembers();
        for (uint256 i = 0; i < members.length; i++) {
            // By its masked ID an actor with an f410 address could never vote, and would count for the majority.
            address member = FilAddressIdConverter.normalize(members[i]);
            if (isMember[member]) revert MemberTwice(member);
            isMember[member] = true;
        }
        miner = miner_;
        votingEpochs = votingEpochs_;
        majority = members.length / 2 + 1;
    }

    /// The second half of a change of owner: the owner has proposed this contract, and it agrees. Anyone may call.
    function takeOwnership() external {
        uint64 self = PrecompilesAPI.resolveEthAddress(address(this));
        check(MinerAPI.changeOwnerAddress(CommonTypes.FilActorId.wrap(miner), FilAddresses.fromActorID(self)));
        emit OwnershipTaken(miner);
    }

    function propose(uint64 beneficiary, uint256 quota, int64 expiration) external onlyMember returns (uint256 proposal) {
        proposal = proposals.length;
        proposals.push(Proposal(beneficiary, quota, expiration, uint64(block.number) + votingEpochs, 0, false));
        emit Proposed(proposal, msg.sender, beneficiary, quota, expiration);
    }

    function vote(uint256 proposal) external onlyMember {
        Proposal storage p = proposals[proposal];
        if (block.number > p.votingEnds) revert VotingOver(proposal);
        if (hasVoted[proposal][msg.sender]) revert VotedAlready(proposal, msg.sender);
        hasVoted[proposal][msg.sender] = true;
        p.votes++;
        emit Voted(proposal, msg.sender);
    }

    /// Anyone may carry out what has a majority. If the miner refuses, nothing is changed and it can be tried again.
    function execute(uint256 proposal) external {
        Proposal storage p = proposals[proposal];
        if (p.executed) revert ExecutedAlready(proposal);
        if (p.votes < majority) revert NoMajority(proposal, p.votes, majority);
        p.executed = true;
        emit Executed(proposal);
        MinerTypes.ChangeBeneficiaryParams memory change = MinerTypes.ChangeBeneficiaryParams({
            new_beneficiary: FilAddresses.fromActorID(p.beneficiary),
            new_quota: BigInts.fromUint256(p.quota),
            new_expiration: CommonTypes.ChainEpoch.wrap(p.expiration)
        });
        check(MinerAPI.changeBeneficiary(CommonTypes.FilActorId.wrap(miner), change));
    }

    function check(int256 exit) private view {
        if (exit != 0) revert MinerRefused(miner, exit);
    }
}
