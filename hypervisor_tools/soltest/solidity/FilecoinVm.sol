// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity >=0.8.0;

/// Filecoin's cheatcodes of `hypervisor test`, at the same address as forge's.
/// Actors are identified by ID; address strings may be f0 to f4, t0 to t4, or 0x and 40 digits. Amounts are attoFIL.
interface FilecoinVm {
    /// End epochs: cron runs at the end of each, then block number and timestamp are those of the next one.
    function advanceEpochs(uint256 count) external;
    /// End epochs with one block of a miner each, whose reward is paid before cron runs.
    function advanceEpochs(uint256 count, uint64 miner) external;
    /// End epochs without blocks; cron runs in them as well.
    function nullRounds(uint256 count) external;

    /// Add to the balance of any address; creates an account if there is none.
    function mintFil(string calldata to, uint256 amount) external;
    function filBalance(string calldata account) external view returns (uint256);
    function actorId(string calldata account) external view returns (uint64);
    /// Return the address under which contracts see an actor.
    function actorAddress(string calldata account) external view returns (address);
    /// Return the f410 address of an account (f0 for a masked ID).
    function filAddress(address account) external pure returns (string memory);

    /// Make the next call as an actor of the network, whose address is its masked ID.
    function prankActor(uint64 actor) external;
    /// Call an actor's method as another actor. The exit code is negative if the machine itself rejects the call.
    function callActorAs(uint64 from, uint64 to, uint64 method, uint64 codec, bytes calldata params, uint256 value)
        external
        returns (int256 exitCode, uint64 returnCodec, bytes memory returnData);

    /// Create an actor with a WASM module of the project's files, and run its constructor with CBOR parameters.
    /// Requires read access to the file in `fs_permissions`. The name of a contract with another compiler of
    /// foundry.toml (docs/solidity-tests.md) is its code, whose parameters are the constructor's arguments in the ABI.
    function deployActor(string calldata wasm, bytes calldata params) external returns (uint64 actor);

    /// Create a storage miner with this power in bytes (raw and quality-adjusted) and no sectors.
    function createMiner(address owner, uint256 rawPower, uint256 qualityAdjustedPower) external returns (uint64 miner);
    /// Make an account a verified client, or add to its DataCap; `size` in bytes, at least 256.
    function grantDataCap(address client, uint256 size) external;
    function grantDataCap(string calldata client, uint256 size) external;

    /// Let an address govern the streams of the block reward (f02's SWA); changes take effect after the timelock.
    function governStreams(address authority, uint64 timelockEpochs) external;

    /// Return the state at a path as JSON: `f04/state/total_raw_byte_power`, `f0100/balance`.
    function readActorState(string calldata path) external view returns (string memory json);
    /// Return the Filecoin gas of a message to a contract, by Filecoin's rules in the current state.
    function filecoinGas(address from, address to, uint256 value, bytes calldata data)
        external
        returns (uint64 gas, int256 exitCode, bytes memory returnData);
}

// The address of the cheatcodes.
FilecoinVm constant filecoinVm = FilecoinVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
