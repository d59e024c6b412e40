// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Native} from "./Native.sol";

/// Asks a built-in actor of Filecoin, the DataCap token (f07), for its name, and can keep the answer.
contract DataCapName {
    event Kept(string name);

    /// The actor answered with an exit code.
    error ActorFailed(int256 exit);
    /// The answer is no short text in CBOR.
    error NoText(bytes answer);

    uint64 private constant DATACAP = 7;
    /// FRC-42 number of `Name`.
    uint64 private constant NAME = 48890204;

    /// What `keep` kept.
    string public kept;

    /// The name, asked anew each time.
    function name() public returns (string memory) {
        (int256 exit, bytes memory answer) = Native.call(DATACAP, NAME, 0, "");
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
