// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {BeaconProxy} from "@openzeppelin/contracts/proxy/beacon/BeaconProxy.sol";
import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {TransparentUpgradeableProxy} from "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

contract BoxOne is Initializable, UUPSUpgradeable {
    uint256 public value;
    event Stored(uint256 value, address by);

    function initialize(uint256 first) external initializer {
        value = first;
    }

    function store(uint256 next) external payable {
        value = next;
        emit Stored(next, msg.sender);
    }

    function version() external pure virtual returns (string memory) {
        return "one";
    }

    function _authorizeUpgrade(address) internal override {}
}

contract BoxTwo is BoxOne {
    function version() external pure override returns (string memory) {
        return "two";
    }

    function increment() external {
        value += 1;
    }
}

contract Plain is ERC1967Proxy {
    constructor(address box) ERC1967Proxy(box, abi.encodeCall(BoxOne.initialize, (7))) {}
}

contract Transparent is TransparentUpgradeableProxy {
    constructor(address box, address owner) TransparentUpgradeableProxy(box, owner, "") {}
}

contract Copies {
    UpgradeableBeacon public beacon;
    address[] public made;

    function cloneOf(address box, bytes32 salt) external returns (address copy) {
        copy = Clones.cloneDeterministic(box, salt);
        BoxOne(copy).initialize(uint256(salt));
        made.push(copy);
    }

    function beaconFor(address box) external {
        beacon = new UpgradeableBeacon(box, address(this));
        for (uint256 i = 0; i < 2; i++) {
            made.push(address(new BeaconProxy(address(beacon), abi.encodeCall(BoxOne.initialize, (i)))));
        }
    }

    function moveTo(address box) external {
        beacon.upgradeTo(box);
    }

    function storeInAll(uint256 value) external {
        for (uint256 i = 0; i < made.length; i++) BoxOne(made[i]).store(value + i);
    }
}
