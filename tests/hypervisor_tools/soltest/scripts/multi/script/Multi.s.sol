// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

interface Vm {
    function createFork(string calldata name) external returns (uint256);
    function createSelectFork(string calldata name) external returns (uint256);
    function selectFork(uint256 fork) external;
    function startBroadcast() external;
    function stopBroadcast() external;
    function broadcast() external;
}

contract Box {
    uint256 public word;

    constructor(uint256 first) {
        word = first;
    }

    function set(uint256 next) external {
        word = next;
    }
}

contract Multi {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    /// Two networks by turns: 2, 1, 2.
    function run() external returns (Box box) {
        uint256 first = vm.createFork("first");
        uint256 second = vm.createSelectFork("second");
        vm.startBroadcast();
        box = new Box(2);
        box.set(3);
        vm.stopBroadcast();
        vm.selectFork(first);
        vm.startBroadcast();
        new Box(5);
        vm.stopBroadcast();
        vm.selectFork(second);
        vm.broadcast();
        box.set(4);
    }

    /// The second network alone, whatever --rpc-url names.
    function single() external {
        vm.createSelectFork("second");
        vm.startBroadcast();
        new Box(7).set(8);
        vm.stopBroadcast();
    }

    /// What forge refuses.
    function within() external {
        vm.startBroadcast();
        vm.createSelectFork("second");
    }

    /// The second network, and before it the one of --rpc-url.
    function mixed() external {
        vm.broadcast();
        payable(address(0xb0b)).transfer(1);
        vm.createSelectFork("second");
        vm.broadcast();
        new Box(2);
    }
}
