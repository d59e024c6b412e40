// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Calls from a contract to any Filecoin actor, through the precompile call_actor_by_id.
library Native {
    /// Must be called by DELEGATECALL: the calling contract stays the sender, and pays.
    address internal constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;

    uint64 internal constant NO_PARAMS = 0;
    uint64 internal constant CBOR = 0x51;

    /// The precompile itself refused: a method below 1024, for example.
    error NotCallable(uint64 actor, uint64 method);

    /// Sends `value` and calls `method` of actor f0`actor` with CBOR parameters (none if empty).
    /// `exit` is 0 or the actor's exit code; below zero it is the error number of a send that reached nobody.
    function call(uint64 actor, uint64 method, uint256 value, bytes memory params)
        internal
        returns (int256 exit, bytes memory answer)
    {
        uint64 flags = 0;
        uint64 codec = params.length == 0 ? NO_PARAMS : CBOR;
        (bool called, bytes memory output) =
            CALL_ACTOR_BY_ID.delegatecall(abi.encode(method, value, flags, codec, params, actor));
        if (!called || output.length == 0) revert NotCallable(actor, method);
        (exit,, answer) = abi.decode(output, (int256, uint64, bytes));
    }

    /// The id in an address of the form ff, eleven zeros, id: this is how an actor without an Ethereum address looks.
    function idOf(address actor) internal pure returns (uint64) {
        require(uint160(actor) >> 64 == uint160(0xff) << 88, "not an actor id");
        return uint64(uint160(actor));
    }
}
