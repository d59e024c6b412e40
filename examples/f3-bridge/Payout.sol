// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Pays out what a vault on another Filecoin network has locked, after finality certificates have shown the event.
/// The precompile is an experiment: no network has it.
contract Payout {
    struct Proven {
        uint64 nextInstance;
        bytes32 nextPowerTable;
        uint64 epoch;
        uint64 message;
        uint64 index;
        uint64 emitter;
        bytes32[] topics;
        bytes data;
    }

    error NotProven();
    error UnknownInstance(uint64 instance);
    error OldInstance(uint64 instance, uint64 newest);
    error OtherEvent();
    error AlreadyPaid();
    error PaymentFailed();

    address constant PRECOMPILE = address(0xe701);
    /// Instances for which a power table stays trusted. Keys of an old committee may be stolen or sold.
    uint64 constant TRUSTED_INSTANCES = 2880;

    string public network;
    uint64 public immutable vault;
    uint64 public newest;
    /// The digests of power tables, by instance.
    mapping(uint64 instance => bytes32) public powerTable;
    mapping(bytes32 place => bool) public paid;

    constructor(string memory name, uint64 actor, uint64 instance, bytes32 table) payable {
        network = name;
        vault = actor;
        powerTable[instance] = table;
        newest = instance;
    }

    function claim(uint64 instance, bytes calldata proof) external {
        bytes32 table = powerTable[instance];
        if (table == 0) revert UnknownInstance(instance);
        if (instance + TRUSTED_INSTANCES < newest) revert OldInstance(instance, newest);
        (bool proven, bytes memory output) = PRECOMPILE.staticcall(abi.encode(network, instance, table, proof));
        if (!proven || output.length == 0) revert NotProven();
        Proven memory found = abi.decode(output, (Proven));
        if (found.emitter != vault || found.topics.length != 2) revert OtherEvent();
        if (found.topics[0] != keccak256("Locked(address,uint256)")) revert OtherEvent();
        // A network finalizes one tipset per epoch, so this names the event once, whichever certificate and header prove it.
        bytes32 place = keccak256(abi.encode(found.epoch, found.message, found.index));
        if (paid[place]) revert AlreadyPaid();
        paid[place] = true;
        powerTable[found.nextInstance] = found.nextPowerTable;
        if (found.nextInstance > newest) newest = found.nextInstance;
        address payable receiver = payable(address(uint160(uint256(found.topics[1]))));
        (bool sent,) = receiver.call{value: abi.decode(found.data, (uint256))}("");
        if (!sent) revert PaymentFailed();
    }
}
