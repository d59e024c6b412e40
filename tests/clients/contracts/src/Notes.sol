// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What every client's quick start needs: state, events, money, reverts of each kind.
contract Notes {
    event Written(address indexed by, uint256 indexed key, string text, uint256 value);

    /// A custom error with arguments.
    error Refused(address by, uint256 code);

    mapping(uint256 key => string) public notes;
    uint256 public count;
    address public immutable owner;

    constructor(string memory first) payable {
        owner = msg.sender;
        write(0, first);
    }

    function write(uint256 key, string memory text) public payable {
        notes[key] = text;
        count++;
        emit Written(msg.sender, key, text, msg.value);
    }

    function refuse(uint256 code) external view {
        revert Refused(msg.sender, code);
    }

    function fail(string calldata reason) external {
        count++;
        revert(reason);
    }

    function divide(uint256 number, uint256 by) external pure returns (uint256) {
        return number / by;
    }
}
