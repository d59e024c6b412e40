// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

contract Child {
    uint256 public immutable number;
    address public immutable maker;

    constructor(uint256 number_) payable {
        require(number_ != 13, "unlucky");
        number = number_;
        maker = msg.sender;
    }

    function times(uint256 factor) external view returns (uint256) {
        return number * factor;
    }

    receive() external payable {}
}

// Calls, creates, and reads all that a contract can read.
contract Caller {
    uint256 public last;
    uint256 transient passing;
    address public child;

    constructor() payable {}

    function call(address to, uint256 value, bytes calldata data) external payable returns (bool ok, bytes memory result) {
        (ok, result) = to.call{value: value}(data);
        last += result.length;
    }

    function look(address to, bytes calldata data) external view returns (bool ok, bytes memory result) {
        (ok, result) = to.staticcall(data);
    }

    function lend(address to, bytes calldata data) external payable returns (bool ok, bytes memory result) {
        (ok, result) = to.delegatecall(data);
    }

    function make(uint256 number) external payable returns (address) {
        child = address(new Child{value: msg.value}(number));
        return child;
    }

    function make2(uint256 number, bytes32 salt) external payable returns (address) {
        child = address(new Child{salt: salt}(number));
        return child;
    }

    function tryMake(uint256 number) external returns (bytes memory) {
        try new Child(number) returns (Child made) {
            return abi.encode(made);
        } catch (bytes memory reason) {
            return reason;
        }
    }

    function pay(address payable to) external payable {
        to.transfer(msg.value);
    }

    function block_() external view returns (uint256, uint256, address, uint256, uint256, uint256, uint256) {
        return (block.number, block.timestamp, block.coinbase, block.chainid, block.basefee, block.gaslimit, tx.gasprice);
    }

    function past(uint256 number) external view returns (bytes32) {
        return blockhash(number);
    }

    function message() external payable returns (address, address, uint256, bytes32, uint256, uint256) {
        return (msg.sender, tx.origin, msg.value, keccak256(msg.data), address(this).balance, msg.sender.balance);
    }

    function code(address of_) external view returns (uint256, bytes32) {
        return (of_.code.length, of_.codehash);
    }

    function pass(uint256 number) external returns (uint256) {
        passing = number;
        return passing + 1;
    }

    function hashes(bytes calldata data) external pure returns (bytes32, bytes32, address) {
        return (keccak256(data), sha256(data), ecrecover(keccak256(data), 27, bytes32(uint256(1)), bytes32(uint256(2))));
    }

    function fail(string calldata reason) external pure {
        revert(reason);
    }

    receive() external payable {}
}
