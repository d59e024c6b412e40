// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Named} from "../src/Named.sol";

interface Vm {
    function broadcast() external;
}

contract Actors {
    function run() external {
        Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D).broadcast();
        Named named = new Named();
        require(named.answer().length > 0, "no name");
    }
}
