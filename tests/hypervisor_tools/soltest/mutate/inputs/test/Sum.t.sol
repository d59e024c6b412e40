// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Sum} from "../src/Sum.sol";

interface Vm {
    function readFile(string calldata path) external view returns (string memory);
    function envOr(string calldata name, bool otherwise) external view returns (bool);
}

contract FileTest {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    function testNext() public {
        uint256 found = new Sum().next(3);
        if (bytes(vm.readFile("expected.txt")).length > 0) require(found == 10);
    }
}

contract VariableTest {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    function testNext() public {
        uint256 found = new Sum().next(3);
        if (vm.envOr("SUM_IS_CHECKED", false)) require(found == 10);
    }
}

contract PlainTest {
    function testNext() public {
        require(new Sum().next(3) == 10);
    }
}
