// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

interface Cheats {
    function assume(bool condition) external pure;
    function assertTrue(bool condition) external pure;
    function skip(bool skipTest, string calldata reason) external pure;
}

Cheats constant CHEATS = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));

contract TableTest {
    struct Row {
        uint256 one;
        uint256 twice;
    }

    uint256[] public fixtureAmount = [1, 2, 30];
    bool[] public fixture_swap = [true, false, true];
    uint256[] public fixtureShort = [1, 2];
    uint256[] public fixtureEmpty;
    uint256 calls;

    function fixtureRow() public pure returns (Row[] memory rows) {
        rows = new Row[](2);
        rows[0] = Row(1, 2);
        rows[1] = Row(3, 6);
    }

    function fixtureFixed() public pure returns (uint256[2] memory rows) {
        rows = [uint256(5), 6];
    }

    function fixtureReverts() public pure returns (uint256[] memory) {
        revert("no fixture");
    }

    function fixtureScalar() public pure returns (uint256) {
        return 5;
    }

    function tableEachFromTheStateOfSetUp(uint256 amount, bool swap) public {
        calls++;
        require(calls == 1 && (amount == 2) != swap);
    }

    function table_fails_in_the_middle(uint256 amount) public pure {
        require(amount != 2, "two");
    }

    function tableFailsAtLast(uint256 amount) public pure {
        CHEATS.assertTrue(amount < 30);
    }

    function tablePanics(uint256 amount) public pure {
        assert(amount != 30);
    }

    function tableStruct(Row memory row) public pure {
        require(row.twice == 2 * row.one);
    }

    function tableFixed(uint256 fixed_) public pure {
        require(fixed_ >= 5);
    }

    function tableUnderscores(uint256 _amount_) public pure {
        require(_amount_ != 0);
    }

    function tableLetters(uint256 AMOUNT) public pure {
        require(AMOUNT != 0);
    }

    function tableSkips(uint256 amount) public pure {
        CHEATS.skip(amount == 2, "why");
    }

    function tableAssumes(uint256 amount) public pure {
        CHEATS.assume(amount != 2);
    }

    function tableNoParameter() public pure {}

    function tableNoFixture(uint256 nothing) public pure {}

    function tableNoSecondFixture(uint256 amount, uint256 nothing) public pure {}

    function tableLengths(uint256 amount, uint256 short) public pure {}

    function tableEmpty(uint256 empty) public pure {}

    function tableReverts(uint256 reverts) public pure {}

    function tableScalar(uint256 scalar) public pure {}

    function tableType(address amount) public pure {}

    function tableWidth(uint8 amount) public pure {}
}
