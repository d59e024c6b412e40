// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

contract Leaf {
    uint256 public immutable seed;

    constructor(uint256 seed_) payable {
        if (seed_ % 5 == 4) revert("a fifth fails");
        seed = seed_;
    }
}

// Runs a program of calls and effects; the result is a digest of all that it saw.
contract Node {
    uint256 public sum;
    mapping(uint256 => uint256) public slots;
    uint256 transient passing;

    event Ran(uint256 indexed number, bytes32 digest);

    error Failed(bytes32 digest);

    constructor() payable {}

    receive() external payable {}

    fallback(bytes calldata program) external payable returns (bytes memory) {
        bytes32 digest = keccak256(abi.encode(msg.sender, msg.value, address(this), program.length));
        uint256 at;
        while (at < program.length) {
            uint256 kind = uint8(program[at]);
            uint256 number = uint8(program[at + 1]);
            at += 2;
            if (kind < 3) {
                uint256 size = uint16(bytes2(program[at + 20:at + 22]));
                digest = called(kind, number, address(bytes20(program[at:at + 20])), program[at + 22:at + 22 + size], digest);
                at += 22 + size;
            } else {
                digest = changed(kind, number, digest);
            }
        }
        return abi.encode(digest);
    }

    function called(uint256 kind, uint256 value, address to, bytes calldata data, bytes32 digest) private returns (bytes32) {
        bool ok;
        bytes memory result;
        if (kind == 0) (ok, result) = to.call{value: value}(data);
        else if (kind == 1) (ok, result) = to.staticcall(data);
        else (ok, result) = to.delegatecall(data);
        return keccak256(abi.encode(digest, ok, result));
    }

    function changed(uint256 kind, uint256 number, bytes32 digest) private returns (bytes32) {
        uint256 seen;
        if (kind == 3) seen = sum += number;
        else if (kind == 4) seen = slots[number] = uint256(digest) * (number % 3);
        else if (kind == 5) emit Ran(number, digest);
        else if (kind == 6) seen = passing += number;
        else if (kind == 7) seen = slots[number];
        else if (kind == 8) seen = address(this).balance;
        else if (kind == 9) revert Failed(digest);
        else if (kind == 10) seen = 1 / (number % 2);
        else seen = made(number);
        return keccak256(abi.encode(digest, seen));
    }

    function made(uint256 number) private returns (uint256) {
        try new Leaf{value: number % 2}(number) returns (Leaf leaf) {
            return leaf.seed() + uint160(address(leaf));
        } catch (bytes memory reason) {
            return reason.length;
        }
    }
}
