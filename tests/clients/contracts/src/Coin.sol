// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// A token of OpenZeppelin's wizard: mintable by a role, with permits.
contract Coin is ERC20, ERC20Permit, AccessControl {
    bytes32 public constant MINTER = keccak256("MINTER");

    constructor(address admin) ERC20("Coin", "COIN") ERC20Permit("Coin") {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _mint(admin, 1000 ether);
    }

    function mint(address to, uint256 amount) external onlyRole(MINTER) {
        _mint(to, amount);
    }
}

contract Picture is ERC721("Picture", "PIC") {
    function mint(address to, uint256 id) external {
        _safeMint(to, id);
    }
}

/// Behind a proxy, and replaced there by BoxV2.
contract Box is Initializable, UUPSUpgradeable {
    address public owner;
    uint256 public value;

    function initialize(uint256 first) external initializer {
        owner = msg.sender;
        value = first;
    }

    function version() external pure virtual returns (uint256) {
        return 1;
    }

    function _authorizeUpgrade(address) internal view override {
        require(msg.sender == owner, "not the owner");
    }
}

contract BoxV2 is Box {
    function version() external pure override returns (uint256) {
        return 2;
    }

    function double() external {
        value *= 2;
    }
}

contract Proxy is ERC1967Proxy {
    constructor(address logic, bytes memory data) ERC1967Proxy(logic, data) {}
}

/// Boxes that share one code, at addresses that are known before.
contract Factory {
    event Made(address box);

    function make(address logic, bytes32 salt, uint256 first) external returns (address box) {
        box = Clones.cloneDeterministic(logic, salt);
        Box(box).initialize(first);
        emit Made(box);
    }

    function predict(address logic, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(logic, salt, address(this));
    }
}

contract Timelock is TimelockController {
    constructor(uint256 delay, address[] memory operators)
        TimelockController(delay, operators, operators, address(0))
    {}
}
