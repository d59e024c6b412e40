// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Counter} from "../src/Counter.sol";
import {Named} from "../src/Named.sol";

contract CounterTest {
    Counter counter;

    function setUp() public {
        counter = new Counter(1);
    }

    function test_broken() public {
        counter.add(2);
        require(counter.number() == 4, "not four");
    }

    function test_named() public {
        Named named = new Named();
        require(named.answer().length == 0, "it has a name");
    }

    function testFuzz_broken(uint64 more) public {
        require(counter.add(more) < 1000, "too many");
    }

    function testFuzz_fine(uint64 more) public {
        require(counter.add(more) > 0);
    }

    function invariant_positive() public view {
        require(counter.number() > 0);
    }
}
