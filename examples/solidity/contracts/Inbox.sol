// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A contract that is called by native actors: as Ethereum calls, and by any other method number.
contract Inbox {
    event Greeted(address indexed from, uint256 value, string text, uint256 greetings);
    event Notified(address indexed from, uint64 indexed method, uint64 codec, bytes params);

    /// Of method `Refuse`: the exit code that the native caller sees.
    uint32 public constant REFUSED = 77;

    uint64 private constant NO_DATA = 0;
    uint64 private constant CBOR = 0x51;
    /// FRC-42 number of `Refuse`.
    uint64 private constant REFUSE = 1000946503;

    uint256 public greetings;
    uint64 public lastMethod;

    function greet(string calldata text) external payable returns (uint256) {
        greetings++;
        emit Greeted(msg.sender, msg.value, text, greetings);
        return greetings;
    }

    /// Changes the state and reverts: an Ethereum caller gets Error(reason), a native one exit code 33 and the same data.
    function refuse(string calldata reason) external payable {
        greetings++;
        revert(reason);
    }

    /// Every method number from 1024 on, other than InvokeEVM, comes here. Answers what it was given.
    function handle_filecoin_method(uint64 method, uint64 codec, bytes calldata params)
        external
        payable
        returns (uint32 exit, uint64 answerCodec, bytes memory answer)
    {
        if (method == REFUSE) return (REFUSED, NO_DATA, "");
        lastMethod = method;
        emit Notified(msg.sender, method, codec, params);
        return (0, params.length == 0 ? NO_DATA : CBOR, params);
    }
}
