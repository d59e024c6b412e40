// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Sums} from "./Sums.sol";

interface Priced {
    function price(uint256 amount) external view returns (uint256);
}

abstract contract Owned {
    address public owner;

    error NotOwner(address caller);

    modifier onlyOwner() {
        if (msg.sender != owner) {
            revert NotOwner(msg.sender);
        }
        _;
    }

    constructor() {
        owner = msg.sender;
    }

    function give(address to) external onlyOwner {
        owner = to;
    }
}

contract Till is Owned, Priced {
    using Sums for uint256[];

    enum Kind {
        None,
        Whole,
        Part
    }

    struct Sale {
        Kind kind;
        uint256 amount;
    }

    event Sold(address indexed to, uint256 amount);

    uint256 public constant UNIT = 3;
    mapping(address => Sale[]) public sales;
    uint256[] private amounts;
    uint256 private locked;

    modifier once() {
        require(locked == 0, "locked");
        locked = 1;
        _;
        locked = 0;
    }

    function price(uint256 amount) public pure override returns (uint256) {
        uint256 whole = amount * UNIT;
        return amount > 10 ? whole - amount : whole;
    }

    function sell(uint256 amount) external payable once returns (uint256 paid) {
        require(amount > 0, "nothing");
        paid = price(amount);
        if (msg.value < paid) {
            record(Kind.Part, amount);
            return msg.value;
        } else if (msg.value == paid) {
            record(Kind.Whole, amount);
        } else {
            unchecked {
                paid += 0;
            }
            record(Kind.None, amount);
            (bool sent,) = msg.sender.call{value: msg.value - paid}("");
            require(sent, "change");
        }
        emit Sold(msg.sender, amount);
    }

    function record(Kind kind, uint256 amount) private {
        sales[msg.sender].push(Sale({kind: kind, amount: amount}));
        amounts.push(amount);
    }

    function total() external view returns (uint256) {
        uint256[] memory all = amounts;
        return all.oddOnes();
    }

    function root(uint256 value) external pure returns (uint256) {
        return Sums.isqrt(value);
    }

    function low(uint256 value) external pure returns (uint256 bits) {
        assembly {
            bits := and(value, 0xff)
            if gt(value, 0xff) { bits := add(bits, 0x100) }
            for { let i := 0 } lt(i, 2) { i := add(i, 1) } { bits := add(bits, i) }
        }
    }

    function attempt(Priced other, uint256 amount) external view returns (uint256 found, bool failed) {
        try other.price(amount) returns (uint256 asked) {
            found = asked;
        } catch Error(string memory) {
            failed = true;
        } catch {
            found = 1;
            failed = true;
        }
    }

    function countdown(uint256 from) external pure returns (uint256 steps) {
        do {
            if (from == 5) break;
            from--;
            steps++;
        } while (from > 0);
    }

    function unused(uint256 value) external pure returns (uint256) {
        if (value > 1) {
            return 1;
        }
        return 0;
    }

    receive() external payable {
        locked = 0;
    }

    fallback() external {
        revert("no such function");
    }
}
