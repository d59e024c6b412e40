// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Counter} from "../src/Counter.sol";

interface Vm {
    function startBroadcast() external;
    function startBroadcast(uint256) external;
    function broadcast() external;
    function stopBroadcast() external;
}

contract Deploy {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    Counter public counter;

    function run() external {
        deploy(1);
    }

    function runWith(uint256 first) external returns (Counter made) {
        deploy(first);
        return counter;
    }

    function runAs(uint256 key) external {
        vm.startBroadcast(key);
        new Counter(2);
        vm.stopBroadcast();
    }

    function runBroken() external {
        vm.broadcast();
        counter = new Counter(1);
        counter.fail();
    }

    function deploy(uint256 first) internal {
        Counter free = new Counter(7); // no transaction
        vm.startBroadcast();
        counter = new Counter{value: 5}(first);
        counter.add(41);
        new Counter{salt: bytes32(uint256(9))}(3);
        payable(address(0xdead)).transfer(123);
        vm.stopBroadcast();
        free.add(1);
        require(counter.number() == first + 41, "wrong number");
    }
}
