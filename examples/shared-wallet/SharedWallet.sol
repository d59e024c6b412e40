// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SendAPI} from "filecoin-solidity-api/contracts/v0.8/SendAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {FilAddressIdConverter} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddressIdConverter.sol";

/// A wallet of several signers, each of any kind: an Ethereum account, a native account, a contract, or one of
/// Filecoin's built-in multisigs, whose own signers then have one voice here.
contract SharedWallet {
    struct Payment {
        address to;
        uint256 value;
        bytes data;
        uint32 approvals;
        bool executed;
    }

    event Received(address indexed from, uint256 value);
    event Proposed(uint256 indexed payment, address indexed by, address indexed to, uint256 value, bytes data);
    event Approved(uint256 indexed payment, address indexed by);
    event Executed(uint256 indexed payment);

    error NotASigner(address caller);
    error SignerTwice(address signer);
    error BadThreshold(uint256 threshold, uint256 signers);
    error ApprovedAlready(uint256 payment, address caller);
    error ExecutedAlready(uint256 payment);
    /// A native actor's exit code, or below 0 the machine's refusal.
    error SendFailed(address to, int256 exit);
    /// A contract reverted with this data.
    error CallFailed(address to, bytes data);

    uint256 public immutable threshold;
    mapping(address signer => bool) public isSigner;
    mapping(uint256 payment => mapping(address signer => bool)) public hasApproved;
    Payment[] public payments;

    modifier onlySigner() {
        if (!isSigner[msg.sender]) revert NotASigner(msg.sender);
        _;
    }

    constructor(address[] memory signers, uint256 threshold_) payable {
        if (threshold_ == 0 || threshold_ > signers.length) revert BadThreshold(threshold_, signers.length);
        for (uint256 i = 0; i < signers.length; i++) {
            // One actor can have two addresses, its masked ID and an f410 address. As a caller it has the f410 one.
            address signer = FilAddressIdConverter.normalize(signers[i]);
            if (isSigner[signer]) revert SignerTwice(signer);
            isSigner[signer] = true;
        }
        threshold = threshold_;
    }

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }

    /// The proposer approves with it; a threshold of one executes at once.
    function propose(address to, uint256 value, bytes calldata data) external onlySigner returns (uint256 payment) {
        payment = payments.length;
        payments.push(Payment(to, value, data, 0, false));
        emit Proposed(payment, msg.sender, to, value, data);
        approve(payment);
    }

    function approve(uint256 payment) public onlySigner {
        Payment storage p = payments[payment];
        if (p.executed) revert ExecutedAlready(payment);
        if (hasApproved[payment][msg.sender]) revert ApprovedAlready(payment, msg.sender);
        hasApproved[payment][msg.sender] = true;
        p.approvals++;
        emit Approved(payment, msg.sender);
        if (p.approvals >= threshold) execute(payment);
    }

    /// All that is to be remembered is written before anybody else's code runs.
    function execute(uint256 payment) private {
        Payment storage p = payments[payment];
        p.executed = true;
        emit Executed(payment);
        (bool native, uint64 actor) = FilAddressIdConverter.isIDAddress(p.to);
        if (native && p.data.length == 0) {
            // Miners and other built-in actors take money by method 0 only.
            int256 exit = SendAPI.send(CommonTypes.FilActorId.wrap(actor), p.value);
            if (exit != 0) revert SendFailed(p.to, exit);
        } else {
            (bool success, bytes memory data) = p.to.call{value: p.value}(p.data);
            if (!success) revert CallFailed(p.to, data);
        }
    }
}
