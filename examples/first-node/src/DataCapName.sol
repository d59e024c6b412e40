// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Asks a built-in actor of Filecoin, the DataCap token (f07), for its name, and can keep the answer.
contract DataCapName {
    /// The precompile that calls an actor by its id. Must be called by DELEGATECALL.
    address private constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;
    uint64 private constant DATACAP = 7;
    /// The method `Name`, by its number (FRC-42).
    uint64 private constant NAME = 48890204;
    uint64 private constant READ_ONLY = 1;

    /// The actor could not be called, or answered with an exit code.
    error ActorFailed(int256 exit);
    /// The answer is no short text in CBOR.
    error NoText(bytes answer);

    event Kept(string name);

    /// What `keep` kept.
    string public kept;

    /// The name, asked anew each time.
    function name() public returns (string memory) {
        (bool called, bytes memory output) =
            CALL_ACTOR_BY_ID.delegatecall(abi.encode(NAME, 0, READ_ONLY, 0, "", DATACAP));
        if (!called) revert ActorFailed(0);
        (int256 exit,, bytes memory answer) = abi.decode(output, (int256, uint64, bytes));
        if (exit != 0) revert ActorFailed(exit);
        return text(answer);
    }

    /// Asks, and keeps the answer in this contract's storage.
    function keep() external {
        kept = name();
        emit Kept(kept);
    }

    /// The content of a CBOR text of less than 24 bytes: one head byte, then the bytes.
    function text(bytes memory answer) private pure returns (string memory) {
        if (answer.length == 0 || uint8(answer[0]) != 0x60 + answer.length - 1) revert NoText(answer);
        bytes memory content = new bytes(answer.length - 1);
        for (uint256 i = 0; i < content.length; i++) {
            content[i] = answer[i + 1];
        }
        return string(content);
    }
}
