// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

// Each test fails for few inputs only: the defect is the line before the assertion, or the condition that it is behind.

/// One number opens it.
contract MagicNumber {
    function testFuzz(uint256 x) public pure { assert(x != 0x5ca1ab1e); }
}

/// Three numbers, one behind the other.
contract NestedNumbers {
    function testFuzz(uint256 a, uint64 b, int128 c) public pure {
        if (a == 31337) { if (b > 7_000_000 && b < 7_000_010) { if (c == -42) { assert(false); } } }
    }
}

/// The number is not in the source: another one is the result of a sum.
contract LinearNumber {
    function testFuzz(uint256 x) public pure { unchecked { assert(x * 3 + 7 != 3_000_007); } }
}

/// A price times an amount wraps around.
contract UncheckedProduct {
    function testFuzz(uint128 amount, uint256 price) public pure {
        if (amount == 0 || price == 0) return;
        uint256 cost;
        unchecked { cost = amount * price; }
        assert(cost >= price);
    }
}

/// Small amounts pay no fee.
contract FeeRounding {
    function testFuzz(uint96 amount) public pure {
        uint256 fee = uint256(amount) * 30 / 10_000;
        assert(amount == 0 || fee > 0);
    }
}

/// The last element is passed by.
contract LastElement {
    function testFuzz(uint256[] memory row) public pure {
        if (row.length < 2) return;
        uint256 most;
        for (uint256 i; i < row.length - 1; i++) if (row[i] > most) most = row[i];
        for (uint256 i; i < row.length; i++) assert(row[i] <= most);
    }
}

/// What does not fit is cut off.
contract Truncation {
    function testFuzz(uint128 x) public pure { assert(uint96(x) == x); }
}

/// A text opens it.
contract Password {
    function testFuzz(string memory text) public pure { assert(keccak256(bytes(text)) != keccak256("open sesame")); }
}

/// Four bytes open it.
contract Selector {
    function testFuzz(bytes4 name) public pure { assert(name != 0xdecafbad); }
}

/// A call whose data begin with a function's name.
contract CallData {
    function testFuzz(bytes memory data) public pure {
        if (data.length < 4 || bytes4(data) != bytes4(keccak256("sweep(address)"))) return;
        assert(false);
    }
}

/// An owner whom only the state knows.
contract OwnerInState {
    address owner;
    function setUp() public { owner = address(uint160(uint256(keccak256(abi.encode(block.chainid, "owner"))))); }
    function testFuzz(address who) public view { assert(who != owner); }
}

/// A number which only the state knows, and one more.
contract NumberInState {
    mapping(uint256 => uint256) limit;
    function setUp() public { limit[7] = uint256(keccak256(abi.encode(address(this)))) >> 3; }
    function testFuzz(uint256 x) public view { assert(x != limit[7] + 1); }
}

/// The least number has no counterpart.
contract Absolute {
    function testFuzz(int256 x) public pure {
        int256 y = x;
        unchecked { if (y < 0) y = -y; }
        assert(y >= 0);
    }
}

/// A window of few numbers behind a large one.
contract Window {
    function testFuzz(uint256 x) public pure { if (x > 1 ether) assert(x > 1 ether + 1); }
}

/// Two rows of one length.
contract SameLength {
    function testFuzz(uint8[] memory a, uint8[] memory b) public pure { assert(a.length != b.length || a.length < 2); }
}

/// A transfer to oneself.
contract SelfTransfer {
    mapping(address => uint256) balance;
    function testFuzz(address from, address to, uint64 amount) public {
        balance[from] = amount;
        uint256 left = balance[from] - amount;
        uint256 right = balance[to] + amount;
        balance[from] = left;
        balance[to] = right;
        assert(balance[from] + (from == to ? 0 : balance[to]) == amount || amount < 2 || from != to && balance[to] >= amount);
        assert(from != to);
    }
}

/// Shares that make a whole.
contract Percent {
    function testFuzz(uint8 a, uint8 b) public pure { assert(uint256(a) + b != 100 || a == 0); }
}

/// Some bits on, some off.
contract Flags {
    function testFuzz(uint16 flags) public pure { assert(flags & 0xF0F0 != 0xA050); }
}

/// A value that the test names as a fixture.
contract Fixture {
    bytes32 constant SEED = "fixture";
    function fixtureAmount() public pure returns (uint256[] memory row) {
        row = new uint256[](2);
        row[0] = 1;
        row[1] = uint256(keccak256(abi.encode(SEED)));
    }
    function testFuzz(uint256 amount) public pure { assert(amount != uint256(keccak256(abi.encode(SEED)))); }
}
