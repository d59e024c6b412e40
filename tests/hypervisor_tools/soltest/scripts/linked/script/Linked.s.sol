// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Linked, Apart} from "../src/Linked.sol";

interface Vm {
    function startBroadcast() external;
}

contract DeployLinked {
    function run() external returns (Linked made) {
        Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D).startBroadcast();
        made = new Linked(Apart.apart(5));
    }
}
