// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {LedgerNUMBER} from "../src/LedgerNUMBER.sol";

contract LedgerNUMBERTest {
    LedgerNUMBER ledger = new LedgerNUMBER();

    function test_moves_0() public {
        ledger.put(0 + 10);
        require(ledger.move(address(0 + 1), 0) == 10);
        require(ledger.held(address(0 + 1)) == 0);
        uint256[] memory amounts = new uint256[](0 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_1() public {
        ledger.put(1 + 10);
        require(ledger.move(address(1 + 1), 1) == 10);
        require(ledger.held(address(1 + 1)) == 1);
        uint256[] memory amounts = new uint256[](1 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_2() public {
        ledger.put(2 + 10);
        require(ledger.move(address(2 + 1), 2) == 10);
        require(ledger.held(address(2 + 1)) == 2);
        uint256[] memory amounts = new uint256[](2 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_3() public {
        ledger.put(3 + 10);
        require(ledger.move(address(3 + 1), 3) == 10);
        require(ledger.held(address(3 + 1)) == 3);
        uint256[] memory amounts = new uint256[](3 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_4() public {
        ledger.put(4 + 10);
        require(ledger.move(address(4 + 1), 4) == 10);
        require(ledger.held(address(4 + 1)) == 4);
        uint256[] memory amounts = new uint256[](4 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_5() public {
        ledger.put(5 + 10);
        require(ledger.move(address(5 + 1), 5) == 10);
        require(ledger.held(address(5 + 1)) == 5);
        uint256[] memory amounts = new uint256[](5 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_6() public {
        ledger.put(6 + 10);
        require(ledger.move(address(6 + 1), 6) == 10);
        require(ledger.held(address(6 + 1)) == 6);
        uint256[] memory amounts = new uint256[](6 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_7() public {
        ledger.put(7 + 10);
        require(ledger.move(address(7 + 1), 7) == 10);
        require(ledger.held(address(7 + 1)) == 7);
        uint256[] memory amounts = new uint256[](7 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_8() public {
        ledger.put(8 + 10);
        require(ledger.move(address(8 + 1), 8) == 10);
        require(ledger.held(address(8 + 1)) == 8);
        uint256[] memory amounts = new uint256[](8 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_9() public {
        ledger.put(9 + 10);
        require(ledger.move(address(9 + 1), 9) == 10);
        require(ledger.held(address(9 + 1)) == 9);
        uint256[] memory amounts = new uint256[](9 + 5);
        require(ledger.sum(amounts) == 0);
    }
    function test_moves_10() public {
        ledger.put(10 + 10);
        require(ledger.move(address(10 + 1), 10) == 10);
        require(ledger.held(address(10 + 1)) == 10);
        uint256[] memory amounts = new uint256[](10 + 5);
        require(ledger.sum(amounts) == 0);
    }
}
