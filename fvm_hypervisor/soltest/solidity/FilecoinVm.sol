// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity >=0.8.0;

/// Filecoin's own cheatcodes of `hypervisor test`, at the same address as forge's.
/// Actors are named by ID; addresses as text may be f0 to f4, t0 to t4, or 0x and forty digits. Money is attoFIL.
interface FilecoinVm {
    /// Let epochs end: cron runs at the end of each, then number and time are those of the next one.
    function advanceEpochs(uint256 count) external;
    /// The same with a block of a miner's in each epoch, which has its reward before cron runs.
    function advanceEpochs(uint256 count, uint64 miner) external;
    /// Epochs without blocks: cron runs in them as well.
    function nullRounds(uint256 count) external;

    /// Give any address so much more; an account comes into being where nobody is.
    function mintFil(string calldata to, uint256 amount) external;
    function filBalance(string calldata account) external view returns (uint256);
    function actorId(string calldata account) external view returns (uint64);
    /// How contracts see the actor behind an address.
    function actorAddress(string calldata account) external view returns (address);
    /// The f410 address (or f0, of a masked ID) of an account.
    function filAddress(address account) external pure returns (string memory);

    /// Let the next call be made by an actor of the network: its address is that of its ID.
    function prankActor(uint64 actor) external;
    /// Call an actor's method in another actor's name. The exit code is negative for what the machine itself refuses.
    function callActorAs(uint64 from, uint64 to, uint64 method, uint64 codec, bytes calldata params, uint256 value)
        external
        returns (int256 exitCode, uint64 returnCodec, bytes memory returnData);

    /// A storage miner with so much power in bytes, raw and quality-adjusted, and no sectors.
    function createMiner(address owner, uint256 rawPower, uint256 qualityAdjustedPower) external returns (uint64 miner);
    /// Make an account a verified client with DataCap for so many bytes more, at least 256.
    function grantDataCap(address client, uint256 size) external;
    function grantDataCap(string calldata client, uint256 size) external;

    /// Let an address govern the streams of the block reward (f02's SWA): what it writes waits so many epochs.
    function governStreams(address authority, uint64 timelockEpochs) external;

    /// What is at a path of the state, in JSON: `f04/state/total_raw_byte_power`, `f0100/balance`.
    function readActorState(string calldata path) external view returns (string memory json);
    /// What a message to a contract would use in Filecoin's gas, by Filecoin's rules and the state as it is now.
    function filecoinGas(address from, address to, uint256 value, bytes calldata data)
        external
        returns (uint64 gas, int256 exitCode, bytes memory returnData);
}

// Where the cheatcodes are.
FilecoinVm constant filecoinVm = FilecoinVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
