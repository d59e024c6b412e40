// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

interface Asserts {
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata words) external pure;
    function assertTrue(bool condition) external pure;
}

contract Handler {
    Asserts constant CHEATS = Asserts(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 immutable kind;
    uint256 public calls;

    constructor(uint256 kind_) {
        kind = kind_;
    }

    function act(uint8 by) external {
        calls++;
        if (by < 100) return;
        if (kind == 0) assert(false);
        if (kind == 1) require(false, "assertion failed: mine");
        if (kind == 2) require(false, "an assertion failed: mine");
        if (kind == 3) CHEATS.assertEq(uint256(1), uint256(2));
        if (kind == 4) CHEATS.assertEq(uint256(1), uint256(2), "words");
        if (kind == 5) assembly { invalid() }
        if (kind == 6) revert("other");
        if (kind == 7) calls -= 1000;
        if (kind == 8) CHEATS.assertTrue(false);
    }
}

abstract contract HandlerTest {
    Handler handler;

    function kind() internal pure virtual returns (uint256);

    function setUp() public {
        handler = new Handler(kind());
    }

    function invariant_holds() public pure {}
}

contract PanicTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 0;
    }

    function invariant_with(uint256) public pure {}
}

contract WordsTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 1;
    }
}

contract WordsInsideTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 2;
    }
}

contract CheatcodeTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 3;
    }
}

contract CheatcodeWithWordsTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 4;
    }
}

contract InvalidTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 5;
    }
}

contract RevertTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 6;
    }
}

contract OverflowTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 7;
    }
}

contract TrueTest is HandlerTest {
    function kind() internal pure override returns (uint256) {
        return 8;
    }
}

contract Level {
    int256 public level;

    function raise(uint8 by) external {
        level += int256(uint256(by));
    }

    function lower() external {
        level -= 1;
    }
}

contract MaximizingTest {
    Level target;

    function setUp() public {
        target = new Level();
    }

    function invariant_level() public view returns (int256) {
        return target.level();
    }

    function invariant_level_below_hundred() public view returns (int256) {
        require(target.level() < 100, "too high");
        return target.level();
    }
}
